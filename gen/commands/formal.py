"""The command ``formal``."""

from pathlib import Path
from typing import Annotated

import typer

from spikequant.gen.commands.options import JsonFile
from spikequant.golden.support.command_line import FAILED, resumable
from spikequant.golden.support.errors import InputError


@resumable("finished proofs are kept in --out")
def formal(
    only: Annotated[
        str | None, typer.Option(metavar="NAME", help="only properties whose name begins like this", show_default=False)
    ] = None,
    json_file: JsonFile = None,
    list_only: Annotated[bool, typer.Option("--list", help="list the properties without proving them")] = False,
    jobs: Annotated[int, typer.Option(metavar="N", min=1, help="solvers at a time")] = 2,
    out: Annotated[Path, typer.Option(metavar="DIR", help="folder for results and counterexample waveforms")] = Path(
        "build/formal"
    ),
    fresh: Annotated[bool, typer.Option("--fresh", help="repeat proofs that earlier runs finished")] = False,
) -> None:
    """Prove properties of the hardware for all inputs, with SymbiYosys and an SMT solver.

    A property is either proved for any number of cycles, or holds for a bounded number of them; the table shows which.
    Exit status 0 if every property is proved or holds, 1 if not, 2 for bad input.
    """
    from rich.console import Console

    from spikequant.benchmarks.twin.properties import properties as twin_properties
    from spikequant.cosim.formal.catalogue import catalogue
    from spikequant.cosim.formal.property import Property
    from spikequant.cosim.formal.prove import Result, figures, find_tools
    from spikequant.cosim.formal.run import prove_all, table_of
    from spikequant.fpga.build.netlist import synthesis_of
    from spikequant.gen.output import check_output, show_written
    from spikequant.gen.signoff.evidence import write_evidence
    from spikequant.golden.support.progress import progress_bar

    everything = [*catalogue(synthesis_of), *twin_properties()]
    claims = [claim for claim in everything if only is None or claim.name.startswith(only)]
    if not claims:
        raise InputError(f"formal: no property {only}, expected the beginning of a name that --list prints")
    console = Console()
    if list_only:
        console.print(table_of(claims))
        return
    tools = find_tools()
    check_output(json_file, folder=out)
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
    write_evidence(found, json_file)
    show_written(out, json_file)
    for claim, result in zip(claims, results, strict=True):
        if not result.ok:
            where = f"; waveform: {result.trace}" if result.trace else ""
            typer.echo(f"{claim.name}: {result.message}{where}", err=True)
    if not found.ok:
        raise typer.Exit(FAILED)
