"""The commands ``synth``, ``estimate`` and ``program``."""

from pathlib import Path
from typing import Annotated

import typer

from spikequant.fpga.boards import DEFAULT_BAUD
from spikequant.golden.support.errors import InputError
from spikequant.golden.support.options import CacheFolder, JsonFile, SpecName


def synth(
    out: Annotated[Path, typer.Option(metavar="DIR", help="folder to write the bitstream and the logs to")],
    config: SpecName = "base",
    board: Annotated[str, typer.Option(metavar="NAME", help="board to build for")] = "ulx3s_85f",
    frequency: Annotated[float, typer.Option(metavar="MHZ", help="clock; the PLL makes the nearest it can")] = 60.0,
    baud: Annotated[int, typer.Option(help="bits a second on the serial line")] = DEFAULT_BAUD,
    memory: Annotated[
        str | None,
        typer.Option(metavar="CHIP", help="weights from the board's SDRAM, such as AS4C16M16SA-7", show_default=False),
    ] = None,
    memory_frequency: Annotated[float, typer.Option(metavar="MHZ", help="clock of the SDRAM at most")] = 120.0,
    seeds: Annotated[int, typer.Option(metavar="N", min=1, help="place and route from seeds 1..N, keep the best")] = 1,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="seeds at a time; as many as there are cores", show_default=False)
    ] = None,
    allow_timing_failure: Annotated[
        bool, typer.Option("--allow-timing-failure", help="keep a bitstream that is too slow for its clock")
    ] = False,
    bakeable: Annotated[
        bool, typer.Option("--bakeable", help="keep what `spikequant bake` needs to put a layer's weights there")
    ] = False,
    cache: CacheFolder = None,
    json_file: JsonFile = None,
) -> None:
    """Turn the accelerator into a bitstream for a board, with open tools.

    Exit status 0 if the bitstream is made and fast enough, 1 if a tool failed or the timing did, 2 for bad input.
    """
    from rich.console import Console

    from spikequant.fpga.baked.bake import make_marker
    from spikequant.fpga.boards import find_board
    from spikequant.fpga.build.build import MemoryWish, find_tools
    from spikequant.fpga.sdram.timing import find_chip
    from spikequant.fpga.synth import STEPS_BESIDE_SEEDS, run_synth
    from spikequant.fpga.toolchain import ToolError, usable_cores
    from spikequant.golden.layer.spec import load_spec
    from spikequant.golden.support.files import check_writable, writable_folder
    from spikequant.golden.support.progress import progress_bar
    from spikequant.golden.support.store import default_cache_folder
    from spikequant.rtl.accelerator import Accelerator

    if bakeable and memory:
        raise InputError("synth: --bakeable and --memory say where weights are, expected one of them")
    spec = load_spec(config)
    target = find_board(board)
    wish = MemoryWish(find_chip(memory), memory_frequency * 1e6) if memory else None
    tools = find_tools()
    kept = cache or default_cache_folder()
    writable_folder(out)
    if json_file is not None:
        check_writable(json_file)

    with progress_bar() as bar:
        task = bar.add_task("elaborating", total=seeds + STEPS_BESIDE_SEEDS)
        try:
            marker = make_marker(spec, cache=kept) if bakeable else None
            result = run_synth(
                lambda: Accelerator(spec),
                config=config,
                board=target,
                tools=tools,
                frequency_hz=frequency * 1e6,
                baud=baud,
                memory=wish,
                marker=marker,
                seeds=range(1, seeds + 1),
                jobs=jobs or usable_cores(),
                allow_timing_failure=allow_timing_failure,
                out=out,
                cache=kept,
                progress=lambda step: bar.update(task, advance=1, description=step),
            )
        except ToolError as error:
            typer.echo(f"spikequant: {error}", err=True)
            raise typer.Exit(1) from None

    result.figures().write(json_file)
    Console().print(result.table())
    if not result.timing_met:
        typer.echo(f"spikequant: timing: {result.shortfall()}", err=True)
    if result.bitstream is None:
        raise typer.Exit(1)


def estimate(
    config: SpecName = "base",
    board: Annotated[str, typer.Option(metavar="NAME", help="board to estimate for")] = "ulx3s_85f",
    frequency: Annotated[float, typer.Option(metavar="MHZ", min=0.001, help="clock to count seconds with")] = 60.0,
    json_file: JsonFile = None,
) -> None:
    """Tell what the accelerator takes and achieves before synthesis, each with its error as last measured.

    Exit status 0 if the board's device holds the accelerator, 1 if not, 2 for bad input.
    """
    from rich.console import Console

    from spikequant.fpga.boards import find_board
    from spikequant.fpga.estimate.estimate import estimate as estimate_spec
    from spikequant.fpga.estimate.estimate import estimate_table
    from spikequant.fpga.estimate.measurement import load_measured
    from spikequant.golden.layer.spec import load_spec
    from spikequant.golden.support.files import check_writable

    spec = load_spec(config)
    target = find_board(board)
    if json_file is not None:
        check_writable(json_file)
    found = estimate_spec(spec, load_measured())
    figures = found.figures(config=config, board=target, frequency_hz=frequency * 1e6)
    figures.write(json_file)
    Console().print(estimate_table(found, target, frequency * 1e6))
    if not figures.fits:
        typer.echo(f"spikequant: board {target.name}: the {target.device} will not hold it", err=True)
        raise typer.Exit(1)


def program(
    bitstream: Annotated[Path, typer.Argument(metavar="FILE.bit|DIR", help="bitstream, or folder that synth wrote")],
    board: Annotated[str, typer.Option(metavar="NAME", help="board that it is for")] = "ulx3s_85f",
    flash: Annotated[bool, typer.Option("--flash", help="keep it over power-down, in the board's flash")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only show the command")] = False,
    json_file: JsonFile = None,
) -> None:
    """Put a bitstream onto a board, with openFPGALoader.

    Exit status 0 if it is there, or if the command is shown, 1 if openFPGALoader failed, 2 for bad input.
    """
    import hashlib
    import shlex

    from rich.console import Console

    from spikequant.fpga.boards import find_board
    from spikequant.fpga.program import find_bitstream, find_loader, program_command, run_loader
    from spikequant.fpga.toolchain import ToolError
    from spikequant.golden.support.files import check_writable, write_json

    target = find_board(board)
    file = find_bitstream(bitstream, target)
    if json_file is not None:
        check_writable(json_file)
    command = program_command(find_loader(), target, file, flash=flash)
    typer.echo(shlex.join(command))
    if not dry_run:
        try:
            with Console(stderr=True).status(f"programming {target.name}"):
                run_loader(command)
        except ToolError as error:
            typer.echo(f"spikequant: {error}", err=True)
            raise typer.Exit(1) from None
    if json_file is not None:
        write_json(
            json_file,
            {
                "board": target.name,
                "bitstream": str(file),
                "bitstream_sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
                "command": command,
                "programmed": not dry_run,
            },
        )


def add_commands(app: typer.Typer) -> None:
    """Add this package's commands to the command line."""
    app.command()(synth)
    app.command()(estimate)
    app.command()(program)
