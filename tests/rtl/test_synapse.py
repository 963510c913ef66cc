"""The synapse memory against a table of weights."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from spikequant.golden.layer.spec import Spec
from spikequant.rtl.synapse import SynapseMemory

SPECS = [
    Spec(neurons=8, lanes=1, depth=8, weight_bits=4),
    Spec(neurons=24, lanes=4, depth=12, weight_bits=4),
    Spec(neurons=16, lanes=2, depth=4, weight_bits=2),
    Spec(neurons=12, lanes=8, depth=24, weight_bits=8),
]

Table = NDArray[np.int64]
"""Stored weights by pair, row and neuron; row 0 is never written."""


def table_of(spec: Spec, rng: np.random.Generator) -> Table:
    table = rng.integers(0, spec.max_weight_code + 1, (spec.pairs, spec.memory_rows, spec.neurons))
    table[:, 0] = 0
    return table


def writes(spec: Spec, table: Table) -> list[dict[str, Any]]:
    """Frames that load all rows but the ones of zeros."""
    packed = [
        (pair, row, sum(int(code) << (spec.weight_bits * neuron) for neuron, code in enumerate(table[pair, row])))
        for row in range(1, spec.memory_rows)
        for pair in range(spec.pairs)
    ]
    return [{"write.data": {"pair": pair, "row": row, "weights": w}, "write.enable": 1} for pair, row, w in packed]


def neurons_of(spec: Spec, bits: int) -> list[int]:
    return [bits >> (spec.weight_bits * neuron) & spec.max_weight_code for neuron in range(spec.neurons)]


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: f"{spec.neurons}x{spec.lanes}x{spec.weight_bits}")
def test_each_lane_reads_any_row_of_its_pair(play: Callable[..., Any], spec: Spec) -> None:
    rng = np.random.default_rng(1)
    table = table_of(spec, rng)
    load = writes(spec, table)
    # writes that are not enabled
    load += [{"write.data": frame["write.data"] | {"weights": 0}} for frame in load[:5]]
    row = rng.integers(0, spec.memory_rows, (60, spec.lanes))
    # all lanes on one row, and on the row of zeros
    row[5], row[6] = spec.memory_rows - 1, 0
    frames = load + [{"row": each.tolist()} for each in row] + [{}] * SynapseMemory.latency
    sampled = play(SynapseMemory(spec), frames, ["weights"])[len(load) + SynapseMemory.latency :]
    for (weights,), rows in zip(sampled, row.tolist(), strict=True):
        expected = [table[lane // spec.pair_lanes, rows[lane]].tolist() for lane in range(spec.lanes)]
        assert [neurons_of(spec, weights[lane]) for lane in range(spec.lanes)] == expected


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: f"{spec.neurons}x{spec.lanes}x{spec.weight_bits}")
def test_what_is_written_again_is_new_and_the_rest_old(play: Callable[..., Any], spec: Spec) -> None:
    rng = np.random.default_rng(2)
    old, new = table_of(spec, rng), table_of(spec, rng)
    again = [frame for frame in writes(spec, new) if frame["write.data"]["row"] % 2]
    table = np.where(np.arange(spec.memory_rows)[:, None] % 2, new, old)
    reads = [{"row": [row] * spec.lanes} for row in range(spec.memory_rows)]
    # lanes rest on the row of zeros while rows are written
    frames = writes(spec, old) + again + reads + [{}] * SynapseMemory.latency
    sampled = play(SynapseMemory(spec), frames, ["weights"])[-len(reads) :]
    for row, (weights,) in enumerate(sampled):
        expected = [table[lane // spec.pair_lanes, row].tolist() for lane in range(spec.lanes)]
        assert [neurons_of(spec, weights[lane]) for lane in range(spec.lanes)] == expected
