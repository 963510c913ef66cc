"""Prices of what a board has around an accelerator, from made-up builds."""

import pytest

from spikequant.fpga.estimate.prices import Priced
from spikequant.fpga.estimate.surroundings import Extra, fit_surroundings, left_out_board_errors
from spikequant.golden.layer.spec import Spec

DESIGNS = {
    f"{neurons}x4": Priced(Spec(neurons=neurons), {"array": 300 + 40 * neurons, "encoder": 800})
    for neurons in (8, 16, 32, 64)
}


def extra(design: str, *, memory: bool = False, around: int) -> Extra:
    alone = DESIGNS[design].total
    return Extra(design, memory, alone=alone, total=alone + around)


def test_prices_are_averages() -> None:
    found = fit_surroundings([extra("8x4", around=1200), extra("16x4", around=1300)])
    assert (found.line, found.memory) == (1250, 0)
    found = fit_surroundings(
        [extra("8x4", around=1200), extra("8x4", memory=True, around=2600), extra("64x4", memory=True, around=2800)]
    )
    assert (found.line, found.memory) == (1200, 1500)
    assert (found.total(memory=False), found.total(memory=True)) == (1200, 2700)


def test_each_build_is_estimated_from_the_others() -> None:
    same = [extra(design, around=1250) for design in ("8x4", "16x4", "64x4")]
    assert left_out_board_errors(same, DESIGNS) == pytest.approx([0, 0, 0], abs=1e-3)
    *_, error = left_out_board_errors([*same[:2], extra("64x4", around=1250 + 500)], DESIGNS)
    assert error == pytest.approx(-500 / (DESIGNS["64x4"].total + 1750), abs=1e-3)


def test_a_memory_that_no_other_accelerator_has_is_left_out() -> None:
    builds = [extra("8x4", around=1250), extra("16x4", around=1250), extra("16x4", memory=True, around=2700)]
    assert len(left_out_board_errors(builds, DESIGNS)) == 2
    assert left_out_board_errors(builds[:1], DESIGNS) == []
