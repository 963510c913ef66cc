"""The command ``signoff``."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from spikequant.gen.commands.options import JsonFile
from spikequant.golden.support.command_line import FAILED


def signoff(
    evidence: Annotated[
        Path, typer.Argument(metavar="DIR", help="folder with the JSON files of the campaigns, as make writes them")
    ] = Path("build"),
    stage: Annotated[Literal["V1", "V2", "V3"], typer.Option(help="stage that is asked for")] = "V3",
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE.html", help="page to write; signoff.html in the folder by default"),
    ] = None,
    json_file: JsonFile = None,
) -> None:
    """Judge the hardware's verification by a checklist, from the results of the campaigns, and write it as a page.

    Results about other hardware than the present one do not count. Exit status 0 if every row up to the stage is met,
    1 if not, 2 for bad input.
    """
    from rich.console import Console
    from rich.table import Table

    from spikequant.gen.output import check_output, show_written
    from spikequant.gen.signoff.checklist import judge
    from spikequant.gen.signoff.ledger import read_ledger
    from spikequant.gen.signoff.page import SignoffFigures, write_page
    from spikequant.golden.support.errors import InputError

    if not evidence.is_dir():
        raise InputError(f"evidence {evidence}: not a folder, expected the JSON files of the campaigns")
    page = out or evidence / "signoff.html"
    check_output(page, json_file)
    with Console(stderr=True).status("judging"):
        figures = SignoffFigures.of(list(judge(evidence)), read_ledger(), stage=stage)
    table = Table(box=None, pad_edge=False)
    for name in ("stage", "row", "outcome", "evidence"):
        table.add_column(name)
    for row in figures.rows:
        table.add_row(row.stage, row.name, row.outcome, row.summary or f"run: {row.command}")
    Console().print(table)
    typer.echo(f"reached: {figures.reached or 'no stage'}; {len(figures.defects)} corrected defects in the ledger")
    write_page(page, figures)
    figures.write(json_file)
    show_written(page, json_file)
    if not figures.ok:
        raise typer.Exit(FAILED)
