"""The command ``bench``."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from spikequant.gen.commands.options import CacheFolder, TracedCheckpoint, TracedTokens, split_names
from spikequant.golden.support.command_line import INTERRUPTED, resumable

FIRST_SHAPES = "64x4,64x8,16x4"
"""Shapes that are built before all others."""

DEFAULT_SHAPES = f"{FIRST_SHAPES},64x2,64x4x2,128x4,128x8,192x2,160x4x2,384x2x4,384x4x4"
"""The first shapes, then from a small one to those that use nearly all block RAMs of a part."""

PAGE_COLUMNS = 240
"""Width of the tables in a file."""


@resumable("finished placements are kept in the cache")
def bench(
    out: Annotated[Path, typer.Option(metavar="DIR", help="folder to write figures and plots to")] = Path(
        "build/benchmarks"
    ),
    shapes: Annotated[
        str,
        typer.Option(
            metavar="NAMES", help=f"NEURONSxLANES[xCLUSTERS], comma-separated; {FIRST_SHAPES} are built before others"
        ),
    ] = DEFAULT_SHAPES,
    parts: Annotated[
        str, typer.Option(metavar="NAMES", help="comma-separated parts, such as 25F or LFE5U-25F")
    ] = "85F,45F,25F",
    arrays: Annotated[str, typer.Option(metavar="NAMES", help="arrays to build: spiking, mac")] = "spiking,mac",
    seeds: Annotated[int, typer.Option(metavar="N", min=1, help="place and route with seeds 1 to N")] = 8,
    jobs: Annotated[int, typer.Option(metavar="N", min=1, help="placements at a time")] = 1,
    build: Annotated[
        bool, typer.Option("--build/--no-build", help="build what is missing, or only use results of earlier runs")
    ] = True,
    toggles: Annotated[
        str, typer.Option(metavar="NAMES", help="shapes whose netlists are simulated to count toggles; may be empty")
    ] = "64x4",
    checkpoint: TracedCheckpoint = None,
    tokens: TracedTokens = 16,
    cache: CacheFolder = None,
) -> None:
    """Build the accelerator and its multiply-accumulate twin in several shapes, and run real traces through both.

    Finished builds come from the cache. After an interrupt, it writes and prints the results so far and lists what is
    missing. Exit status 0 if it finished, 1 if a netlist gives wrong results or cannot be made for the toggle count,
    2 for bad input, 130 if interrupted.
    """
    from rich.console import Console

    from spikequant.benchmarks.estimates import error_lines, estimate_errors
    from spikequant.benchmarks.plots import plots
    from spikequant.benchmarks.presets import choose_presets
    from spikequant.benchmarks.run import Request, run
    from spikequant.benchmarks.shapes import ARRAYS, parse_part, parse_shape
    from spikequant.benchmarks.tables import tables
    from spikequant.benchmarks.traces import load_traces, traced_model
    from spikequant.fpga.build.build import find_tools
    from spikequant.fpga.estimate.measurement import load_measured
    from spikequant.gen.output import check_output, show_written
    from spikequant.golden.support.errors import InputError
    from spikequant.golden.support.files import replace_file, write_json
    from spikequant.golden.support.progress import progress_bar
    from spikequant.golden.support.store import default_cache_folder

    wanted_arrays, wanted = split_names(arrays), split_names(shapes)
    for name in wanted_arrays:
        if name not in ARRAYS:
            raise InputError(f"array {name!r}: unknown, expected some of {', '.join(ARRAYS)}")
    first = [name for name in split_names(FIRST_SHAPES) if name in wanted]
    request = Request(
        shapes={name: parse_shape(name) for name in [*first, *wanted]},
        first=len(first),
        arrays=[array for array in ARRAYS if array in wanted_arrays],
        devices=list(dict.fromkeys(parse_part(name) for name in split_names(parts))),
        seeds=range(1, seeds + 1),
        toggles=split_names(toggles),
        jobs=jobs,
        build=build,
        cache=cache or default_cache_folder(),
    )
    for name in request.toggles:
        parse_shape(name)
    tools = find_tools()
    check_output(folder=out)
    console = Console(stderr=True)
    with console.status("tracing real layers"):
        traces = load_traces(checkpoint, tokens=tokens, cache=request.cache)
    model = traced_model(traces, checkpoint, tokens=tokens)

    with progress_bar(console, transient=console.is_terminal) as bar:
        task = bar.add_task("counting cycles", total=request.steps)

        def advance(step: str) -> None:
            bar.update(task, advance=1, description=step)
            if not console.is_terminal:
                console.print(step)

        found = run(request, traces, model=model, tools=tools, progress=advance)

    errors = estimate_errors(found, load_measured())
    figures = found.figures() | {
        "presets": [asdict(choice) for choice in choose_presets(found)],
        "estimate_errors": errors,
    }
    write_json(out / "benchmarks.json", figures)
    images = plots(found)
    for name, image in images.items():
        with replace_file(out / name) as temporary:
            temporary.write_bytes(image)
    terminal = Console()
    if not terminal.is_terminal:
        terminal = Console(width=PAGE_COLUMNS)
    for table in tables(found):
        terminal.print(table)
    for line in (*error_lines(errors), *(f"missing: {line}" for line in found.missing())):
        typer.echo(line)
    show_written(out / "benchmarks.json", *(out / name for name in images))
    if found.interrupted:
        raise typer.Exit(INTERRUPTED)
