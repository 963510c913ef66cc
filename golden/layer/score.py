"""Cost of a token's spikes: the beats of a score, and the cycles that it takes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikequant.golden.layer.spec import Spec

DOUBLINGS = 2
"""Most doublings of the charge in one beat, a cycle each."""


@dataclass(frozen=True)
class PhaseCost:
    """Cost of the levels of one phase.

    Attributes:
        beats: number of beats with spikes.
        spikes: number of spikes, including each one of a burst.
        ticks: number of ticks, from the highest level down to the first.
        levels: number of levels with spikes.
    """

    beats: int
    spikes: int
    ticks: int
    levels: int

    @property
    def words(self) -> int:
        """Beats of the score: a phase without spikes still has one."""
        return max(1, self.beats)

    @property
    def cycles(self) -> int:
        """Cycles from the first beat to the finished charge.

        The last tick of a level shares the cycle of the next level's first beat; one more finishes the charge.
        """
        return self.words + self.ticks - self.levels + 1


def phase_cost(spec: Spec, magnitudes: NDArray[np.int64], lanes: NDArray[np.int64]) -> PhaseCost:
    """Cost of a phase.

    Args:
        spec: the accelerator.
        magnitudes: int64 [n], number of times to add each input's weight; 0 for a silent one.
        lanes: int64 [n], each input's lane.
    """
    counts = np.zeros((spec.pairs, spec.ramp + 1), np.int64)
    pairs = lanes // spec.pair_lanes
    np.add.at(counts, (pairs, np.full_like(pairs, spec.ramp)), magnitudes // spec.ramp)
    np.add.at(counts, (pairs, magnitudes % spec.ramp), 1)
    counts[:, 0] = 0
    spikes = counts.sum(axis=0)
    return PhaseCost(
        beats=int((-(-counts // spec.pair_lanes)).max(axis=0).sum()),
        spikes=int(spikes.sum()),
        ticks=int(np.flatnonzero(spikes).max(initial=0)),
        levels=int(np.count_nonzero(spikes)),
    )


@dataclass(frozen=True)
class ScoreCost:
    """Cost of one token's tile.

    Attributes:
        words: beats of its score.
        cycles: cycles of the array, from its first beat to the end of its last phase.
        salient: cost of the salient levels of a token with a shift; without one they count as normal.
        normal: cost of all other levels.
        merged: the charge of the salient levels is doubled in place.
        fits: the charge has room for every phase.
    """

    words: int
    cycles: int
    salient: PhaseCost
    normal: PhaseCost
    merged: bool
    fits: bool


def score_cost(spec: Spec, level: NDArray[np.int64], salient: NDArray[np.bool_], shift: int) -> ScoreCost:
    """Cost of a token's tile.

    Args:
        spec: the accelerator.
        level: int64 [n], levels of the inputs in the tile.
        salient: bool [n], which of them are salient codes.
        shift: power of two on the salient codes.
    """
    lanes = np.arange(len(level)) % spec.lanes
    apart = salient & (level != 0) & (shift > 0)
    magnitude = np.abs(level)
    high = phase_cost(spec, magnitude[apart] >> shift, lanes[apart])
    low = phase_cost(spec, magnitude[~apart], lanes[~apart])
    population = int(magnitude.sum())
    merged = bool(apart.any()) and population <= spec.max_population
    populations = (int(magnitude[apart].sum()) >> shift, int(magnitude[~apart].sum()))
    fits = merged or max(populations) <= spec.max_population
    words, cycles = low.words, low.cycles
    if apart.any():
        words += high.words
        cycles += high.cycles
    if merged:
        words += -(-shift // DOUBLINGS)
        cycles += shift
    return ScoreCost(words=words, cycles=cycles, salient=high, normal=low, merged=merged, fits=fits)
