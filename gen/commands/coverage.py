"""The command ``coverage``."""

from pathlib import Path
from typing import Annotated

import typer

from spikequant.gen.commands.options import JsonFile
from spikequant.golden.support.command_line import FAILED, resumable


@resumable("finished counts and proofs are kept in --out")
def coverage(
    seeds: Annotated[int, typer.Option(min=1, help="runs per design, each with its own programs")] = 1,
    programs: Annotated[int, typer.Option(min=1, help="valid programs per run; there are as many invalid ones")] = 300,
    steps: Annotated[int, typer.Option(min=1, help="packets per program")] = 120,
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="folder for counts and proofs; a later run resumes from them")
    ] = Path("build/coverage"),
    show: Annotated[int, typer.Option(min=0, help="missing points to print per kind")] = 20,
    json_file: JsonFile = None,
) -> None:
    """Measure what random programs and the short regression reach: lines, bits, events, and values.

    Bits that did not change are set aside if that is proved to be impossible. Exit status 0 if all other points are
    reached or excluded, 1 if not, 2 for bad input.
    """
    from rich.console import Console
    from rich.table import Table

    from spikequant.cosim.coverage.measure import measure
    from spikequant.gen.output import check_output, show_written
    from spikequant.gen.signoff.evidence import write_evidence

    check_output(json_file, folder=out)
    with Console(stderr=True).status("measuring") as status:
        figures = measure(seeds=seeds, programs=programs, steps=steps, out=out, progress=status.update)
    table = Table(box=None, pad_edge=False)
    for title in ("kind", "points", "excluded", "impossible", "reached", "share"):
        table.add_column(title, justify="left" if title == "kind" else "right")
    for kind, row in figures.kinds.items():
        numbers = map(str, (row.points, row.excluded, row.impossible, row.reached))
        table.add_row(kind, *numbers, f"{row.share:.2%}")
    Console().print(table)
    for name, kinds in figures.designs.items():
        for kind, part in kinds.items():
            for missing in part.missing[:show]:
                typer.echo(f"not reached: {name}, {kind}: {missing}")
            if len(part.missing) > show:
                typer.echo(f"not reached: {name}, {kind}: and {len(part.missing) - show} more")
    write_evidence(figures, json_file)
    show_written(out, json_file)
    if not figures.ok:
        raise typer.Exit(FAILED)
