"""The command ``tokens``."""

from pathlib import Path
from typing import Annotated

import typer

from spikequant.gen.commands.options import CacheFolder, JsonFile, TracedCheckpoint, TracedTokens


def tokens(
    shape: Annotated[str, typer.Option(metavar="NAME", help="NEURONSxLANES[xCLUSTERS], or a preset")] = "max85",
    mhz: Annotated[
        float | None,
        typer.Option(min=1, help="clock of the accelerator", show_default="median of the last benchmark on --part"),
    ] = None,
    twin_mhz: Annotated[
        float | None,
        typer.Option(min=1, help="clock of its twin", show_default="likewise; the accelerator's if it was not routed"),
    ] = None,
    part: Annotated[str, typer.Option(metavar="NAME", help="part that the benchmark's clocks are for")] = "85F",
    figures: Annotated[Path, typer.Option(metavar="FILE", help="figures of the last benchmark")] = Path(
        "build/benchmarks/benchmarks.json"
    ),
    bandwidth: Annotated[
        float,
        typer.Option(
            metavar="MB/S",
            min=0.001,
            help="bandwidth of the memory; by default 16 bits at 120 MHz, at 96 % of the peak",
        ),
    ] = 230.0,
    batches: Annotated[str, typer.Option(metavar="NUMBERS", help="comma-separated batch sizes")] = "1,4,16",
    checkpoint: TracedCheckpoint = None,
    traced: TracedTokens = 16,
    cache: CacheFolder = None,
    json_file: JsonFile = None,
) -> None:
    """Calculate tokens per second through all linear layers, with weights on chip and from an external memory.

    The accelerator is compared with its multiply-accumulate twin. Exit status 0, or 2 for bad input.
    """
    from rich.console import Console

    from spikequant.benchmarks.rates import average_batch
    from spikequant.benchmarks.results import median_clock
    from spikequant.benchmarks.shapes import Array, parse_part, parse_shape
    from spikequant.benchmarks.tables import rate_table
    from spikequant.benchmarks.traces import load_traces, traced_model
    from spikequant.gen.output import check_output, show_written
    from spikequant.golden.layer.spec import PRESETS
    from spikequant.golden.support.errors import InputError
    from spikequant.golden.support.files import write_json
    from spikequant.golden.support.store import default_cache_folder

    spec = PRESETS[shape] if shape in PRESETS else parse_shape(shape)
    device = parse_part(part)
    ours = mhz or median_clock(figures, spec, "spiking", device)
    if ours is None:
        raise InputError(f"{figures}: no clock of {shape} on the {device}, expected --mhz or a benchmark of it")
    clocks: dict[Array, float] = {
        "spiking": ours,
        "mac": twin_mhz or median_clock(figures, spec, "mac", device) or ours,
    }
    check_output(json_file)
    sizes = [text.strip() for text in batches.split(",")]
    if not all(size.isdecimal() and 0 < int(size) <= traced for size in sizes):
        raise InputError(f"batches {batches!r}: expected numbers from 1 to the {traced} traced tokens, comma-separated")
    console = Console(stderr=True)
    with console.status("tracing real layers"):
        traces = load_traces(checkpoint, tokens=traced, cache=cache or default_cache_folder())
    found = []
    for size in sizes:
        with console.status(f"counting batches of {size}"):
            found.append(average_batch(spec, traces.layers, int(size)))
    table, rates = rate_table(found, clocks, bandwidth=bandwidth * 1e6, shape=shape)
    Console().print(table)
    if json_file is not None:
        model = traced_model(traces, checkpoint, tokens=traced)
        heading = {"shape": shape, "clock_mhz": clocks, "bandwidth_mb_s": bandwidth, "model": model}
        write_json(json_file, heading | rates)
    show_written(json_file)
