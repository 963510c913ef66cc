"""Cycles of tokens on the multiply-accumulate array."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from spikequant.benchmarks.twin.arithmetic import (
    charge_room,
    feed_cycles,
    joined_cycles,
    joins,
    level_sum,
    together,
    token_rows,
)
from spikequant.golden.layer.spec import Spec
from spikequant.golden.layer.tiling import keeps_all_weights
from spikequant.golden.layer.vectors import LayerVectors
from spikequant.rtl.cycles.throughput import Latencies
from spikequant.rtl.cycles.token_cost import TokenCost, membrane_blocks, tile_levels
from spikequant.rtl.packet_sizes import CODES_PER_WORD

TWIN = Latencies(
    fill_waits=True,
    made=10,
    next_codes=13,
    next_apart=0,
    run=18,
    sent=20,
    restart=0,
    read_ahead=1,
    phases=1,
    settle=29,
    result=19,
    between=0,
)
"""Latencies of the multiply-accumulate array."""


def twin_cost(
    spec: Spec,
    level: NDArray[np.int64],
    salient: NDArray[np.bool_],
    shift: int,
    wide: NDArray[np.int64] | None = None,
) -> TokenCost:
    """Cost of a token's tile on the twin.

    Args:
        spec: the accelerator.
        level: int64 [n], levels of the inputs in the tile.
        salient: bool [n], which of them are salient codes.
        shift: power of two on the salient codes.
        wide: inputs whose low halves run with the tile; if they do not join it they are later phases.
    """
    fill = -(-len(level) // CODES_PER_WORD) * (CODES_PER_WORD // together(spec))
    words = token_rows(spec, len(level))
    phases = _feed_phases(spec, level, salient, shift)
    if wide is None or not len(wide):
        return TokenCost(fill=fill, walk=0, apart=False, phases=phases, words=words)
    low = twin_cost(spec, level[wide], salient[wide], shift)
    joined = joins(spec, level, salient, shift, wide)
    phases = (joined_cycles(spec, level, salient, shift, wide),) if joined else phases + low.phases
    return TokenCost(fill=fill + low.fill, walk=0, apart=False, phases=phases, words=words + low.words)


def _feed_phases(spec: Spec, level: NDArray[np.int64], salient: NDArray[np.bool_], shift: int) -> tuple[int, ...]:
    cycles = feed_cycles(spec, level, salient, shift)
    apart = shift > 0 and bool((salient & (level != 0)).any())
    if not apart or level_sum(spec, level, salient, shift) < charge_room(spec).whole:
        return (cycles,)
    rows = feed_cycles(spec, np.where(salient, 0, level), np.zeros_like(salient), 0)
    return (cycles - rows, rows)


def twin_costs(spec: Spec, vectors: LayerVectors) -> list[list[TokenCost]]:
    """Costs of a layer's tokens on the twin, in the order and in the groups of the layer's program.

    The twin runs whole tiles; low halves join high ones where all weights fit the memory.
    """
    columns, wide = np.arange(vectors.inputs), vectors.wide.astype(np.int64)
    if keeps_all_weights(spec, inputs=vectors.inputs, wide=len(wide)):
        return [
            [twin_cost(spec, *tile_levels(vectors, token, columns), wide)]
            for block in membrane_blocks(spec, vectors)
            for token in block
        ]
    parts = [
        all_of[start : start + spec.depth] for all_of in (columns, wide) for start in range(0, len(all_of), spec.depth)
    ]
    return [
        [replace(twin_cost(spec, *tile_levels(vectors, token, part)), complete=number == len(parts) - 1)]
        for block in membrane_blocks(spec, vectors)
        for number, part in enumerate(parts)
        for token in block
    ]
