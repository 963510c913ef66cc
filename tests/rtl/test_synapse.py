"""The synapse memory against a table of weights."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from golden.spec import Spec
from rtl.packets import weights_packet
from rtl.synapse import SynapseMemory

SPECS = [
    Spec(neurons=8, lanes=1, depth=8, weight_bits=4),
    Spec(neurons=24, lanes=4, depth=12, weight_bits=4),
    Spec(neurons=16, lanes=2, depth=4, weight_bits=2),
    Spec(neurons=12, lanes=8, depth=24, weight_bits=8),
]


def writes(spec: Spec, codes: np.ndarray) -> list[dict[str, Any]]:
    """Frames that load uint8 [inputs, neurons], in the order in which a packet has the words."""
    words = weights_packet(spec, first_input=0, codes=codes)[1:].reshape(-1, spec.words_per_row)
    return [
        {
            "write": {"lane": k % spec.lanes, "row": k // spec.lanes, "word": index, "data": int(word)},
            "write_enable": 1,
        }
        for k, row in enumerate(words)
        for index, word in enumerate(row)
    ]


def neurons_of(spec: Spec, bits: int) -> list[int]:
    return [bits >> (spec.weight_bits * neuron) & spec.max_weight_code for neuron in range(spec.neurons)]


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: f"{spec.neurons}x{spec.lanes}x{spec.weight_bits}")
def test_each_lane_reads_its_own_row(play: Callable[..., Any], spec: Spec) -> None:
    rng = np.random.default_rng(1)
    codes = rng.integers(0, spec.max_weight_code + 1, (spec.depth, spec.neurons), dtype=np.uint8)
    load = writes(spec, codes)
    # writes that are not enabled
    load += [{"write": frame["write"] | {"data": 0}} for frame in load[:5]]
    row = rng.integers(0, spec.rows, (40, spec.lanes))
    fire = rng.random((40, spec.lanes)) < 0.6
    fire[0] = True
    reads = [
        {"row": r.tolist(), "fire": sum(int(bit) << lane for lane, bit in enumerate(f))}
        for r, f in zip(row, fire, strict=True)
    ]
    idle = [{}] * SynapseMemory.latency
    sampled = play(SynapseMemory(spec), load + reads + idle, ["weights"])[len(load) + SynapseMemory.latency :]
    held = row[0].copy()
    for (weights,), r, f in zip(sampled, row, fire, strict=True):
        held[f] = r[f]
        expected = [codes[held[lane] * spec.lanes + lane].tolist() for lane in range(spec.lanes)]
        assert [neurons_of(spec, weights[lane]) for lane in range(spec.lanes)] == expected


def test_loading_disturbs_no_other_row(play: Callable[..., Any]) -> None:
    spec = SPECS[1]
    old, new = (np.full((spec.depth, spec.neurons), value, np.uint8) for value in (5, 10))
    load = writes(spec, old)
    # lanes read row 0 while rows 1 and 2 of all lanes are written, then row 2
    rewrite = [frame | {"row": [0] * 4, "fire": 15} for frame in writes(spec, new) if frame["write"]["row"]]
    final = [{"row": [2] * 4, "fire": 15}, *[{}] * SynapseMemory.latency]
    sampled = play(SynapseMemory(spec), load + rewrite + final, ["weights"])[len(load) + SynapseMemory.latency :]
    seen = [{code for lane in range(4) for code in neurons_of(spec, weights[lane])} for (weights,) in sampled]
    assert seen == [{5}] * len(rewrite) + [{10}]
