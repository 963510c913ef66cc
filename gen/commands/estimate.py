"""The command ``estimate``."""

import typer

from spikequant.gen.commands.options import BoardMemory, BoardName, ClockMHz, JsonFile, SpecName
from spikequant.golden.support.command_line import FAILED


def estimate(
    config: SpecName = "base",
    board: BoardName = "ulx3s_85f",
    frequency: ClockMHz = 60.0,
    memory: BoardMemory = None,
    json_file: JsonFile = None,
) -> None:
    """Estimate resources on a board and speed before synthesis, with error bounds.

    Resources are those of `synth`: the accelerator with clock, serial line and, with --memory, the SDRAM's controller.
    Settings beyond those of the measured designs are listed; no error is known for them. Exit status 0 if the board's
    device holds the design, 1 if not, 2 for bad input.
    """
    from rich.console import Console

    from spikequant.fpga.boards import check_sdram, find_board
    from spikequant.fpga.estimate.estimate import estimate as estimate_spec
    from spikequant.fpga.estimate.estimate import estimate_table
    from spikequant.fpga.estimate.measurement import load_measured
    from spikequant.fpga.sdram.timing import find_chip
    from spikequant.gen.output import check_output, show_written
    from spikequant.golden.layer.spec import load_spec

    spec = load_spec(config)
    target = find_board(board)
    chip = find_chip(memory) if memory else None
    if chip:
        check_sdram(target)
    check_output(json_file)
    found = estimate_spec(spec, load_measured())
    figures = found.figures(config=config, board=target, frequency_hz=frequency * 1e6, chip=chip)
    figures.write(json_file)
    Console().print(estimate_table(figures, target))
    show_written(json_file)
    if not figures.fits:
        typer.echo(f"spikequant: board {target.name}: the design does not fit the {target.device}", err=True)
        raise typer.Exit(FAILED)
