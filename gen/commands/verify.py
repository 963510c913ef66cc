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
    import time
    from dataclasses import asdict

    from spikequant.cosim.random.verify import design_of, kept_result, run_seed, seed_spec
    from spikequant.cosim.simulator.build import accelerator_sources
    from spikequant.gen.output import check_output, show_written
    from spikequant.golden.support.files import write_json
    from spikequant.golden.support.progress import progress_bar

    numbers = _range(seeds)
    check_output(json_file, folder=out)
    began = time.perf_counter()
    found = []
    with progress_bar() as bar:
        task = bar.add_task("verifying", total=len(numbers))
        for seed in numbers:
            if time.perf_counter() - began > minutes * 60:
                break
            path = out / f"seed-{seed}.json"
            sources = accelerator_sources(seed_spec(seed))
            kept = None if waves else kept_result(path, design_of(sources), programs=programs, steps=steps)
            if kept is None:
                kept = asdict(run_seed(seed, programs=programs, steps=steps, sources=sources, waves=waves))
                write_json(path, kept)
            found.append(kept)
            bar.update(task, advance=1, description=f"seed {seed}")
    failed = [one for one in found if one["failure"]]
    counts = ("programs", "packets", "results", "outputs", "resets", "cycles")
    total = {key: sum(one[key] for one in found) for key in counts}
    typer.echo(
        f"{len(found)} accelerators, {total['programs']} programs, {total['packets']} packets, "
        f"{total['results']} results, {total['outputs']} outputs, {total['resets']} resets during a program, "
        f"{total['cycles']} cycles: {len(failed)} failed"
    )
    if json_file is not None:
        write_json(json_file, {"ok": not failed, **total, "seeds": found})
    show_written(out, json_file)
    for one in failed:
        replay = f"--seeds {one['seed']} --programs {programs} --steps {steps} --waves build/waves"
        typer.echo(f"seed {one['seed']}, {one['failure']}\n  replay: spikequant verify {replay}", err=True)
    if failed:
        raise typer.Exit(FAILED)
