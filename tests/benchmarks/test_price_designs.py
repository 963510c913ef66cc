"""Designs of every price measurement."""

from spikequant.benchmarks.price_designs import ON_BOARDS, VARIANTS
from spikequant.fpga.boards import find_board
from spikequant.fpga.estimate.measurement import load_measured


def test_the_last_measurement_had_these_designs() -> None:
    measured = load_measured()
    assert {name: measured.designs[name].spec for name in VARIANTS} == VARIANTS
    built = [(one.design, one.board, one.memory) for one in measured.boards]
    assert built == [(one.design, one.board, one.chip) for one in ON_BOARDS]


def test_designs_on_boards_are_variants_with_and_without_a_memory() -> None:
    assert {one.design for one in ON_BOARDS} <= set(VARIANTS)
    assert {one.chip is None for one in ON_BOARDS} == {True, False}
    assert all(find_board(one.board).sdram for one in ON_BOARDS if one.chip)
