"""The command ``soak-memory``."""

from typing import Annotated

import typer

from spikequant.fpga.sdram.timing import DEFAULT_CHIP
from spikequant.gen.commands.options import Chip, ClockMHz, JsonFile, MemoryMHz
from spikequant.golden.support.command_line import FAILED


def soak_memory(
    packets: Annotated[int, typer.Option(metavar="N", min=2, help="packets to send")] = 40_000,
    chip: Chip = DEFAULT_CHIP,
    frequency: ClockMHz = 75.0,
    memory_frequency: MemoryMHz = 120.0,
    seed: Annotated[int, typer.Option(min=0, help="seed of the packets and pauses")] = 1,
    json_file: JsonFile = None,
) -> None:
    """Send random packets through the SDRAM controller, with a strict model of the chip at its pins.

    Exit status 0 if all words are right and no rule of the chip is broken, 1 if not.
    """
    from rich.console import Console

    from spikequant.fpga.sdram.soak import soak
    from spikequant.fpga.sdram.timing import SdramTiming, find_chip
    from spikequant.gen.output import check_output, show_written
    from spikequant.gen.signoff.evidence import write_evidence
    from spikequant.golden.support.store import default_cache_folder

    timing = SdramTiming(find_chip(chip), memory_frequency * 1e6)
    check_output(json_file)
    with Console(stderr=True).status("") as status:
        figures = soak(
            timing,
            clock_hz=frequency * 1e6,
            packets=packets,
            seed=seed,
            cache=default_cache_folder(),
            progress=status.update,
        )
    write_evidence(figures, json_file)
    names = ("packets", "memory_cycles", "activates", "reads", "writes", "refreshes", "mismatches", "violations")
    typer.echo(", ".join(f"{getattr(figures, name)} {name.replace('_', ' ')}" for name in names))
    typer.echo(f"{figures.refresh_times:.2f} refresh periods of the chip without a pause")
    show_written(json_file)
    if not figures.ok:
        raise typer.Exit(FAILED)
