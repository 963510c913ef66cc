"""Search for the fastest clock that meets timing.

A placement does not depend on its target: with the same seed and netlist, another setting of the PLL gives the same
paths. But the smallest change of the netlist gives another placement, and its clock is a matter of luck. So the search
keeps the divisor of the serial line, on which the netlist depends, where the baud rate allows it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from spikequant.fpga.build.build import Plan, Routed
from spikequant.fpga.build.pll import highest_clock
from spikequant.fpga.link.uart import divides

FIRST_HZ = 100e6
"""Target of the first placement, which finds the range of the clock."""

SWEEPS = 2
"""Most netlists that are placed and routed from all seeds."""

REBUILDS = 3
"""Most placements from single seeds besides the first."""

PERIOD_ROUNDING = 1e-12
"""Seconds by which nextpnr may round the period of a target down."""

BELOW = 1 - 1e-6
"""Factor that excludes a clock itself from those that are not above it."""


@dataclass(frozen=True)
class Attempt:
    """A design placed and routed for one clock; ``routed`` has one result for each seed, one or more."""

    plan: Plan
    routed: Sequence[Routed]

    @property
    def clock_hz(self) -> float:
        """The target."""
        return self.plan.pll.output_hz

    @property
    def best(self) -> Routed:
        """The seed with the fastest accelerator, among those whose memory is fast enough if there are any."""
        return max(self.routed, key=lambda one: (one.report.others_met(self.clock_hz), self.achieved_mhz(one)))

    @property
    def met(self) -> bool:
        """Whether the best seed meets timing."""
        return self.best.report.timing_met

    def achieved_mhz(self, routed: Routed) -> float:
        """Highest clock of the accelerator in one of the results."""
        return routed.report.achieved_mhz(self.clock_hz)

    def next_hz(self) -> float:
        """Highest clock of the PLL that the best seed reaches; below the target if that is missed.

        Raises:
            InputError: it reaches less than the PLL can make.
        """
        reached = 1 / (1e-6 / self.achieved_mhz(self.best) + PERIOD_ROUNDING)
        limit = reached if self.met else min(reached, self.clock_hz * BELOW)
        return highest_clock(self.plan.pll.input_hz, limit)


Build = Callable[[float, Sequence[int], int | None], Attempt]
"""Builds for a clock in Hz, from seeds, with a divisor of the serial line if not the nearest one."""


def most_runs(seeds: int) -> int:
    """Upper bound of the placements of a search."""
    return 1 + SWEEPS * seeds + REBUILDS


def find_fastest(build: Build, *, baud: int, seeds: Sequence[int]) -> list[Attempt]:
    """Aim at the clock that the last attempt reached, until none is faster than the fastest that is met.

    The first attempt has one seed and finds the range. A changed netlist is built from all seeds, the same netlist
    with another clock from the best seed alone.

    Args:
        build: places and routes; its results must depend on its arguments alone.
        baud: bits a second on the serial line.
        seeds: seeds of the placements.

    Returns:
        All attempts in their order; ``fastest_met`` chooses from them.

    Raises:
        InputError: the design is slower than any clock of the PLL, or the clock does not allow the baud rate.
    """
    tried = [build(FIRST_HZ, seeds[:1], None)]
    sweeps = rebuilds = 0
    while rebuilds < REBUILDS:
        last = tried[-1]
        clock_hz = last.next_hz()
        if sweeps and clock_hz <= max((one.clock_hz for one in tried if one.met), default=0.0):
            break
        divisor = last.plan.divisor if sweeps and divides(last.plan.divisor, clock_hz, baud) else None
        if divisor is None and sweeps < SWEEPS:
            sweeps += 1
            tried.append(build(clock_hz, seeds, None))
        else:
            rebuilds += 1
            tried.append(build(clock_hz, (last.best.seed,), divisor))
    return tried


def fastest_met(tried: Sequence[Attempt]) -> Attempt:
    """The attempt with the fastest clock that is met; the last one if none is."""
    return max((one for one in tried if one.met), key=lambda one: one.clock_hz, default=tried[-1])
