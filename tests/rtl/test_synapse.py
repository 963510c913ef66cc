"""The synapse memory against a table of weights."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from spikequant.golden.layer.spec import WORD_BITS, Spec
from spikequant.rtl.parity import ParityCheck
from spikequant.rtl.synapse import SynapseMemory

SPECS = [
    Spec(neurons=8, lanes=1, depth=8, weight_bits=4),
    Spec(neurons=24, lanes=4, depth=12, weight_bits=4),
    Spec(neurons=16, lanes=2, depth=4, weight_bits=2),
    Spec(neurons=12, lanes=8, depth=24, weight_bits=8),
    Spec(neurons=16, lanes=2, depth=8, weight_parity=True),
]
PROTECTED = [Spec(neurons=16, lanes=lanes, depth=8, weight_parity=True) for lanes in (1, 2, 4)]

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
    frames = []
    for pair, row, bits in packed:
        data = {"pair": pair, "row": row, "weights": bits}
        if spec.weight_parity:
            words = (bits >> (WORD_BITS * word) & (2**WORD_BITS - 1) for word in range(spec.words_per_row))
            data["parity"] = sum((word.bit_count() & 1) << place for place, word in enumerate(words))
        frames.append({"write.data": data, "write.enable": 1})
    return frames


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


def corrupted(play: Callable[..., Any], spec: Spec, frames: list[dict[str, Any]]) -> list[int]:
    """Cycles, counted from that of a row's address, in which rows are found corrupted."""
    after = SynapseMemory.latency + ParityCheck.latency(spec.row_bits)
    sampled = play(SynapseMemory(spec), frames + [{}] * after, ["corrupted"])[after:]
    return [cycle for cycle, (found,) in enumerate(sampled) if found]


@pytest.mark.parametrize("spec", PROTECTED, ids=lambda spec: f"{spec.lanes} lanes")
def test_every_inverted_bit_of_a_row_that_is_read_is_found(play: Callable[..., Any], spec: Spec) -> None:
    rng = np.random.default_rng(3)
    frames = writes(spec, table_of(spec, rng))
    intact = frames[-1]["write.data"]
    lane = spec.lanes - 1
    reads, elsewhere = ([{"row": [0] * lane + [place]}] for place in (intact["row"], intact["row"] - 1))
    reading = []
    for bit in range(spec.row_bits):
        own = dict(intact)
        # with the row's parity of before, as if the bit changed after the write
        if bit < spec.row_bits - 1:
            own["weights"] ^= 1 << bit
        else:
            own["parity"] ^= 1
        frames += [{"write.data": own, "write.enable": 1}, *elsewhere]
        reading.append(len(frames))
        frames += reads
    assert corrupted(play, spec, frames) == reading


@pytest.mark.parametrize("spec", PROTECTED, ids=lambda spec: f"{spec.lanes} lanes")
def test_intact_rows_pass_during_writes_too(play: Callable[..., Any], spec: Spec) -> None:
    rng = np.random.default_rng(4)
    frames: list[dict[str, Any]] = []
    for frame in writes(spec, table_of(spec, rng)) + writes(spec, table_of(spec, rng)):
        row = frame["write.data"]["row"]
        frames += [frame, {"row": [row] * spec.pair_lanes + [0] * (spec.lanes - spec.pair_lanes)}]
        frames += [{}] * int(rng.integers(0, 3))
    # rows of other pairs are not written yet, but read as zeros
    assert corrupted(play, spec, frames) == []
