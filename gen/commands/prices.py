"""The command ``python -m spikequant.gen.commands.prices``: measures anew what ``spikequant estimate`` goes by."""

# Commands import what they need when they run, so that --help answers at once.

from pathlib import Path
from typing import Annotated

import typer

from spikequant.benchmarks.command import Checkpoint, TracedTokens, run_command, split_names
from spikequant.fpga.estimate.measurement import MEASURED, hardware_digest
from spikequant.golden.support.options import CacheFolder

DEFAULT_SHAPES = "8x2,16x4,16x2x2,32x2x4,64x2,64x2x4,64x4,64x4x2,64x8,128x4"
"""Small and middle ones, with clusters and without: minutes each."""

FEWEST = 5
"""The prices of fewer designs would follow each of them too closely to tell an error."""


def prices(
    out: Annotated[Path, typer.Option(metavar="FILE", help="where to write them")] = MEASURED,
    shapes: Annotated[
        str, typer.Option(metavar="NAMES", help="NEURONSxLANES[xCLUSTERS], with commas")
    ] = DEFAULT_SHAPES,
    checkpoint: Checkpoint = None,
    tokens: TracedTokens = 16,
    cache: CacheFolder = None,
) -> None:
    """Synthesize and pack accelerators, one at a time, and fit what estimates go by to them.

    What was built before comes from the cache. Exit status 0 if the file is written, 1 if a tool failed, 2 for bad
    input.
    """
    from rich.console import Console

    from spikequant.benchmarks.estimates import make_measured
    from spikequant.benchmarks.packing import pack_alone
    from spikequant.benchmarks.results import ALL
    from spikequant.benchmarks.run import kept_work
    from spikequant.benchmarks.shapes import Candidate, parse_shape
    from spikequant.benchmarks.sites import average_sites
    from spikequant.benchmarks.tables import price_table
    from spikequant.benchmarks.traces import load_traces, traced_model
    from spikequant.fpga.build.build import find_tools
    from spikequant.golden.layer.spec import Spec
    from spikequant.golden.support.errors import InputError
    from spikequant.golden.support.files import check_writable
    from spikequant.golden.support.progress import progress_bar
    from spikequant.golden.support.store import default_cache_folder

    specs = {name: parse_shape(name) for name in split_names(shapes)}
    if len(specs) < FEWEST:
        raise InputError(f"shapes {shapes!r}: {len(specs)} of them, expected {FEWEST} at least to tell errors")
    folder = cache or default_cache_folder()
    tools = find_tools()
    check_writable(out)
    console = Console(stderr=True)
    with console.status("tracing real layers"):
        traces = load_traces(checkpoint, tokens=tokens, cache=folder)
    designs, cycles = {}, {}
    hardware = hardware_digest()
    with progress_bar(console) as bar:
        task = bar.add_task("", total=2 * len(specs))
        for name, spec in specs.items():
            bar.update(task, description=f"{name}: counting cycles")
            cycles[name] = kept_work(spec, traces, cache=folder)[ALL].cycles_per_token("spiking")
            bar.update(task, advance=1, description=f"{name}: synthesis and packing")
            designs[name] = spec, pack_alone(Candidate("spiking", name, spec), tools, cache=folder)
            bar.update(task, advance=1)
    if hardware_digest() != hardware:
        raise InputError("rtl: changed while it was measured, expected the same hardware for all shapes")
    measured = make_measured(
        designs,
        cycles=cycles,
        sites=average_sites(traces.layers, Spec()),
        model=traced_model(traces, checkpoint, tokens=tokens),
        tools={name: version for name, version in tools.versions().items() if name in {"yosys", "nextpnr-ecp5"}},
    )
    measured.write(out)
    Console().print(price_table(designs, cycles, measured))
    typer.echo(f"{out}")


if __name__ == "__main__":
    run_command(prices, name="spikequant.gen.commands.prices")
