"""Layers that are split over several simulators."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import spikequant.cosim.device_pool
from spikequant.cosim.device_pool import Crew, output_parts, simulated_crew
from spikequant.cosim.simulator.device import SimulatedDevice
from spikequant.golden.layer.integer import LayerOutput, run_layer
from spikequant.golden.layer.random_layers import random_vectors
from spikequant.golden.layer.spec import Spec
from spikequant.golden.layer.vectors import PER_TOKEN, LayerVectors
from spikequant.rtl.driver.device import LayerRun

SPEC = Spec(neurons=8, lanes=2, depth=16)


@given(outputs=st.integers(1, 70), parts=st.integers(1, 5), wide=st.integers(0, 2))
def test_parts_are_whole_tiles_and_make_the_layer(outputs: int, parts: int, wide: int) -> None:
    vectors = random_vectors(SPEC, outputs=outputs, inputs=5, tokens=2, wide=wide, seed=1)
    cut = output_parts(vectors, SPEC, parts)
    assert 1 <= len(cut) <= parts
    tiles = [-(-part.outputs // SPEC.neurons) for part in cut]
    assert max(tiles) - min(tiles) <= 1 or len(cut) < parts
    assert sum(tiles) == -(-outputs // SPEC.neurons)
    whole = run_layer(vectors, SPEC)
    assert np.concatenate([run_layer(part, SPEC).membrane for part in cut], axis=1).tolist() == whole.membrane.tolist()


def test_a_crew_gives_the_layer_and_counts(device: SimulatedDevice, small: Spec, cache: Path) -> None:
    assert device.simulator.parent == cache
    with simulated_crew(small, 2, cache=cache) as crew:
        for number, outputs in enumerate((1, 30)):
            vectors = random_vectors(small, outputs=outputs, inputs=20, tokens=3, wide=4, seed=number)
            golden = run_layer(vectors, small)
            output = crew.run("layer", vectors)
            assert output.membrane.tolist() == golden.membrane.tolist()
            assert output.code.tolist() == golden.code.tolist()
        assert (crew.work.layers, crew.work.outputs) == (2, 93)
        assert (crew.work.mismatches, crew.work.saturated, crew.work.first) == (0, 0, "")
        assert crew.work.cycles > 0
        assert crew.work.simulated_seconds > 0


def test_a_crew_runs_layers_that_share_their_input_as_one(device: SimulatedDevice, small: Spec, cache: Path) -> None:
    assert device.simulator.parent == cache
    query = random_vectors(small, outputs=13, inputs=20, tokens=3, wide=2, seed=1)
    activations = {name: getattr(query, name) for name in PER_TOKEN}
    key = replace(random_vectors(small, outputs=6, inputs=20, tokens=3, wide=5, seed=2), **activations)
    with simulated_crew(small, 2, cache=cache) as crew:
        outputs = crew.run_fused({"q": query, "k": key})
        for vectors, output in zip((query, key), outputs.values(), strict=True):
            assert output.membrane.tolist() == run_layer(vectors, small).membrane.tolist()
            assert output.code.tolist() == run_layer(vectors, small).code.tolist()
        assert list(outputs) == ["q", "k"]
        assert (crew.work.layers, crew.work.outputs, crew.work.mismatches) == (2, 3 * 19, 0)


def test_a_difference_is_counted_and_named(
    device: SimulatedDevice, small: Spec, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert device.simulator.parent == cache

    # one output of the golden side is off by one, as if the hardware were
    def off_by_one(vectors: LayerVectors, spec: Spec) -> LayerOutput:
        golden = run_layer(vectors, spec)
        golden.membrane[1, 2] += 1
        return golden

    monkeypatch.setattr(spikequant.cosim.device_pool, "run_layer", off_by_one)
    with simulated_crew(small, 1, cache=cache) as crew:
        for name in ("first", "second"):
            crew.run(name, random_vectors(small, outputs=8, inputs=16, tokens=3, seed=1))
    assert crew.work.mismatches == 2
    assert crew.work.first.startswith("first, token 1, neuron 2: membrane ")


def test_brief_results_are_split_and_compared_by_their_codes() -> None:
    query, key = (
        random_vectors(SPEC, outputs=outputs, inputs=20, tokens=2, wide=3, max_shift=2, seed=outputs)
        for outputs in (12, 7)
    )
    key = replace(key, **{name: getattr(query, name) for name in PER_TOKEN})

    def run(_name: str, vectors: LayerVectors) -> LayerRun:
        output = replace(run_layer(vectors, SPEC), membrane=np.zeros((vectors.tokens, 0), np.int64))
        return LayerRun(output=output, cycles=1, seconds=1.0, spikes=0, beats=0)

    with ThreadPoolExecutor(2) as threads:
        crew = Crew(SPEC, [run], threads)
        outputs = crew.run_fused({"q": query, "k": key})
    assert (crew.work.outputs, crew.work.mismatches) == (2 * (12 + 7), 0)
    for name, vectors in (("q", query), ("k", key)):
        np.testing.assert_array_equal(outputs[name].code, run_layer(vectors, SPEC).code)
        assert outputs[name].brief
