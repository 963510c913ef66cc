"""The command ``formal``."""

from pathlib import Path
from typing import Annotated

import typer

from spikequant.golden.support.errors import InputError
from spikequant.golden.support.options import JsonFile


def formal(
    only: Annotated[
        str | None, typer.Option(metavar="NAME", help="properties whose name begins with this", show_default=False)
    ] = None,
    json_file: JsonFile = None,
    list_only: Annotated[bool, typer.Option("--list", help="say what there is to prove, and end")] = False,
    jobs: Annotated[int, typer.Option(metavar="N", min=1, help="solvers at a time")] = 2,
    out: Annotated[Path, typer.Option(metavar="DIR", help="keep results and waveforms of counterexamples here")] = Path(
        "build/formal"
    ),
    fresh: Annotated[bool, typer.Option("--fresh", help="prove again what earlier runs have")] = False,
) -> None:
    """Prove properties of the hardware for all inputs, with SymbiYosys and an SMT solver.

    A property is proved for ever, or it held in a bounded number of cycles, and the table says which. Exit status 0 if
    all are either, 1 if not, 2 for bad input.
    """
    from rich.console import Console

    from spikequant.cosim.formal.catalogue import catalogue
    from spikequant.cosim.formal.property import Property
    from spikequant.cosim.formal.prove import Result, figures, find_tools
    from spikequant.cosim.formal.run import prove_all, table_of
    from spikequant.fpga.build.netlist import synthesis_of
    from spikequant.golden.support.files import check_writable, writable_folder
    from spikequant.golden.support.progress import progress_bar

    claims = [claim for claim in catalogue(synthesis_of) if only is None or claim.name.startswith(only)]
    if not claims:
        raise InputError(f"formal: no property {only}, expected the beginning of one that --list names")
    console = Console()
    if list_only:
        console.print(table_of(claims))
        return
    tools = find_tools()
    writable_folder(out)
    if json_file is not None:
        check_writable(json_file)
    with progress_bar() as bar:
        task = bar.add_task("proving", total=len(claims))

        def advance(claim: Property, result: Result) -> None:
            bar.update(task, advance=1, description=claim.name)
            if not result.ok:
                bar.console.print(f"{claim.name}: {result.outcome}")

        results = prove_all(claims, tools, folder=out, jobs=jobs, fresh=fresh, progress=advance)

    console.print(table_of(claims, results))
    found = figures(claims, results)
    typer.echo(
        f"{len(results)} properties: {found.proved} proved, {found.held} held for their bounded cycles, "
        f"{found.failed} failed, {found.no_answer} without an answer; "
        f"{sum(result.seconds for result in results):.0f} s of solving"
    )
    if any(result.remembered for result in results):
        typer.echo("* from an earlier run")
    found.write(json_file)
    for claim, result in zip(claims, results, strict=True):
        if not result.ok:
            where = f"; waveform: {result.trace}" if result.trace else ""
            typer.echo(f"{claim.name}: {result.message}{where}", err=True)
    if not found.ok:
        raise typer.Exit(1)
