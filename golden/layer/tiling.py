"""Tiles of a layer's inputs: what the array runs at a time for one token."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikequant.golden.layer.score import ScoreCost, score_cost
from spikequant.golden.layer.spec import Spec
from spikequant.golden.layer.vectors import LayerVectors


@dataclass(frozen=True)
class Tile:
    """Inputs of one token that run together.

    Attributes:
        columns: int64 [n], indices of the layer's columns, ascending.
        low: the weights are the low halves of the wide columns.
        cost: beats, ticks and cycles.
    """

    columns: NDArray[np.int64]
    low: bool
    cost: ScoreCost


def weight_rows(spec: Spec, *, inputs: int, wide: int) -> int:
    """Rows of a layer's weights for one tile of outputs, then ``wide`` low halves; both begin at lane 0."""
    return sum(-(-rows // spec.lanes) * spec.lanes for rows in (inputs, wide))


def keeps_all_weights(spec: Spec, *, inputs: int, wide: int) -> bool:
    """Whether a layer's weights for one tile of outputs fit the synapse memory."""
    return weight_rows(spec, inputs=inputs, wide=wide) <= spec.depth


def goes_token_by_token(spec: Spec, *, inputs: int, wide: int) -> bool:
    """Whether all tiles of a token run before the next token; otherwise the first tiles of all tokens run first.

    Charges of consecutive short tiles wait for each other to drain through the neurons, so short tiles are better
    placed between long ones. Clusters have fewer neurons and few tiles of outputs, so that each score is consumed
    quickly; then it is better not to alternate long and short tiles.
    """
    return spec.clusters == 1 and keeps_all_weights(spec, inputs=inputs, wide=wide)


def token_tiles(vectors: LayerVectors, token: int, spec: Spec) -> list[Tile]:
    """The tiles of one token in the order in which they run.

    All columns are cut into tiles as deep as the synapse memory, followed by tiles of the low halves of the wide
    columns. A tile is halved until its spikes fit a score buffer and its charge has room for its levels.

    Raises:
        ValueError: a level exceeds the range of the accelerator's codes.
    """
    tiles: list[Tile] = []
    for columns, low in ((np.arange(vectors.inputs), False), (vectors.wide.astype(np.int64), True)):
        todo = [columns[start : start + spec.depth] for start in range(0, len(columns), spec.depth)][::-1]
        while todo:
            part = todo.pop()
            level = vectors.level[token, part].astype(np.int64)
            cost = score_cost(spec, level, vectors.salient[token, part], int(vectors.shift[token]))
            if cost.fits and cost.words <= spec.score_words:
                tiles.append(Tile(columns=part, low=low, cost=cost))
            elif len(part) <= spec.lanes:
                raise ValueError(f"levels of token {token}: too large for one input per lane")
            else:
                middle = -(-len(part) // (2 * spec.lanes)) * spec.lanes
                todo += [part[middle:], part[:middle]]
    return tiles
