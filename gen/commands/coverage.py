"""The command ``coverage``."""

from pathlib import Path
from typing import Annotated

import typer

from spikequant.golden.support.command_line import run_command
from spikequant.golden.support.options import JsonFile


def coverage(
    seeds: Annotated[int, typer.Option(min=1, help="runs of each design, with programs of their own")] = 1,
    programs: Annotated[int, typer.Option(min=1, help="valid programs of each run, and as many invalid ones")] = 300,
    steps: Annotated[int, typer.Option(min=1, help="packets of each program")] = 120,
    out: Annotated[Path, typer.Option(metavar="DIR", help="folder of counts and proofs")] = Path("build/coverage"),
    show: Annotated[int, typer.Option(min=0, help="missing points to print, of each kind")] = 20,
    json_file: JsonFile = None,
) -> None:
    """Measure what random programs and the short regression reach: lines, bits, events, and values.

    Bits that did not change are set aside if that is proved to be impossible. Exit status 0 if all other points are
    reached or excluded, 1 if not, 2 for bad input.
    """
    from rich.console import Console
    from rich.table import Table

    from spikequant.cosim.coverage.measure import measure
    from spikequant.golden.support.files import check_writable, writable_folder

    writable_folder(out)
    if json_file is not None:
        check_writable(json_file)
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
    figures.write(json_file)
    if not figures.ok:
        raise typer.Exit(1)


if __name__ == "__main__":
    run_command(coverage, name="spikequant.gen.commands.coverage")
