from importlib import import_module

import pytest

from fpga.boards import BOARDS, Resources, check_fit, find_board
from golden.errors import InputError


@pytest.mark.parametrize("name", BOARDS)
def test_a_board_is_the_one_of_its_platform(name: str) -> None:
    board = find_board(name)
    platform = getattr(import_module(board.module), board.platform)()
    assert (board.name, platform.device) == (name, board.device)


def test_an_unknown_board_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"^board: unknown board 'icestick', expected one of .*ulx3s_85f") as caught:
        find_board("icestick")
    assert "\n" not in str(caught.value)


def test_a_design_fits_up_to_the_last_cell() -> None:
    board = find_board("ulx3s_85f")
    check_fit(board.capacity, board)
    needed = Resources(luts=83640, ffs=83641, ebrs=240, dsps=0)
    with pytest.raises(InputError) as caught:
        check_fit(needed, board)
    assert str(caught.value) == (
        "board ulx3s_85f: the design does not fit the LFE5U-85F: "
        "needs 83641 flip-flops (there are 83640), 240 EBRs (there are 208)"
    )
