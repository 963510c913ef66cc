"""How a layer's inputs are cut into tiles: what the array runs for a token at a time."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from golden.score import ScoreCost, score_cost
from golden.spec import Spec
from golden.vectors import LayerVectors


@dataclass(frozen=True)
class Tile:
    """Inputs of one token that run together.

    Attributes:
        columns: int64 [n], which of the layer's columns, ascending.
        low: the weights are the low halves of the wide columns.
        cost: beats, ticks and cycles that they take.
    """

    columns: NDArray[np.int64]
    low: bool
    cost: ScoreCost


def token_tiles(vectors: LayerVectors, token: int, spec: Spec) -> list[Tile]:
    """The tiles of one token in the order in which they run.

    All columns come in tiles as deep as the synapse memory, and the low halves of the wide columns in tiles behind
    them. A tile is halved until its spikes fit a score buffer and its charge has room for its levels.

    Raises:
        ValueError: a level is larger than the accelerator's codes make it.
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
                raise ValueError(f"levels of token {token}: too large for one input a lane")
            else:
                middle = -(-len(part) // (2 * spec.lanes)) * spec.lanes
                todo += [part[middle:], part[:middle]]
    return tiles
