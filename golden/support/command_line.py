"""How a command line ends: with a status, and one line on stderr where something went wrong."""

import sys
from collections.abc import Callable
from typing import Any, Literal, NoReturn

import typer
from typer.exceptions import Abort, TyperException

from spikequant.golden.support.errors import SpikeQuantError
from spikequant.golden.support.store import ensure_cache_folder

FAILED = 1
"""A check or a tool failed."""

BAD_INPUT = 2

INTERRUPTED = 130

MARKUP: Literal["markdown"] = "markdown"
"""Of help texts: their lines are filled anew for the terminal."""


def run_app(
    app: typer.Typer,
    *,
    name: str,
    interrupted: str = "interrupted",
    **options: Any,
) -> NoReturn:
    """Run a command line and end the process: 0, 1 for a failure, 2 for bad input, 130 for an interrupt.

    Args:
        app: its commands.
        name: at the beginning of each line.
        interrupted: what to tell of an interrupt.
        options: for the call of ``app``.
    """
    ensure_cache_folder()
    try:
        status = app(standalone_mode=False, **options)
    except TyperException as error:
        _end(f"{name}: {error.format_message()}", BAD_INPUT)
    except SpikeQuantError as error:
        _end(f"{name}: {error}", error.exit_status)
    except (Abort, KeyboardInterrupt):
        status = INTERRUPTED
    # typer makes an interrupt a status without a word
    if status == INTERRUPTED:
        _end(f"{name}: {interrupted}", INTERRUPTED)
    sys.exit(status if isinstance(status, int) else 0)


def run_command(command: Callable[..., Any], *, name: str, **endings: Any) -> NoReturn:
    """Run the only command of a module, as ``run_app`` does.

    Args:
        command: a function with typer's annotations.
        name: of its module, below ``python -m``.
        endings: ``interrupted``.
    """
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=MARKUP)
    app.command()(command)
    run_app(app, name=name, prog_name=f"python -m {name}", **endings)


def _end(line: str, status: int) -> NoReturn:
    sys.stderr.write(line + "\n")
    sys.exit(status)
