"""All layers of a model on several simulators, kept, and told."""

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from distributed import Client

from spikequant.cosim.page import write_page
from spikequant.cosim.scoreboard import Verdict
from spikequant.cosim.simulator.device import SimulatedDevice
from spikequant.cosim.whole_model import LayerOutcome, ModelReport, cosimulate_model
from spikequant.golden.layer.random_layers import random_vectors
from spikequant.golden.layer.spec import Spec
from spikequant.golden.layer.vectors import LayerVectors
from spikequant.golden.support.cluster import cluster_client

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
) -> ModelReport:
    """All layers, for the first time."""
    # the workers find the build of the device's simulator
    assert device.simulator.parent == cache
    return cosimulate_model(client, small, layers, tokens=3, began=time.perf_counter(), cache=cache, fresh=True)


def test_every_output_of_every_layer_is_equal(first: ModelReport, layers: list[tuple[str, LayerVectors]]) -> None:
    assert first.ok(allow_saturation=False)
    assert [layer.name for layer in first.layers] == list(NAMES)
    assert [(layer.outputs, layer.inputs) for layer in first.layers] == [(v.outputs, v.inputs) for _, v in layers]
    assert first.compared == 3 * sum(vectors.outputs for _, vectors in layers)
    assert (first.mismatches, first.saturated, first.first_mismatch, first.remembered) == (0, 0, "", 0)
    assert all(layer.activity_expected for layer in first.layers)
    assert first.cycles == sum(layer.cycles for layer in first.layers) > 0
    assert 0 < first.lane_utilisation <= 1


def test_finished_layers_are_kept_for_the_same_integers_only(
    first: ModelReport, client: Client, small: Spec, layers: list[tuple[str, LayerVectors]], cache: Path
) -> None:
    other = [(name, vectors) for name, vectors in layers if name != "block.1.up"]
    other.insert(0, ("block.1.up", random_vectors(small, outputs=20, inputs=30, tokens=3, seed=99)))
    told: list[LayerOutcome] = []
    again = cosimulate_model(
        client, small, other, tokens=3, began=time.perf_counter(), progress=told.append, cache=cache
    )
    assert {layer.name for layer in again.layers if not layer.remembered} == {"block.1.up"}
    assert sorted(layer.name for layer in told) == sorted(NAMES)
    assert again.ok(allow_saturation=False)
    by_name = {layer.name: layer for layer in first.layers}
    for layer in again.layers[1:]:
        assert (layer.cycles, layer.spikes, layer.beats) == (
            by_name[layer.name].cycles,
            by_name[layer.name].spikes,
            by_name[layer.name].beats,
        )


def test_one_wrong_layer_fails_the_model(first: ModelReport, tmp_path: Path) -> None:
    verdict = Verdict(outputs=48, mismatches=2, saturated=0, first="token 1, neuron 2: <membrane>")
    wrong = replace(first, layers=[*first.layers[:2], replace(first.layers[2], verdict=verdict), first.layers[3]])
    figures = wrong.figures(allow_saturation=True)
    assert (figures["ok"], figures["mismatches"], figures["layers"]) == (False, 2, 4)
    assert figures["first_mismatch"] == "block.1.up, token 1, neuron 2: <membrane>"
    assert [layer["mismatches"] for layer in figures["per_layer"]] == [0, 0, 2, 0]
    assert json.loads(json.dumps(figures)) == figures
    write_page(tmp_path / "page.html", wrong, model="tiny", allow_saturation=True)
    page = (tmp_path / "page.html").read_text()
    assert "neuron 2: &lt;membrane&gt;" in page
    assert page.count('<tr class="bad">') == 1
    assert all(name in page for name in NAMES)


def test_a_model_without_layers_is_not_right(small: Spec) -> None:
    assert not ModelReport(spec=small, tokens=1, layers=[], seconds=0.0).ok(allow_saturation=True)
