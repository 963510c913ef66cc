"""The command ``program``."""

from pathlib import Path
from typing import Annotated

import typer

from spikequant.gen.commands.options import BoardName, JsonFile
from spikequant.golden.support.figures import Figures


class ProgramFigures(Figures):
    """What was written to a board.

    Attributes:
        board: its name.
        bitstream: the file.
        bitstream_sha256: of its content.
        command: the call of openFPGALoader.
        programmed: False after ``--dry-run``.
    """

    board: str
    bitstream: str
    bitstream_sha256: str
    command: list[str]
    programmed: bool


def program(
    bitstream: Annotated[Path, typer.Argument(metavar="FILE.bit|DIR", help="bitstream, or folder that synth wrote")],
    board: BoardName = "ulx3s_85f",
    flash: Annotated[
        bool, typer.Option("--flash", help="write to the board's flash, which keeps it at power-off")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only print the command")] = False,
    json_file: JsonFile = None,
) -> None:
    """Program a board with a bitstream, with openFPGALoader.

    Exit status 0 if the board is programmed, or with --dry-run, 1 if openFPGALoader failed, 2 for bad input.
    """
    import hashlib
    import shlex

    from rich.console import Console

    from spikequant.fpga.boards import find_board
    from spikequant.fpga.program import find_bitstream, find_loader, program_command, run_loader
    from spikequant.gen.output import check_output, show_written

    target = find_board(board)
    file = find_bitstream(bitstream, target)
    check_output(json_file)
    command = program_command(find_loader(), target, file, flash=flash)
    typer.echo(shlex.join(command))
    if not dry_run:
        with Console(stderr=True).status(f"programming {target.name}"):
            run_loader(command)
    ProgramFigures(
        board=target.name,
        bitstream=str(file),
        bitstream_sha256=hashlib.sha256(file.read_bytes()).hexdigest(),
        command=command,
        programmed=not dry_run,
    ).write(json_file)
    show_written(json_file)
