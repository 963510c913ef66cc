"""The search for the fastest clock, on made-up placements."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from spikequant.fpga.boards import Resources, find_board
from spikequant.fpga.build.build import Plan, Routed
from spikequant.fpga.build.fastest import FIRST_HZ, Attempt, fastest_met, find_fastest, most_runs
from spikequant.fpga.build.pll import pll_settings
from spikequant.fpga.build.report import ClockTiming, RouteReport
from spikequant.golden.support.errors import InputError

BAUD = 1_000_000
SEEDS = (1, 2, 3, 4)

Reached = Callable[[int, int], float]
"""Clock in MHz that a placement reaches, from the divisor (the netlist) and the seed."""


class Placements:
    """Builds attempts by a rule, and counts the placements."""

    def __init__(self, reached: Reached, *, memory_mhz: Callable[[float], float] | None = None) -> None:
        self.reached = reached
        self.memory_mhz = memory_mhz
        self.runs = 0

    def __call__(self, clock_hz: float, seeds: Sequence[int], divisor: int | None) -> Attempt:
        board = find_board("ulx3s_25f")
        pll = pll_settings(25e6, clock_hz)
        divisor = round(pll.output_hz / BAUD) if divisor is None else divisor
        plan = Plan("", board.device, files={}, commands={}, board=board, pll=pll, divisor=divisor)
        self.runs += len(seeds)
        return Attempt(plan, [self._routed(plan, seed) for seed in seeds])

    def _routed(self, plan: Plan, seed: int) -> Routed:
        wanted = plan.pll.output_hz / 1e6
        clocks = [ClockTiming("clk", wanted, self.reached(plan.divisor, seed))]
        if self.memory_mhz:
            clocks.append(ClockTiming("memory", 120.0, self.memory_mhz(wanted)))
        return Routed(seed, RouteReport(Resources(0, 0, 0, 0), tuple(clocks), slowest={}), Path())


def luck(divisor: int, seed: int) -> float:
    """Clocks between 80 and 90 MHz, as if at random."""
    return 80 + (divisor * 37 + seed * 61) % 101 / 10


def test_a_clock_just_below_what_a_placement_reaches_is_found_in_few_runs() -> None:
    placements = Placements(lambda _divisor, seed: 87.3 + seed / 100)
    tried = find_fastest(placements, baud=BAUD, seeds=SEEDS)
    found = fastest_met(tried)
    assert found.met
    # 25 MHz * 7 / 2 is 87.5, and 25 MHz * 24 / 7 is 85.7
    assert found.clock_hz == pytest.approx(25e6 * 24 / 7)
    assert placements.runs == 1 + len(SEEDS)


@pytest.mark.parametrize("offset", range(12))
def test_the_search_ends_with_the_best_of_the_last_netlist(offset: int) -> None:
    placements = Placements(lambda divisor, seed: luck(divisor + offset, seed))
    tried = find_fastest(placements, baud=BAUD, seeds=SEEDS)
    assert placements.runs <= most_runs(len(SEEDS))
    found = fastest_met(tried)
    assert found.met
    assert found.clock_hz == max(one.clock_hz for one in tried if one.met)
    assert found.clock_hz >= 80e6
    assert abs(found.plan.baud / BAUD - 1) <= 0.02


@pytest.mark.parametrize("reached", [12.0, 55.0, 99.9, 100.0, 100.1, 180.0, 399.0, 500.0])
def test_any_range_is_found(reached: float) -> None:
    tried = find_fastest(Placements(lambda _divisor, _seed: reached), baud=BAUD, seeds=SEEDS)
    assert tried[0].clock_hz == FIRST_HZ
    found = fastest_met(tried).clock_hz / 1e6
    assert found <= min(reached, 400)
    assert found > min(reached, 400) - 3.2


def test_the_same_search_again_takes_the_same_steps() -> None:
    first, again = (
        [(one.clock_hz, one.plan.divisor, [routed.seed for routed in one.routed]) for one in found]
        for found in (find_fastest(Placements(luck), baud=BAUD, seeds=SEEDS) for _ in range(2))
    )
    assert first == again


def test_seeds_with_a_slow_memory_are_no_choice() -> None:
    attempt = Placements(luck, memory_mhz=lambda _mhz: 110.0)(85e6, SEEDS, None)
    assert not attempt.met
    # the memory gets slower with the clock here
    placements = Placements(lambda _divisor, _seed: 90.0, memory_mhz=lambda mhz: 120 + 85 - mhz)
    found = fastest_met(find_fastest(placements, baud=BAUD, seeds=SEEDS))
    assert found.met
    assert found.clock_hz <= 85e6


def test_a_design_below_the_range_of_the_pll_is_refused() -> None:
    with pytest.raises(InputError, match=r"^frequency: the design reaches 9\.0 MHz, expected 10 MHz at least$"):
        find_fastest(Placements(lambda _divisor, _seed: 9.0), baud=BAUD, seeds=SEEDS)


def test_without_a_clock_that_is_met_the_last_attempt_counts() -> None:
    tried = find_fastest(Placements(luck, memory_mhz=lambda _mhz: 100.0), baud=BAUD, seeds=(1,))
    assert fastest_met(tried) is tried[-1]
    assert not tried[-1].met
