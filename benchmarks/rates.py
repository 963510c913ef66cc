"""Tokens a second of a whole model on one accelerator or its twin, with weights on chip or from an external memory.

Weights on chip are always available. Weights from a memory are loaded through the stream while nothing runs: a tile of
outputs waits for its weights, and the next tile's weights wait for that tile. So a layer takes, for each of its tiles,
the time of its weights, ``max(words / clock, bytes / bandwidth)``, plus that of its tokens. Tokens of a batch share the
weights. Optionally a row of weights is skipped where all of the batch's tokens have level 0 at its input; both arrays
save the same.

Only the linear layers of the decoder count, one after the other: a layer starts when all tokens of the batch have
finished the previous one. Layers that share their input run as one.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from spikequant.benchmarks.shapes import ARRAYS, Array
from spikequant.benchmarks.twin.cycles import twin_costs
from spikequant.benchmarks.work import LATENCIES
from spikequant.golden.layer.fusion import fused_neighbours
from spikequant.golden.layer.spec import WORD_BITS, Spec
from spikequant.golden.layer.tiling import token_tiles
from spikequant.golden.layer.vectors import LayerVectors
from spikequant.rtl.cycles.throughput import Counted, layer_runs, run_cycles
from spikequant.rtl.cycles.token_cost import TokenCost, spiking_costs

NEURON_WORDS = 3
"""Words of a neuron's constants at most: threshold, bias and zero point."""


@dataclass(frozen=True)
class Batch:
    """Cost of a batch of tokens in all layers of a model.

    Attributes:
        tokens: in the batch.
        cycles: of the tokens, by array.
        words: of the stream, in which weights and constants come.
        words_used: the same without rows at which all tokens are silent.
    """

    tokens: int
    cycles: Mapping[Array, int]
    words: int
    words_used: int

    def rate(self, array: Array, clock_hz: float) -> float:
        """Tokens a second with weights on chip."""
        return self.tokens * clock_hz / self.cycles[array]

    def streamed_rate(self, array: Array, clock_hz: float, *, bandwidth: float, skip_silent: bool = False) -> float:
        """Tokens a second with weights from a memory.

        Args:
            array: which of the two.
            clock_hz: of the array.
            bandwidth: of the memory, in bytes a second.
            skip_silent: rows at which all tokens are silent are left out.
        """
        words = self.words_used if skip_silent else self.words
        loading = max(words / clock_hz, words * WORD_BITS / 8 / bandwidth)
        return self.tokens / (self.cycles[array] / clock_hz + loading)


def _words(spec: Spec, vectors: LayerVectors, *, rows: int) -> int:
    """Words of a layer's weights and constants, if so many rows of each tile of outputs come."""
    tiles = -(-vectors.outputs // spec.neurons)
    return tiles * (rows * spec.words_per_row + NEURON_WORDS * spec.neurons)


def _cycles(spec: Spec, array: Array, vectors: LayerVectors) -> int:
    """Cycles of all tokens and tiles of outputs, from the first code to the last result."""
    costs: list[list[TokenCost]]
    if array == "spiking":
        costs = spiking_costs(spec, vectors, [token_tiles(vectors, token, spec) for token in range(vectors.tokens)])
    else:
        costs = twin_costs(spec, vectors)
    runs = layer_runs(spec, costs, output_tiles=-(-vectors.outputs // spec.neurons))
    return run_cycles(spec, runs, counted=Counted(), latencies=LATENCIES[array])[-1]


def average_batch(spec: Spec, layers: Mapping[str, LayerVectors], tokens: int) -> Batch:
    """The average of a model's batches of so many tokens.

    Args:
        spec: of both arrays.
        layers: of the model, traced with as many tokens or more; those that fill no batch are left out.
        tokens: in a batch.

    Raises:
        ValueError: there are fewer tokens.
    """
    batches = min(vectors.tokens for vectors in layers.values()) // tokens
    if not batches:
        raise ValueError(f"a batch of {tokens} tokens, but fewer are traced")
    cycles: dict[Array, int] = dict.fromkeys(ARRAYS, 0)
    words = used = 0
    for _, fused in fused_neighbours(layers.items()):
        for first in range(0, batches * tokens, tokens):
            batch = fused.of_tokens(slice(first, first + tokens))
            for array in ARRAYS:
                cycles[array] += _cycles(spec, array, batch)
            loud = (batch.level != 0).any(axis=0)
            rows = np.concatenate([loud, loud[batch.wide]])
            words += _words(spec, batch, rows=rows.size)
            used += _words(spec, batch, rows=int(rows.sum()))
    return Batch(
        tokens=tokens,
        cycles={array: round(total / batches) for array, total in cycles.items()},
        words=round(words / batches),
        words_used=round(used / batches),
    )
