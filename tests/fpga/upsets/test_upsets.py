"""Upsets: how effects are distinguished, and a short campaign on a real netlist."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from spikequant.cosim.simulator.device import SimulatedDevice
from spikequant.fpga.upsets.campaign import KINDS, Campaign, Effect, effect_of, prepare, run_kind
from spikequant.golden.layer.integer import run_layer
from spikequant.golden.layer.random_layers import random_vectors
from spikequant.golden.layer.spec import PRESETS
from spikequant.golden.support.store import default_cache_folder
from spikequant.rtl.driver.packets import Words
from spikequant.rtl.driver.program import layer_program
from spikequant.rtl.shapes import ResultHeader


def spelled(packets: list[Words]) -> list[str]:
    return [f"{int(n == len(packet) - 1)}{int(word):08x}" for packet in packets for n, word in enumerate(packet)]


@pytest.fixture
def played(device: SimulatedDevice) -> tuple[Campaign, list[Words]]:
    """A layer, and the RESULT packets of a run without an upset."""
    spec = device.spec
    vectors = random_vectors(spec, outputs=spec.neurons, inputs=20, tokens=2, max_shift=1, extremes=False, seed=3)
    layer = layer_program(spec, vectors)
    expected = run_layer(vectors, spec)
    assert not expected.saturated.any()
    campaign = Campaign(spec, Path(), Path(), vectors, layer, expected, 1, Path(), "")
    return campaign, [packet.copy() for packet in device.play(layer.packets, len(layer.places)).packets]


def with_bit(packets: list[Words], word: int, bit: int) -> list[Words]:
    packets[-1][word] ^= np.uint32(1 << bit)
    return packets


MALFORMED, CORRUPTED = (ResultHeader.as_shape()[name].offset for name in ("malformed", "corrupted"))


@pytest.mark.parametrize(
    ("change", "effect"),
    [
        (lambda packets: packets, "masked"),
        (lambda packets: with_bit(packets, -1, 0), "masked"),
        (lambda packets: with_bit(packets, 2, 0), "silent"),
        (lambda packets: with_bit(packets, 0, 0), "broken"),
        (lambda packets: with_bit(packets, 0, MALFORMED), "refused"),
        (lambda packets: with_bit(packets, 0, CORRUPTED), "corrupted"),
        (lambda packets: [*packets[:-1], packets[-1][:-1]], "broken"),
    ],
    ids=[
        "nothing",
        "a total",
        "a membrane",
        "the operation",
        "the mark of refusal",
        "of weights",
        "a word too few",
    ],
)
def test_effects_are_told_apart(
    played: tuple[Campaign, list[Words]], change: Callable[[list[Words]], list[Words]], effect: Effect
) -> None:
    campaign, packets = played
    assert effect_of(campaign, spelled(change(packets)), hang=False) == effect


def test_results_that_stay_away_are_flagged(played: tuple[Campaign, list[Words]]) -> None:
    campaign, packets = played
    assert effect_of(campaign, spelled(packets[:-1]), hang=True) == "hang"


@pytest.mark.long
def test_a_campaign_on_a_netlist_repeats_and_resumes(tmp_path: Path) -> None:
    one, other = (
        prepare(PRESETS["tiny"], seed=1, folder=tmp_path / name, cache=default_cache_folder()) for name in "ab"
    )
    for kind in KINDS:
        found, cycles = run_kind(one, kind, 150)
        assert found.masked + found.flagged + found.silent == found.upsets
        assert (found, cycles) == run_kind(other, kind, 150)
        seen: list[int] = []
        assert run_kind(one, kind, 100, progress=seen.append)[0].upsets == found.upsets * 100 // 150
        assert seen == [100]
        if found.bits:
            assert found.masked
            assert found.silent
            assert sum(found.silent_in.values()) == found.silent


@pytest.mark.long
def test_no_upset_of_a_protected_weight_is_silent(tmp_path: Path) -> None:
    spec = PRESETS["tiny"].model_copy(update={"weight_parity": True})
    campaign = prepare(spec, seed=1, folder=tmp_path, cache=default_cache_folder())
    found, _ = run_kind(campaign, "blockram", 300)
    assert found.flagged_as["corrupted"]
    upsets = [
        upset
        for file in (tmp_path / "effects").iterdir()
        for upset in json.loads(file.read_text("utf-8").split("\n", 1)[1])["upsets"]
        if ".synapses." in upset["bit"]
    ]
    assert len(upsets) > 30
    assert {upset["effect"] for upset in upsets} == {"masked", "corrupted"}
