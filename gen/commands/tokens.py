"""The command ``python -m spikequant.gen.commands.tokens``: tokens a second, with weights on chip and from a memory."""

# Commands import what they need when they run, so that --help answers at once.

from pathlib import Path
from typing import Annotated

import typer

from spikequant.benchmarks.command import Checkpoint, TracedTokens, run_command
from spikequant.golden.support.options import CacheFolder, JsonFile


def tokens(
    shape: Annotated[str, typer.Option(metavar="NAME", help="NEURONSxLANES[xCLUSTERS], or a preset")] = "max85",
    mhz: Annotated[
        float | None,
        typer.Option(min=1, help="clock; the median of the last benchmark on --part if none", show_default=False),
    ] = None,
    twin_mhz: Annotated[
        float | None,
        typer.Option(min=1, help="the twin's; as before, and ours where it was not routed", show_default=False),
    ] = None,
    part: Annotated[str, typer.Option(metavar="NAME", help="part whose clocks are taken")] = "85F",
    figures: Annotated[Path, typer.Option(metavar="FILE", help="what the last benchmark wrote")] = Path(
        "build/benchmarks/benchmarks.json"
    ),
    bandwidth: Annotated[
        float, typer.Option(metavar="MB/S", min=0.001, help="of the memory: 16 bits at 120 MHz, 96 % of the peak")
    ] = 230.0,
    batches: Annotated[str, typer.Option(metavar="NUMBERS", help="tokens that share the weights")] = "1,4,16",
    checkpoint: Checkpoint = None,
    traced: TracedTokens = 16,
    cache: CacheFolder = None,
    json_file: JsonFile = None,
) -> None:
    """Tell how many tokens a second an accelerator and its twin take through all linear layers of a model.

    Exit status 0, or 2 for bad input.
    """
    from rich.console import Console

    from spikequant.benchmarks.rates import average_batch
    from spikequant.benchmarks.results import median_clock
    from spikequant.benchmarks.shapes import Array, parse_part, parse_shape
    from spikequant.benchmarks.tables import rate_table
    from spikequant.benchmarks.traces import load_traces, traced_model
    from spikequant.golden.layer.spec import PRESETS
    from spikequant.golden.support.errors import InputError
    from spikequant.golden.support.files import check_writable, write_json
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
    if json_file is not None:
        check_writable(json_file)
    sizes = [text.strip() for text in batches.split(",")]
    if not all(size.isdecimal() and 0 < int(size) <= traced for size in sizes):
        raise InputError(f"batches {batches!r}: expected numbers from 1 to the {traced} traced tokens, with commas")
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
        told = {"shape": shape, "clock_mhz": clocks, "bandwidth_mb_s": bandwidth, "model": model}
        write_json(json_file, told | rates)


if __name__ == "__main__":
    run_command(tokens, name="spikequant.gen.commands.tokens")
