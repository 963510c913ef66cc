"""Presets for boards."""

from spikequant.fpga.boards import BOARDS, SIZED
from spikequant.fpga.estimate.sized import largest_preset


def test_a_board_without_a_memory_has_the_preset_of_its_part() -> None:
    for board in BOARDS.values():
        assert largest_preset(board, memory=False) == SIZED[board.device]


def test_a_memory_takes_the_last_block_rams() -> None:
    found = {name: largest_preset(board, memory=True) for name, board in BOARDS.items() if board.sdram}
    assert found == {"ulx3s_25f": "base", "ulx3s_45f": "max45", "ulx3s_85f": "max45"}
