"""Cycles of one token's inputs on the accelerator: codes in, sorting, and run."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from spikequant.golden.layer.score import DOUBLINGS, ScoreCost, score_cost
from spikequant.golden.layer.spec import Spec
from spikequant.golden.layer.tiling import Tile, goes_token_by_token, keeps_all_weights
from spikequant.golden.layer.vectors import LayerVectors
from spikequant.rtl.encoder.bucket import HEADS
from spikequant.rtl.packet_sizes import CODES_PER_WORD

LEVEL_CYCLES = 1
"""Cycles of the encoder's walk for each level, in addition to those in which inputs are taken."""

SHORT_LIST = 1
"""Fewest further cycles of a level in which a bucket has fewer inputs than heads."""

SALIENT_CYCLES = 2
"""Cycles of the walk around its phase of salient levels."""


@dataclass(frozen=True)
class TokenCost:
    """Cost of one token's tile.

    Attributes:
        fill: cycles in which its codes come in.
        walk: cycles of the walk through its levels, during which the next token's codes may come in.
        apart: some of its levels are in lists of the salient phase.
        phases: cycles of each phase on the array.
        words: size in a buffer, in beats.
        complete: the token's result follows.
    """

    fill: int
    walk: int
    apart: bool
    phases: tuple[int, ...]
    words: int
    complete: bool = True


def bucket_counts(spec: Spec, magnitudes: NDArray[np.int64], buckets: NDArray[np.int64]) -> NDArray[np.int64]:
    """Spikes of each bucket of the encoder at each level of the ramp, int64 [buckets, ramp + 1]; level 0 has none."""
    counts = np.zeros((max(spec.lanes, CODES_PER_WORD), spec.ramp + 1), np.int64)
    np.add.at(counts, (buckets, np.full_like(buckets, spec.ramp)), magnitudes // spec.ramp)
    np.add.at(counts, (buckets, magnitudes % spec.ramp), 1)
    counts[:, 0] = 0
    return counts


def level_takes(spec: Spec, counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Cycles in which inputs are taken at each level, int64 [ramp + 1], by the counts of each bucket."""
    if spec.lanes == 1:
        return np.asarray(counts.sum(axis=0))
    if spec.lanes * 2 == len(counts):
        return _one_pair_takes(counts)
    pairs = counts.reshape(spec.pairs, 2, -1)
    # beats in which both lanes give an input, and beats in which only one of them does, the last one half empty
    both = pairs.min(axis=1)
    single = pairs.max(axis=1) - both
    # a pair that takes two cycles for a beat stalls all others
    beats, slow_last = both + -(-single // 2), both + single // 2
    total = np.zeros(counts.shape[1], np.int64)
    for level in range(counts.shape[1]):
        longest = int(beats[:, level].max())
        slow = np.zeros(longest, np.bool_)
        for first, last in zip(both[:, level], slow_last[:, level], strict=True):
            slow[first:last] = True
        total[level] = longest + int(slow.sum())
    return total


def _one_pair_takes(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """``level_takes`` for two lanes with two buckets each: the rest of one lane comes in pairs from its two buckets."""
    lanes = counts.reshape(2, 2, -1).swapaxes(0, 1)
    sums = lanes.sum(axis=1)
    both = sums.min(axis=0)
    longer = np.where(sums[0] > sums[1], lanes[0], lanes[1])
    left = np.abs(sums[0] - sums[1])
    most = np.clip(longer.max(axis=0) - both // 2, -(-left // 2), left)
    return np.asarray(both + most)


def encode_parts(
    spec: Spec, level: NDArray[np.int64], salient: NDArray[np.bool_], shift: int, *, merged: bool
) -> tuple[int, int]:
    """Cycles in which a token's codes come into the encoder, and cycles of the walk through its levels.

    Args:
        spec: the accelerator.
        level: int64 [n], levels of the inputs in the tile.
        salient: bool [n], which of them are salient codes.
        shift: power of two on the salient codes.
        merged: the charge of the salient levels is doubled in place.
    """
    buckets = np.arange(len(level)) % max(spec.lanes, CODES_PER_WORD)
    apart = salient & (level != 0) & (shift > 0)
    fired = np.where(apart, np.abs(level) >> shift, np.abs(level))
    padded = np.pad(fired, (0, -len(level) % CODES_PER_WORD)).reshape(-1, CODES_PER_WORD)
    # a word with an input at the ramp's top takes a cycle more
    fill = len(padded) + int((padded.max(axis=1) >= spec.ramp).sum())
    walk = 0
    for chosen in [apart, ~apart] if apart.any() else [~apart]:
        counts = bucket_counts(spec, fired * chosen, buckets)
        short = (counts < HEADS).any(axis=0)
        cycles = np.maximum(level_takes(spec, counts), SHORT_LIST * short) + LEVEL_CYCLES
        walk += int(cycles[1:].sum())
    if apart.any():
        walk += SALIENT_CYCLES + (-(-shift // DOUBLINGS) if merged else 0)
    return fill, walk


def spiking_cost(spec: Spec, level: NDArray[np.int64], salient: NDArray[np.bool_], shift: int) -> TokenCost:
    """Cost of a token's tile on the accelerator; ``level``, ``salient`` and ``shift`` as for ``encode_parts``."""
    cost = score_cost(spec, level, salient, shift)
    fill, walk = encode_parts(spec, level, salient, shift, merged=cost.merged)
    apart = bool(cost.salient.beats)
    return TokenCost(fill=fill, walk=walk, apart=apart, phases=_score_phases(cost), words=cost.words)


def _score_phases(cost: ScoreCost) -> tuple[int, ...]:
    if cost.merged or not cost.salient.beats:
        return (cost.cycles,)
    return (cost.salient.cycles, cost.normal.cycles)


def spiking_costs(spec: Spec, vectors: LayerVectors, tiles: Sequence[Sequence[Tile]]) -> list[list[TokenCost]]:
    """Costs of a layer's tokens on the accelerator, in the order and in the groups of the layer's program.

    Args:
        spec: the accelerator.
        vectors: the layer.
        tiles: tiles of each token, from ``spikequant.golden.layer.tiling.token_tiles``.
    """

    def segment(tile: Tile) -> tuple[bool, int]:
        place = np.searchsorted(vectors.wide, tile.columns[0]) if tile.low else tile.columns[0]
        return tile.low, int(place) // spec.depth

    whole = token_costs(spec, vectors, tiles)
    if goes_token_by_token(spec, inputs=vectors.inputs, wide=vectors.wide.size) and _fit(spec, whole):
        return whole
    costs = []
    for block in membrane_blocks(spec, vectors):
        # the weights of a segment stay loaded for all tokens of a block
        for loaded in sorted({segment(tile) for token in block for tile in tiles[token]}):
            for token in block:
                for tile, cost in zip(tiles[token], whole[token], strict=True):
                    if segment(tile) == loaded:
                        costs.append([cost])
    return costs


def token_costs(spec: Spec, vectors: LayerVectors, tiles: Sequence[Sequence[Tile]]) -> list[list[TokenCost]]:
    """Costs of each token's tiles in the order in which they run; arguments as for ``spiking_costs``."""
    return [
        [
            replace(spiking_cost(spec, *tile_levels(vectors, token, tile.columns)), complete=number == len(own) - 1)
            for number, tile in enumerate(own)
        ]
        for token, own in enumerate(tiles)
    ]


def resident_costs(spec: Spec, vectors: LayerVectors, tiles: Sequence[Sequence[Tile]]) -> list[list[TokenCost]]:
    """Costs of a layer whose weights are on chip, token by token; else, or if a token does not fit a buffer, as loaded.

    Arguments as for ``spiking_costs``.
    """
    whole = token_costs(spec, vectors, tiles)
    if keeps_all_weights(spec, inputs=vectors.inputs, wide=vectors.wide.size) and _fit(spec, whole):
        return whole
    return spiking_costs(spec, vectors, tiles)


def _fit(spec: Spec, groups: Sequence[Sequence[TokenCost]]) -> bool:
    """Whether the scores of each group fit a buffer together."""
    return all(sum(cost.words for cost in group) <= spec.score_words for group in groups)


def membrane_blocks(spec: Spec, vectors: LayerVectors) -> list[range]:
    """Blocks of tokens whose membranes fit the slots together."""
    return [
        range(first, min(first + spec.membrane_slots, vectors.tokens))
        for first in range(0, vectors.tokens, spec.membrane_slots)
    ]


def tile_levels(
    vectors: LayerVectors, token: int, columns: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.bool_], int]:
    """Levels, salience and salient shift of one token in some columns."""
    level = vectors.level[token, columns].astype(np.int64)
    return level, vectors.salient[token, columns], int(vectors.shift[token])
