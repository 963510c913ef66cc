import re
from importlib import import_module
from typing import Any

import pytest

from spikequant.fpga.boards import BOARDS, Resources, check_fit, find_board
from spikequant.fpga.build.build import MemoryWish, make_plan
from spikequant.fpga.sdram.timing import CHIPS, DEFAULT_CHIP
from spikequant.golden.support.errors import InputError


@pytest.mark.parametrize("name", BOARDS)
def test_a_board_is_the_one_of_its_platform(name: str) -> None:
    board = find_board(name)
    platform = getattr(import_module(board.module), board.platform)()
    assert (board.name, platform.device) == (name, board.device)


@pytest.mark.parametrize("name", BOARDS)
def test_a_design_elaborates_on_every_board_with_clock_line_and_a_led(name: str, echo_class: Any) -> None:
    plan = make_plan(echo_class, board=find_board(name), frequency_hz=50e6, baud=1_000_000)
    assert plan.pll.output_hz == pytest.approx(50e6, rel=0.05)
    constraints = plan.files["top.lpf"].decode()
    pins = re.findall(r'LOCATE COMP "(\w+)__io" SITE "(\w+)"', constraints)
    assert len({site for _, site in pins}) == len(pins) >= 4
    assert sum("uart" in pin for pin, _ in pins) == 2
    assert any("led" in pin for pin, _ in pins)
    assert "FREQUENCY" in constraints


def test_an_unknown_board_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"^board: unknown board 'icestick', expected one of .*ulx3s_85f") as caught:
        find_board("icestick")
    assert "\n" not in str(caught.value)


def test_a_design_fits_up_to_the_last_cell() -> None:
    board = find_board("ulx3s_85f")
    check_fit(board.capacity, board.device, target=board.name)
    needed = Resources(luts=83640, ffs=83641, ebrs=240, dsps=0)
    with pytest.raises(InputError) as caught:
        check_fit(needed, board.device, target="board ulx3s_85f")
    assert str(caught.value) == (
        "board ulx3s_85f: the design does not fit the LFE5U-85F: "
        "needs 83641 flip-flops (there are 83640), 240 EBRs (there are 208)"
    )


WISH = MemoryWish(CHIPS[DEFAULT_CHIP], 120e6)


@pytest.mark.parametrize("name", [name for name, board in BOARDS.items() if board.sdram])
def test_a_board_with_an_sdram_has_its_pins_and_a_second_clock(name: str, echo_class: Any) -> None:
    plan = make_plan(echo_class, board=find_board(name), frequency_hz=75e6, baud=1_000_000, memory=WISH)
    constraints = plan.files["top.lpf"].decode()
    sites = dict(re.findall(r'LOCATE COMP "sdram_0__(\w+)__io(?:\[\d+\])?" SITE "(\w+)"', constraints))
    assert {"clk", "clk_en", "cs", "ras", "cas", "we", "ba", "a", "dq", "dqm"} <= set(sites)
    assert len(re.findall(r'LOCATE COMP "sdram', constraints)) == 39
    assert plan.memory is not None
    assert (plan.pll.output_hz, plan.memory.clock_hz) == (75e6, 120e6)
    assert b"CLKOS_DIV" in plan.files["top.il"]


def test_a_clock_at_which_the_sdram_cannot_be_read_is_refused(echo_class: Any) -> None:
    slower = MemoryWish(CHIPS[DEFAULT_CHIP], 60e6)
    with pytest.raises(
        InputError, match=r"^memory clock: 60 MHz, expected 111\.1 to 131\.6 MHz for the AS4C16M16SA-7$"
    ):
        make_plan(echo_class, board=find_board("ulx3s_85f"), frequency_hz=60e6, baud=1_000_000, memory=slower)


def test_a_board_without_an_sdram_is_told(echo_class: Any) -> None:
    with pytest.raises(InputError, match=r"^board: ecpix5_45f has no SDR SDRAM, expected a ulx3s with a memory$"):
        make_plan(echo_class, board=find_board("ecpix5_45f"), frequency_hz=75e6, baud=1_000_000, memory=WISH)
