"""The command ``fuzz-line``."""

from typing import Annotated

import typer

from spikequant.gen.commands.options import JsonFile


def fuzz_line(
    frames: Annotated[int, typer.Option(metavar="N", min=1, help="frames to send")] = 1_000_000,
    seed: Annotated[int, typer.Option(min=0, help="seed of the frames")] = 1,
    seconds: Annotated[float, typer.Option(metavar="S", min=1.0, help="time limit of the run")] = 3600.0,
    json_file: JsonFile = None,
) -> None:
    """Fuzz the board's end of the serial line with random, broken and foreign frames.

    Exit status 0 if the board keeps to the protocol, 1 if not.
    """
    from rich.console import Console

    from spikequant.fpga.link.fuzz import build_fuzzer, fuzz
    from spikequant.gen.output import check_output, show_written
    from spikequant.gen.signoff.evidence import write_evidence
    from spikequant.golden.support.store import default_cache_folder

    check_output(json_file)
    with Console(stderr=True).status("building the board's end of the line") as status:
        program = build_fuzzer(cache=default_cache_folder())
        status.update(f"sending {frames} frames")
        figures = fuzz(program, frames=frames, seed=seed, seconds=seconds)
    write_evidence(figures, json_file)
    counts = figures.model_dump(exclude={"ok", "seed"})
    typer.echo(", ".join(f"{value} {name}" for name, value in counts.items()))
    show_written(json_file)
