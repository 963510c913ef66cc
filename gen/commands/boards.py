"""The command ``boards``."""

from spikequant.gen.commands.options import JsonFile


def boards(json_file: JsonFile = None) -> None:
    """List the boards that bitstreams can be built for, for --board."""
    from spikequant.fpga.boards import BOARDS
    from spikequant.gen.output import show_choices

    show_choices(
        {
            name: f"{board.device}{' with SDRAM' if board.sdram else ''}, sized for preset {board.preset}"
            for name, board in BOARDS.items()
        },
        json_file,
    )
