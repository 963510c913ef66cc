"""Vectors of the stand-alone benches, against the integer level."""

import numpy as np
import pytest

from spikequant.gen.package.bench import Mark, bench_layer, bench_vectors
from spikequant.golden.layer.integer import run_layer
from spikequant.golden.layer.spec import PRESETS, Spec
from spikequant.rtl.driver.packets import parse_result
from spikequant.rtl.driver.program import gather, layer_program

SPECS = {
    "tiny": PRESETS["tiny"],
    "base": PRESETS["base"],
    "tiled": Spec(neurons=8, lanes=2, depth=16, membrane_slots=3),
    "narrow": Spec(neurons=8, lanes=2, depth=64, membrane_bits=24, score_words=64),
}


def packets_of(lines: list[str]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Words and marks of each packet in a file."""
    assert {len(line) for line in lines} == {9}
    marks = np.array([int(line[0], 16) for line in lines])
    words = np.array([int(line[1:], 16) for line in lines], np.uint32)
    ends = np.flatnonzero(marks & Mark.LAST) + 1
    assert ends[-1] == len(lines)
    return np.split(words, ends)[:-1], np.split(marks, ends)[:-1]


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_the_expected_results_are_the_layers(spec: Spec) -> None:
    vectors, layer = bench_vectors(spec, seed=3), bench_layer(spec, seed=3)
    golden = run_layer(layer, spec)
    assert not golden.saturated.any()
    assert (golden.code != 0).mean() > 0.5
    program = layer_program(spec, layer)
    sent, _ = packets_of(vectors.packets)
    assert [packet.tolist() for packet in sent] == [packet.tolist() for packet in program.packets]
    results, marks = packets_of(vectors.results)
    parsed = [parse_result(spec, packet) for packet in results]
    output = gather(layer, program.places, parsed)
    assert output.membrane.tolist() == golden.membrane.tolist()
    assert output.code.tolist() == golden.code.tolist()
    assert sum((mark & Mark.OUTPUT != 0).sum() for mark in marks) == vectors.outputs == len(results) * spec.neurons
    # nothing but the totals of all results before the last one is left out
    assert [(mark & Mark.ANY != 0).sum() for mark in marks] == [2] * (len(results) - 1) + [0]
    assert parsed[-1].spikes > 0


def test_outputs_that_may_saturate_are_not_compared() -> None:
    spec = Spec(neurons=8, lanes=2, depth=64, membrane_bits=8, score_words=64)
    golden = run_layer(bench_layer(spec, seed=1), spec)
    assert 0 < golden.saturated.mean() < 1
    _, marks = packets_of(bench_vectors(spec, seed=1).results)
    compared = sum(((mark & Mark.OUTPUT != 0) & (mark & Mark.ANY == 0)).sum() for mark in marks)
    outputs = golden.saturated.size
    padding = len(marks) * spec.neurons - outputs
    assert compared == outputs - golden.saturated.sum() + padding


def test_equal_seeds_give_equal_vectors() -> None:
    spec = PRESETS["tiny"]
    assert bench_vectors(spec, seed=5) == bench_vectors(spec, seed=5)
    assert bench_vectors(spec, seed=5) != bench_vectors(spec, seed=6)
