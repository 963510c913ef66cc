"""The command ``report``."""

from pathlib import Path
from typing import Annotated

import typer

from spikequant.gen.commands.options import JsonFile


def report(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="folder that the demo wrote")] = Path("build/demo"),
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="page to write; report.html in the folder by default")
    ] = None,
    json_file: JsonFile = None,
) -> None:
    """Render the report of a demo again, from the files that the demo wrote.

    Exit status 0 if the page is written, whatever it reports, 2 for bad input.
    """
    from spikequant.gen.demo.record import load_record
    from spikequant.gen.demo.report import write_report
    from spikequant.gen.demo.summary import demo_figures, demo_summary
    from spikequant.gen.output import check_output, show_written

    check_output(json_file)
    page = write_report(folder, out)
    record = load_record(folder)
    demo_figures(record, page).write(json_file)
    typer.echo(demo_summary(record))
    show_written(page, json_file)
