"""What commands print at their end: a table of figures, and the files that they wrote."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.table import Table

from spikequant.golden.support.errors import InputError
from spikequant.golden.support.figures import Figures
from spikequant.golden.support.files import check_folder, check_writable


def show_figures(title: str, figures: dict[str, Any]) -> None:
    """Print names and values as a table, without lists and unknown values."""
    table = Table(title=title, show_header=False)
    for name, value in figures.items():
        if value is not None and not isinstance(value, list | dict):
            table.add_row(name, f"{value:.4g}" if isinstance(value, float) else str(value))
    Console().print(table)


class Choice(Figures):
    """A value that an option may have.

    Attributes:
        name: the value.
        summary: one line on what it is.
    """

    name: str
    summary: str


class Choices(Figures):
    """The values that an option may have."""

    choices: list[Choice]


def show_choices(summaries: Mapping[str, str], json_file: Path | None) -> None:
    """Print the values that an option may have, and write them as JSON if that is wanted."""
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column()
    for name, summary in summaries.items():
        table.add_row(name, summary)
    Choices(choices=[Choice(name=name, summary=summary) for name, summary in summaries.items()]).write(json_file)
    Console().print(table)
    show_written(json_file)


def show_written(*paths: Path | None, err: bool = False) -> None:
    """Print a line for each file or folder that a command wrote; None stands for one that was not wanted.

    Args:
        paths: the files and folders.
        err: print to stderr, since stdout is for the command's result alone.
    """
    for path in paths:
        if path is not None:
            typer.echo(f"wrote {path}", err=err)


def outcome_line(outputs: int, mismatches: int, saturated: int, *, ok: bool) -> str:
    """The counts of a comparison, and its outcome."""
    outcome = "equal" if ok else "NOT EQUAL" if mismatches else "SATURATED"
    return f"{outputs} outputs, {mismatches} mismatches, {saturated} saturated: {outcome}"


def check_output(*files: Path | None, folder: Path | None = None) -> None:
    """Check, before any work, that results can be written; makes nothing.

    Args:
        files: files to write; None stands for one that is not wanted.
        folder: folder to write to.

    Raises:
        InputError: one cannot be written.
    """
    for path in files:
        if path is not None:
            check_writable(path)
    if folder is not None:
        check_folder(folder)


def check_plot(path: Path | None) -> None:
    """Check the name of a plot's file; None stands for one that is not wanted.

    Raises:
        InputError: it does not end in .png.
    """
    if path is not None and path.suffix != ".png":
        raise InputError(f"plot {path}: expected a file name that ends in .png")
