"""The command ``verify``."""

from pathlib import Path
from typing import Annotated

import typer

from spikequant.gen.commands.options import JsonFile
from spikequant.golden.support.command_line import FAILED, resumable
from spikequant.golden.support.errors import InputError


def _range(text: str) -> range:
    first, _, last = text.partition("-")
    if not first.isdecimal() or not (last or first).isdecimal():
        raise InputError(f"seeds {text!r}: expected a number or a range, such as 1-40")
    return range(int(first), int(last or first) + 1)


@resumable("finished seeds are kept in --out")
def verify(
    seeds: Annotated[str, typer.Option(metavar="A-B", help="seeds to run, first to last")] = "1-40",
    programs: Annotated[int, typer.Option(min=1, help="programs per seed")] = 40,
    steps: Annotated[int, typer.Option(min=1, help="packets per program")] = 200,
    minutes: Annotated[float, typer.Option(help="time after which no seed is started", show_default="no limit")] = 1e9,
    out: Annotated[Path, typer.Option(metavar="DIR", help="folder for results; a later run resumes from them")] = Path(
        "build/verify"
    ),
    waves: Annotated[
        Path | None, typer.Option(metavar="DIR", help="write a waveform of a failing program", show_default=False)
    ] = None,
    json_file: JsonFile = None,
) -> None:
    """Run random packets on random accelerators, and compare all results with the packets' meaning.

    Exit status 0 if all are equal, 1 if not, 2 for bad input.
    """
    from spikequant.cosim.random.verify import SeedResult, VerifyFigures, run_seeds
    from spikequant.gen.output import check_output, show_written
    from spikequant.gen.signoff.evidence import write_evidence
    from spikequant.golden.support.progress import progress_bar

    numbers = _range(seeds)
    check_output(json_file, folder=out)
    with progress_bar() as bar:
        task = bar.add_task("verifying", total=len(numbers))

        def advance(result: SeedResult) -> None:
            bar.update(task, advance=1, description=f"seed {result.seed}")

        results = run_seeds(
            numbers, programs=programs, steps=steps, out=out, minutes=minutes, waves=waves, progress=advance
        )
    failed = [one for one in results if one.failure]
    found = VerifyFigures.of(results)
    typer.echo(
        f"{len(results)} accelerators, {found.programs} programs, {found.packets} packets, {found.results} results, "
        f"{found.outputs} outputs, {found.resets} resets during a program, {found.cycles} cycles: {len(failed)} failed"
    )
    write_evidence(found, json_file)
    show_written(out, json_file)
    for one in failed:
        replay = f"--seeds {one.seed} --programs {programs} --steps {steps} --waves build/waves"
        typer.echo(f"seed {one.seed}, {one.failure}\n  replay: spikequant verify {replay}", err=True)
    if failed:
        raise typer.Exit(FAILED)
