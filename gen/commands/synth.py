"""The command ``synth``."""

from math import isinf
from pathlib import Path
from typing import Annotated

import typer

from spikequant.fpga.boards import DEFAULT_BAUD
from spikequant.fpga.sdram.timing import DEFAULT_HZ
from spikequant.gen.commands.options import (
    Baud,
    BoardMemory,
    BoardName,
    CacheFolder,
    FastestClockMHz,
    Jobs,
    JsonFile,
    Seeds,
    SpecName,
)
from spikequant.golden.support.command_line import FAILED, resumable
from spikequant.golden.support.errors import InputError

DEFAULT_SEEDS = 4
"""Clocks of a design from different seeds differ by some percent."""


@resumable("finished steps are kept in the cache")
def synth(
    out: Annotated[Path, typer.Option(metavar="DIR", help="folder to write the bitstream and the logs to")],
    config: SpecName = "base",
    board: BoardName = "ulx3s_85f",
    frequency: FastestClockMHz = 60.0,
    baud: Baud = DEFAULT_BAUD,
    memory: BoardMemory = None,
    memory_frequency: Annotated[float, typer.Option(metavar="MHZ", help="highest clock of the SDRAM")] = DEFAULT_HZ
    / 1e6,
    seeds: Seeds = DEFAULT_SEEDS,
    jobs: Jobs = None,
    allow_timing_failure: Annotated[
        bool, typer.Option("--allow-timing-failure", help="keep a bitstream that is too slow for its clock")
    ] = False,
    bakeable: Annotated[
        bool,
        typer.Option("--bakeable", help="also write what `spikequant bake` needs to put weights into the bitstream"),
    ] = False,
    cache: CacheFolder = None,
    json_file: JsonFile = None,
) -> None:
    """Build a bitstream of the accelerator for a board, with open tools.

    The clock is the nearest one that the PLL can make; with `--frequency max`, the fastest one that a placement is
    found for. Exit status 0 if the bitstream is made and meets timing, 1 if a tool or the timing failed, 2 for bad
    input.
    """
    from rich.console import Console

    from spikequant.fpga.baked.bake import make_marker
    from spikequant.fpga.boards import find_board
    from spikequant.fpga.build.build import BITSTREAM, MemoryWish, find_tools
    from spikequant.fpga.sdram.timing import find_chip
    from spikequant.fpga.synth import most_steps, run_synth
    from spikequant.fpga.toolchain import usable_cores
    from spikequant.gen.output import check_output, show_written
    from spikequant.golden.layer.spec import load_spec
    from spikequant.golden.support.progress import progress_bar
    from spikequant.golden.support.store import default_cache_folder
    from spikequant.rtl.accelerator import Accelerator

    if bakeable and memory:
        raise InputError("synth: --bakeable and --memory both give the source of the weights, expected one of them")
    spec = load_spec(config)
    target = find_board(board)
    wish = MemoryWish(find_chip(memory), memory_frequency * 1e6) if memory else None
    tools = find_tools()
    kept = cache or default_cache_folder()
    search = isinf(frequency)
    check_output(json_file, folder=out)

    with progress_bar() as bar:
        task = bar.add_task("elaborating", total=most_steps(seeds, search=search))
        result = run_synth(
            lambda: Accelerator(spec),
            config=config,
            board=target,
            tools=tools,
            frequency_hz=None if search else frequency * 1e6,
            baud=baud,
            memory=wish,
            marker=make_marker(spec, cache=kept) if bakeable else None,
            seeds=range(1, seeds + 1),
            jobs=jobs or usable_cores(),
            allow_timing_failure=allow_timing_failure,
            out=out,
            cache=kept,
            progress=lambda step: bar.update(task, advance=1, description=step),
        )

    result.figures().write(json_file)
    Console().print(result.table())
    typer.echo(result.summary())
    show_written(out / BITSTREAM if result.bitstream else out, json_file)
    if not result.timing_met:
        typer.echo(f"spikequant: timing: {result.shortfall()}", err=True)
    if result.bitstream is None:
        raise typer.Exit(FAILED)
