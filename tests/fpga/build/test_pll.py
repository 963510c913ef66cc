import re
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikequant.fpga.build.pll import highest_clock, pll_settings
from spikequant.fpga.toolchain import find_tool
from spikequant.golden.support.errors import InputError


@given(st.floats(10e6, 400e6))
def test_settings_keep_to_the_ranges_and_come_near(wanted_hz: float) -> None:
    pll = pll_settings(25e6, wanted_hz)
    assert all(1 <= divider <= 128 for divider in (pll.input_divider, pll.feedback_divider, pll.output_divider))
    assert 400e6 <= pll.vco_hz <= 800e6
    assert pll.input_hz / pll.input_divider >= 3.125e6
    assert pll.output_hz == pytest.approx(pll.vco_hz / pll.output_divider)
    assert 10e6 <= pll.output_hz <= 400e6
    # half of the finest step, or the coarser ones near the ends
    assert abs(pll.output_hz - wanted_hz) <= 3.125e6 / 2 + 1


@pytest.mark.parametrize("megahertz", [12, 40, 48, 65, 100, 110, 133, 150, 200, 399])
def test_settings_are_those_of_ecppll(megahertz: int, tmp_path: Path) -> None:
    command = [str(find_tool("ecppll").path), "--clkin", "25", "--clkout0", str(megahertz), "--file", "pll.v"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    verilog = (tmp_path / "pll.v").read_text()
    pll = pll_settings(25e6, megahertz * 1e6)
    setting = {name: int(value) for name, value in re.findall(r"\.(CLK\w+)\((\d+)\)", verilog)}
    assert setting["CLKI_DIV"] == pll.input_divider
    assert setting["CLKFB_DIV"] == pll.feedback_divider
    assert setting["CLKOP_DIV"] == pll.output_divider
    # ecppll rounds half a divider down after a division that is at times a little low
    assert setting["CLKOP_CPHASE"] in {pll.output_phase, pll.output_phase - 1}


@pytest.mark.parametrize("megahertz", [0, -1, 9.9, 400.1, float("nan"), float("inf")])
def test_a_clock_that_the_pll_cannot_make_is_refused(megahertz: float) -> None:
    with pytest.raises(InputError, match=r"^frequency: .* MHz .*expected 10\.\.400 MHz$"):
        pll_settings(25e6, megahertz * 1e6)


@given(st.floats(10e6, 150e6), st.floats(20e6, 143e6))
def test_a_second_output_is_never_too_fast(wanted_hz: float, second_hz: float) -> None:
    pll = pll_settings(25e6, wanted_hz, second_hz=second_hz)
    assert pll.output_hz == pll_settings(25e6, wanted_hz).output_hz
    assert pll.second_hz is not None
    assert pll.second_divider is not None
    assert 1 <= pll.second_divider <= 128
    assert pll.second_hz <= second_hz * (1 + 1e-6)
    # a divider less would be too fast
    assert pll.vco_hz / max(pll.second_divider - 1, 0.5) > second_hz


def test_usual_pairs_of_clocks_are_exact() -> None:
    for wanted, second in ((60, 120), (75, 120), (80, 120), (100, 120)):
        pll = pll_settings(25e6, wanted * 1e6, second_hz=second * 1e6)
        assert (pll.output_hz, pll.second_hz) == pytest.approx((wanted * 1e6, second * 1e6))


@given(st.floats(15e6, 400e6), st.sampled_from([12e6, 25e6, 48e6, 100e6]))
def test_the_highest_clock_below_a_limit_is_one_of_the_plls(limit_hz: float, input_hz: float) -> None:
    found = highest_clock(input_hz, limit_hz)
    assert 10e6 <= found <= limit_hz
    assert pll_settings(input_hz, found).output_hz == found
    # the nearest clock is this one, or one above the limit
    nearest = pll_settings(input_hz, limit_hz).output_hz
    assert nearest == found or nearest > limit_hz


def test_a_limit_below_all_clocks_is_refused() -> None:
    assert highest_clock(25e6, 500e6) == 400e6
    with pytest.raises(InputError, match=r"^frequency: the design reaches 11\.0 MHz"):
        highest_clock(12e6, 11e6)
