"""All layers of a model on several simulators: figures, kept results, and the page."""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from distributed import Client

from spikequant.cosim.page import write_page
from spikequant.cosim.simulator.device import SimulatedDevice
from spikequant.cosim.whole_model import LayerOutcome, ModelFigures, cosimulate_model, model_figures
from spikequant.golden.layer.fusion import fuse
from spikequant.golden.layer.random_layers import random_vectors
from spikequant.golden.layer.spec import Spec
from spikequant.golden.layer.vectors import PER_TOKEN, LayerVectors
from spikequant.golden.support.cluster import cluster_client
from spikequant.rtl.driver.device import run_on_device

NAMES = ("block.0.up", "block.0.down", "block.1.up", "block.1.down")


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with cluster_client(None, workers=2) as running:
        yield running


@pytest.fixture(scope="module")
def layers(small: Spec) -> list[tuple[str, LayerVectors]]:
    sizes = [(9, 16), (16, 9), (20, 30), (8, 40)]
    return [
        (name, random_vectors(small, outputs=outputs, inputs=inputs, tokens=3, wide=inputs // 8, seed=seed))
        for seed, (name, (outputs, inputs)) in enumerate(zip(NAMES, sizes, strict=True))
    ]


@pytest.fixture(scope="module")
def first(
    client: Client, small: Spec, layers: list[tuple[str, LayerVectors]], device: SimulatedDevice, cache: Path
) -> ModelFigures:
    """All layers, for the first time."""
    # the workers find the build of the device's simulator
    assert device.simulator.parent == cache
    return cosimulate_model(client, small, layers, tokens=3, began=time.perf_counter(), cache=cache, fresh=True)


def test_every_output_of_every_layer_is_equal(first: ModelFigures, layers: list[tuple[str, LayerVectors]]) -> None:
    assert first.ok
    assert [layer.name for layer in first.per_layer] == list(NAMES)
    assert [(layer.outputs, layer.inputs) for layer in first.per_layer] == [(v.outputs, v.inputs) for _, v in layers]
    assert first.outputs == 3 * sum(vectors.outputs for _, vectors in layers)
    assert (first.mismatches, first.saturated, first.first_mismatch, first.remembered) == (0, 0, "", 0)
    assert all(layer.activity_expected for layer in first.per_layer)
    assert first.cycles == sum(layer.cycles for layer in first.per_layer) > 0
    assert 0 < first.lane_utilisation <= 1


def test_finished_layers_are_kept_for_the_same_integers_only(
    first: ModelFigures, client: Client, small: Spec, layers: list[tuple[str, LayerVectors]], cache: Path
) -> None:
    other = [(name, vectors) for name, vectors in layers if name != "block.1.up"]
    other.insert(0, ("block.1.up", random_vectors(small, outputs=20, inputs=30, tokens=3, seed=99)))
    reported: list[LayerOutcome] = []
    again = cosimulate_model(
        client, small, other, tokens=3, began=time.perf_counter(), progress=reported.append, cache=cache
    )
    assert {layer.name for layer in again.per_layer if not layer.remembered} == {"block.1.up"}
    assert sorted(layer.name for layer in reported) == sorted(NAMES)
    assert again.ok
    by_name = {layer.name: layer for layer in first.per_layer}
    for layer in again.per_layer[1:]:
        assert (layer.cycles, layer.spikes, layer.beats) == (
            by_name[layer.name].cycles,
            by_name[layer.name].spikes,
            by_name[layer.name].beats,
        )


def test_layers_that_share_their_input_run_as_one(
    client: Client, small: Spec, device: SimulatedDevice, cache: Path
) -> None:
    assert device.simulator.parent == cache
    query, gate = (
        random_vectors(small, outputs=outputs, inputs=20, tokens=5, wide=3, seed=outputs) for outputs in (13, 9)
    )
    activations = {name: getattr(query, name) for name in PER_TOKEN}
    key, value = (
        replace(random_vectors(small, outputs=outputs, inputs=20, tokens=5, wide=wide, seed=outputs), **activations)
        for outputs, wide in ((6, 4), (5, 2))
    )
    layers = {"q": query, "k": key, "v": value, "gate": gate}
    found = cosimulate_model(
        client, small, layers.items(), tokens=5, began=time.perf_counter(), cache=cache, fresh=True
    )
    assert (found.ok, found.mismatches, found.layers) == (True, 0, 4)
    assert [(layer.name, layer.outputs) for layer in found.per_layer] == [("q", 13), ("k", 6), ("v", 5), ("gate", 9)]
    assert all(layer.activity_expected for layer in found.per_layer)
    whole = run_on_device(device, fuse([query, key, value]))
    joined = found.per_layer[:3]
    assert sum(layer.cycles for layer in joined) == whole.cycles
    assert sum(layer.spikes for layer in joined) == whole.spikes
    assert sum(layer.beats for layer in joined) == whole.beats


def test_one_wrong_layer_fails_the_model(first: ModelFigures, small: Spec, tmp_path: Path) -> None:
    layers = list(first.per_layer)
    layers[2] = layers[2].model_copy(update={"mismatches": 2, "first_mismatch": "token 1, neuron 2: <membrane>"})
    wrong = model_figures(small, layers, tokens=3, seconds=1.0, allow_saturation=True)
    assert (wrong.ok, wrong.mismatches, wrong.layers) == (False, 2, 4)
    assert wrong.first_mismatch == "block.1.up, token 1, neuron 2: <membrane>"
    wrong.write(tmp_path / "all.json")
    assert ModelFigures.read(tmp_path / "all.json", what="figures") == wrong
    write_page(tmp_path / "page.html", wrong, spec=small, model="tiny")
    page = (tmp_path / "page.html").read_text()
    assert "neuron 2: &lt;membrane&gt;" in page
    assert page.count('<tr class="bad">') == 1
    assert all(name in page for name in NAMES)


def test_saturated_outputs_fail_the_model_unless_they_are_allowed(first: ModelFigures, small: Spec) -> None:
    layers = [first.per_layer[0].model_copy(update={"saturated": 1})]
    for allowed in (False, True):
        assert model_figures(small, layers, tokens=3, seconds=1.0, allow_saturation=allowed).ok is allowed


def test_a_model_without_layers_fails(small: Spec) -> None:
    assert not model_figures(small, [], tokens=1, seconds=0.0, allow_saturation=True).ok
