"""Cost of a token's spikes: the beats of a score, and the cycles that it takes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikequant.golden.layer.spec import Spec

DOUBLINGS = 2
"""Most doublings of the charge in one beat: a copy and then ``2**DOUBLINGS - 1`` ticks."""


@dataclass(frozen=True)
class PhaseCost:
    """Cost of the levels of one phase.

    Attributes:
        beats: number of beats with spikes.
        spikes: number of spikes, including each one of a burst.
        ticks: number of ticks, from the highest level down to the first.
    """

    beats: int
    spikes: int
    ticks: int


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
    # a phase without spikes still has a beat
    words = max(1, low.beats)
    cycles = words + max(low.ticks - 1, 1)
    if merged:
        pairs, single = divmod(shift, DOUBLINGS)
        words += high.beats + pairs + single
        # the salient levels begin the phase, so a tick of the normal ones never shares a cycle with their beats
        cycles = max(1, low.beats) + max(low.ticks, 1) + high.beats + high.ticks - 1
        cycles += pairs * 2**DOUBLINGS + single * 2
    elif apart.any():
        words += high.beats
        cycles += high.beats + max(high.ticks - 1, 1)
    return ScoreCost(words=words, cycles=cycles, salient=high, normal=low, merged=merged, fits=fits)
