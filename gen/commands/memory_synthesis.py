"""The command ``memory-synthesis``."""

from typing import Annotated

import typer

from spikequant.fpga.sdram.timing import DEFAULT_CHIP
from spikequant.golden.support.options import JsonFile


def memory_synthesis(
    device: Annotated[str, typer.Option(metavar="DEVICE", help="ECP5 to build for")] = "LFE5U-85F",
    chip: Annotated[str, typer.Option(metavar="CHIP", help="SDRAM to control")] = DEFAULT_CHIP,
    frequency: Annotated[float, typer.Option(metavar="MHZ", help="clock of the accelerator")] = 75.0,
    memory_frequency: Annotated[float, typer.Option(metavar="MHZ", help="clock of the SDRAM")] = 120.0,
    seeds: Annotated[int, typer.Option(metavar="N", min=1, help="place and route from seeds 1..N")] = 1,
    json_file: JsonFile = None,
) -> None:
    """Synthesize the SDRAM controller and streamer alone: their resources and speed on a device.

    Exit status 0 if all clocks reach their targets, 1 if not, 2 for bad input.
    """
    from rich.console import Console

    from spikequant.benchmarks.memory_synthesis import synthesize_memory
    from spikequant.fpga.sdram.timing import SdramTiming, find_chip
    from spikequant.fpga.toolchain import usable_cores
    from spikequant.golden.support.files import check_writable
    from spikequant.golden.support.store import default_cache_folder

    timing = SdramTiming(find_chip(chip), memory_frequency * 1e6)
    if json_file is not None:
        check_writable(json_file)
    with Console(stderr=True).status(f"building for the {device}") as status:
        figures = synthesize_memory(
            timing,
            device=device,
            frequency_hz=frequency * 1e6,
            seeds=seeds,
            jobs=usable_cores(),
            cache=default_cache_folder(),
            progress=status.update,
        )
    figures.write(json_file)
    clocks = "; ".join(f"{clock.fmax_mhz:.1f} MHz, expected {clock.wanted_mhz:g}" for clock in figures.clocks)
    typer.echo(f"{figures.luts} LUTs, {figures.ffs} flip-flops, {figures.ebrs} EBRs on the {device}; {clocks}")
    if not figures.timing_met:
        raise typer.Exit(1)
