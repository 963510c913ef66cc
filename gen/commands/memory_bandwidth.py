"""The command ``memory-bandwidth``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spikequant.fpga.sdram.timing import DEFAULT_CHIP
from spikequant.golden.support.options import JsonFile, SpecName

if TYPE_CHECKING:
    from spikequant.benchmarks.memory_bandwidth import BandwidthFigures


def memory_bandwidth(
    checkpoint: Annotated[Path, typer.Option(metavar="DIR", help="quantized model, as spikequant quantize writes it")],
    config: SpecName = "base",
    tokens: Annotated[int, typer.Option(metavar="T", min=1, help="tokens whose traffic is counted")] = 64,
    block: Annotated[int, typer.Option(metavar="N", min=0, help="block whose layers run")] = 5,
    chip: Annotated[str, typer.Option(metavar="CHIP", help="SDRAM to control")] = DEFAULT_CHIP,
    frequency: Annotated[float, typer.Option(metavar="MHZ", help="clock of the accelerator")] = 75.0,
    memory_frequency: Annotated[float, typer.Option(metavar="MHZ", help="clock of the SDRAM")] = 120.0,
    json_file: JsonFile = None,
) -> None:
    """Measure how fast the layers of a real model stream from the SDRAM.

    Exit status 0 if all outputs are right, 1 if not, 2 for bad input.
    """
    from rich.console import Console

    from spikequant.benchmarks.memory_bandwidth import measure_bandwidth, trace_all
    from spikequant.fpga.sdram.timing import SdramTiming, find_chip
    from spikequant.golden.layer.spec import load_spec
    from spikequant.golden.support.files import check_writable
    from spikequant.golden.support.store import default_cache_folder

    spec = load_spec(config)
    timing = SdramTiming(find_chip(chip), memory_frequency * 1e6)
    if json_file is not None:
        check_writable(json_file)
    with Console(stderr=True).status("tracing the model") as status:
        figures = measure_bandwidth(
            trace_all(checkpoint, spec, tokens),
            spec,
            timing,
            clock_hz=frequency * 1e6,
            block=block,
            cache=default_cache_folder(),
            progress=lambda layer: status.update(f"running {layer}"),
        )
    figures.write(json_file)
    for line in bandwidth_lines(figures):
        typer.echo(line)
    if not figures.ok:
        raise typer.Exit(1)


def bandwidth_lines(figures: "BandwidthFigures") -> list[str]:
    """Text of the figures: a line for each layer, one for the whole model, one for each chip."""
    lines = [
        f"{one.layer}: {one.peak_share:.1%} of the peak, {one.traffic_saved:.1%} of the traffic saved, "
        f"{one.mismatches} mismatches, {one.violations} violations"
        for one in figures.layers
    ]
    lines.append(
        f"together {figures.peak_share:.1%} of {figures.peak_megabytes_per_second:g} MB/s; over the whole model "
        f"{figures.silent:.1%} of the activations are silent, which saves {figures.traffic_saved:.1%}"
    )
    for name, chip in figures.chips.items():
        held = "holds no block"
        if chip.blocks:
            held = (
                f"the first {chip.blocks} of {chip.of_blocks} blocks, {chip.held_megabytes:.1f} MB, "
                f"{chip.tokens_per_second:.2f} tokens/s "
                f"({chip.tokens_per_second_with_silent_rows:.2f} with the rows of silent inputs)"
            )
        lines.append(f"{name}, {chip.megabytes:.1f} MB: {held}")
    return lines
