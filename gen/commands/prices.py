"""The command ``prices``."""

from pathlib import Path
from typing import Annotated

import typer

from spikequant.gen.commands.options import CacheFolder, TracedCheckpoint, TracedTokens, split_names
from spikequant.golden.support.command_line import resumable

DEFAULT_SHAPES = "8x2,16x4,16x2x2,32x2x4,64x2,64x2x4,64x4,64x4x2,64x8,128x4"
"""Small and medium shapes, with and without clusters; each takes minutes."""

FEWEST = 5
"""Prices fitted to fewer designs would overfit, and show no error."""


@resumable("finished designs are kept in the cache")
def prices(
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="file to write", show_default="the one that estimate reads")
    ] = None,
    shapes: Annotated[
        str, typer.Option(metavar="NAMES", help="NEURONSxLANES[xCLUSTERS], comma-separated")
    ] = DEFAULT_SHAPES,
    checkpoint: TracedCheckpoint = None,
    tokens: TracedTokens = 16,
    cache: CacheFolder = None,
) -> None:
    """Measure the prices of `estimate` again: synthesize and pack accelerators, and fit prices to them.

    Besides --shapes, small accelerators with other settings are packed, and some on boards. Finished designs come from
    the cache. Exit status 0 if the file is written, 1 if a tool failed, 2 for bad input.
    """
    from rich.console import Console

    from spikequant.benchmarks.estimates import make_measured
    from spikequant.benchmarks.packing import pack_alone
    from spikequant.benchmarks.price_designs import ON_BOARDS, VARIANTS
    from spikequant.benchmarks.results import ALL
    from spikequant.benchmarks.run import kept_work
    from spikequant.benchmarks.shapes import Candidate, parse_shape
    from spikequant.benchmarks.sites import average_sites
    from spikequant.benchmarks.tables import price_table
    from spikequant.benchmarks.traces import load_traces, traced_model
    from spikequant.fpga.build.build import find_tools
    from spikequant.fpga.estimate.measurement import MEASURED, hardware_digest
    from spikequant.gen.output import check_output, show_written
    from spikequant.golden.layer.spec import Spec
    from spikequant.golden.support.errors import InputError
    from spikequant.golden.support.progress import progress_bar
    from spikequant.golden.support.store import default_cache_folder

    specs = {name: parse_shape(name) for name in split_names(shapes)}
    if len(specs) < FEWEST:
        raise InputError(f"shapes {shapes!r}: {len(specs)} of them, expected {FEWEST} at least to tell errors")
    folder = cache or default_cache_folder()
    tools = find_tools()
    target = out or MEASURED
    check_output(target)
    console = Console(stderr=True)
    with console.status("tracing real layers"):
        traces = load_traces(checkpoint, tokens=tokens, cache=folder)
    designs, cycles, boards = {}, {}, []
    hardware = hardware_digest()
    with progress_bar(console) as bar:
        packed = {**specs, **VARIANTS}
        task = bar.add_task("", total=len(specs) + len(packed) + len(ON_BOARDS))
        for name, spec in specs.items():
            bar.update(task, description=f"{name}: counting cycles")
            cycles[name] = kept_work(spec, traces, cache=folder)[ALL].cycles_per_token("spiking")
            bar.update(task, advance=1)
        for name, spec in packed.items():
            bar.update(task, description=f"{name}: synthesis and packing")
            designs[name] = spec, pack_alone(Candidate("spiking", name, spec), tools, cache=folder)
            bar.update(task, advance=1)
        for one in ON_BOARDS:
            bar.update(task, description=f"{one.design} on {one.board}: synthesis and packing")
            boards.append(one.pack(tools, cache=folder))
            bar.update(task, advance=1)
    if hardware_digest() != hardware:
        raise InputError("rtl: changed while it was measured, expected the same hardware for all shapes")
    measured = make_measured(
        designs,
        boards=boards,
        cycles=cycles,
        sites=average_sites(traces.layers, Spec()),
        model=traced_model(traces, checkpoint, tokens=tokens),
        tools={name: version for name, version in tools.versions().items() if name in {"yosys", "nextpnr-ecp5"}},
    )
    measured.write(target)
    Console().print(price_table(designs, cycles, measured))
    show_written(target)
