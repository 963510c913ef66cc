"""Expected cycles of a token, from the frequency of each level at the inputs of each kind of layer.

A beat has up to two spikes for every pair of lanes, so a level takes as many beats as its fullest pair needs. The
expectation assumes that the levels of inputs are independent.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikequant.fpga.estimate.measurement import Site
from spikequant.golden.layer.score import DOUBLINGS
from spikequant.golden.layer.spec import Spec
from spikequant.golden.layer.tiling import keeps_all_weights
from spikequant.rtl.cycles.throughput import SPIKING, Counted, layer_cycles
from spikequant.rtl.cycles.token_cost import LEVEL_CYCLES, SALIENT_CYCLES, SHORT_LIST, TokenCost
from spikequant.rtl.packet_sizes import CODES_PER_WORD

TOKENS = 32
"""Number of average tokens for which a layer's cycles are counted."""


def _at_most(trials: int, share: float) -> NDArray[np.float64]:
    """Probabilities of at most 0, 1, ... ``trials`` successes in ``trials`` independent trials."""
    chances = np.zeros(trials + 1)
    logs = np.cumsum(np.log(np.arange(1, trials + 1))) if trials else np.zeros(0)
    factorial = np.concatenate([[0.0], logs])
    hits = np.arange(trials + 1)
    if not 0 < share < 1:
        chances[0 if share <= 0 else trials] = 1
    else:
        chances = np.exp(
            factorial[-1] - factorial - factorial[::-1] + hits * np.log(share) + (trials - hits) * np.log1p(-share)
        )
    return np.minimum(np.cumsum(chances), 1.0)


def expected_beats(spec: Spec, inputs: int, share: float) -> float:
    """Expected beats of a level that each of ``inputs`` has with probability ``share``."""
    at_most = _at_most(-(-inputs // spec.pairs), share)
    # the fullest pair needs more than b beats unless every pair has at most b times its lanes
    return float((1 - at_most[:: spec.pair_lanes] ** spec.pairs).sum())


@dataclass(frozen=True)
class _Phase:
    """Beats, cycles on the array, cycles in which the encoder reads inputs, words with a level at the ramp's top."""

    beats: float
    cycles: float
    takes: float
    tops: float


def _phase(spec: Spec, inputs: int, shares: Sequence[float]) -> _Phase:
    """Expectations of a phase whose inputs have magnitude 1, 2, ... with these shares."""
    levels = np.zeros(spec.ramp + 1)
    bursts = 0.0
    for magnitude, share in enumerate(shares, start=1):
        bursts += share * (magnitude // spec.ramp)
        if magnitude % spec.ramp:
            levels[magnitude % spec.ramp] += share
    levels[spec.ramp] = bursts
    beats = [expected_beats(spec, inputs, min(share, 1.0)) for share in levels[1:]]
    # the highest level that any input has
    present = 1 - (1 - np.minimum(levels[1:], 1.0)) ** inputs
    none_above = np.concatenate([np.cumprod((1 - present)[::-1])[::-1][1:], [1.0]])
    ticks = float((np.arange(1, spec.ramp + 1) * present * none_above).sum())
    # with one bucket for each lane, excess spikes of the fuller lane of a pair take beats of their own
    lane = -(-inputs // spec.lanes)
    spread = [np.sqrt(lane * share * (1 - min(share, 1.0)) / np.pi) for share in levels[1:]]
    alone = spec.pair_lanes == 2 and spec.lanes >= CODES_PER_WORD
    takes = [max(one, SHORT_LIST) + (more if alone else 0) for one, more in zip(beats, spread, strict=True)]
    top = min(1.0, sum(shares[spec.ramp - 1 :]))
    cycles = max(1.0, sum(beats)) + ticks - float(present.sum()) + 1
    return _Phase(beats=sum(beats), cycles=cycles, takes=sum(takes), tops=1 - (1 - top) ** CODES_PER_WORD)


def _average_cost(spec: Spec, site: Site, inputs: int, *, shifted: bool, complete: bool) -> TokenCost:
    """Cost of an average token's tile of ``inputs`` inputs, with or without shifted salient codes."""
    low = _phase(spec, inputs, site.normal)
    words = max(1.0, low.beats)
    fill, walk = inputs / CODES_PER_WORD * (1 + low.tops), LEVEL_CYCLES * spec.ramp + low.takes
    phases: tuple[float, ...] = (low.cycles,)
    if shifted:
        shares = [share / site.shifted for share in site.salient]
        high = _phase(spec, inputs, shares)
        doublings = site.doublings / DOUBLINGS
        levels = sum(share * magnitude for magnitude, share in enumerate(site.normal, start=1))
        levels += 2**site.doublings * sum(share * magnitude for magnitude, share in enumerate(shares, start=1))
        merged = inputs * levels <= spec.max_population
        words += high.beats + (doublings if merged else 0)
        walk += SALIENT_CYCLES + LEVEL_CYCLES * spec.ramp + high.takes + (doublings if merged else 0)
        phases = (high.cycles + site.doublings + low.cycles,) if merged else (high.cycles, low.cycles)
    return TokenCost(
        fill=round(fill),
        walk=round(walk),
        apart=shifted,
        phases=tuple(round(cycles) for cycles in phases),
        words=min(round(words), spec.score_words),
        complete=complete,
    )


def site_cycles(spec: Spec, site: Site) -> float:
    """Cycles of one token in all layers of a kind, waiting included."""
    tiles = [min(spec.depth, site.inputs - start) for start in range(0, site.inputs, spec.depth)]
    tiles += [min(spec.depth, site.wide - start) for start in range(0, site.wide, spec.depth)]

    def cost_of(token: int, number: int) -> TokenCost:
        # shifted tokens are evenly distributed
        shifted = int((token + 1) * site.shifted) > int(token * site.shifted)
        return _average_cost(spec, site, tiles[number], shifted=shifted, complete=number == len(tiles) - 1)

    numbers = range(len(tiles))
    if keeps_all_weights(spec, inputs=site.inputs, wide=site.wide):
        costs = [[cost_of(token, number) for number in numbers] for token in range(TOKENS)]
    else:
        costs = [
            [cost_of(token, number)]
            for first in range(0, TOKENS, spec.membrane_slots)
            for number in numbers
            for token in range(first, min(first + spec.membrane_slots, TOKENS))
        ]
    counts = Counter(-(-outputs // spec.neurons) for outputs in site.layers)
    cycles = sum(
        layers * layer_cycles(spec, costs, output_tiles=tiles, counted=Counted(), latencies=SPIKING)
        for tiles, layers in counts.items()
    )
    return cycles / TOKENS
