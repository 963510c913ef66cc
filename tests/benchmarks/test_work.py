"""Cycles and lanes of whole layers."""

from dataclasses import replace

import numpy as np
import pytest

from spikequant.benchmarks.run import count_work
from spikequant.benchmarks.sites import average_sites, kind_of
from spikequant.benchmarks.twin.arithmetic import feed_cycles
from spikequant.benchmarks.work import STAGES, layer_work, together
from spikequant.fpga.estimate.expectation import site_cycles
from spikequant.golden.layer.random_layers import random_vectors
from spikequant.golden.layer.score import score_cost
from spikequant.golden.layer.spec import Spec
from spikequant.golden.layer.vectors import PER_TOKEN, LayerVectors
from spikequant.rtl.sequencer import RESTART_CYCLES

SPECS = [Spec(neurons=32), Spec(neurons=16, lanes=2), Spec(lanes=8, depth=4088), Spec(neurons=8, lanes=1, depth=512)]


def test_the_array_alone_takes_what_the_golden_model_says(layers: dict[str, LayerVectors]) -> None:
    spec = Spec(neurons=32)
    vectors = layers["model.layers.0.q_proj"]
    work = layer_work(spec, "q_proj", vectors)
    ours = twin = spikes = slots = 0
    for token in range(vectors.tokens):
        tile = vectors.level[token].astype(np.int64), vectors.salient[token], int(vectors.shift[token])
        cost = score_cost(spec, *tile)
        # the next run is read a few cycles after the last beat
        ours += max(cost.cycles, cost.words + RESTART_CYCLES)
        spikes += cost.normal.spikes
        slots += cost.normal.beats * spec.lanes
        twin += feed_cycles(spec, *tile)
    assert work.operations == 320 * 64 * 6
    assert work.cycles["spiking"]["array"] == 2 * ours
    assert work.cycles["mac"]["array"] == 2 * twin
    assert (work.normal.spikes, work.normal.slots) == (spikes, slots)


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_each_stage_adds_to_the_one_before(spec: Spec, layers: dict[str, LayerVectors]) -> None:
    work = count_work(spec, layers)["all"]
    for array in ("spiking", "mac"):
        cycles = [work.cycles[array][stage] for stage in STAGES]
        assert cycles == sorted(cycles)
        assert sum(work.waits(array).values()) == pytest.approx(cycles[-1] / cycles[0] - 1)


def test_low_halves_take_cycles_but_are_no_work_of_their_own(layers: dict[str, LayerVectors]) -> None:
    with_wide = layers["model.layers.1.q_proj"]
    without = replace(with_wide, wide=np.zeros(0, np.int32), w_low=np.zeros((64, 0), np.uint8))
    one, other = (layer_work(Spec(), "q_proj", vectors) for vectors in (with_wide, without))
    assert one.operations == other.operations
    assert one.normal == other.normal
    assert one.all_phases.slots > other.all_phases.slots
    assert all(one.cycles[array]["array"] > other.cycles[array]["array"] for array in ("spiking", "mac"))


def test_layers_add_up(layers: dict[str, LayerVectors]) -> None:
    work = count_work(Spec(), layers)
    assert set(work) == {"all", "K=320", "K=256"}
    assert work["all"].operations == work["K=320"].operations + work["K=256"].operations
    assert work["all"].layers == 4
    counted = [layer_work(Spec(), name, vectors) for name, vectors in layers.items()]
    assert together(counted) == work["all"]
    assert work["all"].ratio("array") == work["all"].cycles["mac"]["array"] / work["all"].cycles["spiking"]["array"]


def test_sites_are_averages_of_their_layers(layers: dict[str, LayerVectors]) -> None:
    sites = average_sites(layers, Spec())
    assert [site.name for site in sites] == [kind_of(name) for name in layers]
    assert [site.wide for site in sites] == [0, 0, 16, 16]
    narrow = {name: vectors for name, vectors in layers.items() if "q_proj" in name}
    (site,) = average_sites({name: replace(vectors, wide=np.zeros(0)) for name, vectors in narrow.items()}, Spec())
    assert (site.inputs, site.layers, site.wide) == (320, (64, 64), 0)
    levels = np.stack([vectors.level for vectors in narrow.values()])
    assert sum(site.normal) + sum(site.salient) == pytest.approx((levels != 0).mean())


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_cycles_are_estimated_from_averages(spec: Spec, layers: dict[str, LayerVectors]) -> None:
    counted = count_work(spec, layers)["all"].cycles_per_token("spiking")
    estimated = sum(site_cycles(spec, site) for site in average_sites(layers, spec))
    assert estimated == pytest.approx(counted, rel=0.1)


def test_layers_that_share_their_input_run_as_one() -> None:
    spec = Spec(neurons=48)
    query, key = (
        random_vectors(spec, outputs=outputs, inputs=96, tokens=6, wide=8, max_shift=3, extremes=False, seed=outputs)
        for outputs in (64, 32)
    )
    key = replace(key, **{name: getattr(query, name) for name in PER_TOKEN})
    work = count_work(spec, {"q": query, "k": key})["all"]
    alone = together(layer_work(spec, name, vectors) for name, vectors in (("q", query), ("k", key)))
    assert (work.layers, work.tokens, work.operations) == (alone.layers, alone.tokens, alone.operations)
    # 96 outputs are two tiles of 48, and three if each layer begins one
    assert all(work.cycles[array]["array"] < alone.cycles[array]["array"] for array in ("spiking", "mac"))
    assert [(site.name, site.layers) for site in average_sites({"a.q": query, "a.k": key}, spec)] == [
        ("a.q+a.k", (96,))
    ]
