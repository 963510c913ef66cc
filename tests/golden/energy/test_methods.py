from collections import Counter

import pytest

from spikequant.golden.energy.activity import EventCounts, GifCounts, LayerActivity
from spikequant.golden.energy.methods import FIRST_SPIKE, METHODS
from spikequant.golden.energy.work import Component, Kind, Work
from spikequant.golden.layer.spec import PRESETS, Spec

SPEC = PRESETS["tiny"]  # 8 neurons, 2 lanes, 64 inputs deep, 8 output bits

LAYER = LayerActivity(
    name="tiny",
    inputs=200,
    outputs=10,
    wide=12,
    tokens=1,
    events=EventCounts(
        active=140,
        spikes=150,
        normal_levels=260,
        salient_codes=33,
        low_active=9,
        low_spikes=11,
        low_normal_levels=15,
        low_salient_codes=4,
        salient=5,
        silent=60,
        ticks=70,
        doublings=8,
        phases=9,
    ),
    gif=GifCounts(active=190, binary=1500, signed_active=80, signed=120, bits=420),
)


def work_of(method: str, spec: Spec = SPEC) -> list[Work]:
    return next(item for item in METHODS if item.name == method).work(LAYER, spec)


def total(work: list[Work], component: Component, kind: Kind, bits: int | None = None) -> float:
    found = [
        item
        for item in work
        if item.component is component and item.kind is kind and (bits is None or item.bits == bits)
    ]
    assert found
    return sum(item.count for item in found)


def kinds(work: list[Work]) -> set[Kind]:
    return {item.kind for item in work if item.count}


def test_floats() -> None:
    work = work_of("fp16")
    assert Counter({(item.component, item.kind): item.count for item in work}) == {
        (Component.MULTIPLY, Kind.FLOAT_MULTIPLY): 2000,
        (Component.ADD, Kind.FLOAT_ADD): 2000,
        (Component.WEIGHT, Kind.WEIGHT_READ): 32000,
        (Component.FETCH, Kind.WEIGHT_FETCH): 32000,
        # ten outputs fill eight neurons twice
        (Component.MOVE, Kind.CODE_MOVE): 2 * 200 * 16 + 10 * 16,
    }


@pytest.mark.parametrize(
    ("work", "bits", "sums", "sum_bits"),
    [
        # |sum| <= 200 * 128 * 128, 200 * 8 * 8, 128 * 8 * 8, and a sign
        (work_of("int8"), 8, 1, 23),
        (work_of("w4a4-output"), 4, 1, 15),
        (work_of("w4a4-group"), 4, 2, 15),
    ],
)
def test_multiply_accumulate(work: list[Work], bits: int, sums: int, sum_bits: int) -> None:
    assert total(work, Component.MULTIPLY, Kind.INTEGER_MULTIPLY, bits) == 2000
    assert total(work, Component.ADD, Kind.INTEGER_ADD, sum_bits) == 2000
    assert total(work, Component.SCALE, Kind.FLOAT_MULTIPLY, 16) == 10 * sums
    assert total(work, Component.SCALE, Kind.FLOAT_MULTIPLY, 32) == 10 * sums
    assert total(work, Component.SCALE, Kind.FLOAT_ADD, 32) == 10 * (sums - 1)
    assert total(work, Component.WEIGHT, Kind.WEIGHT_READ) == 2000 * bits + 10 * sums * 16
    assert total(work, Component.FETCH, Kind.WEIGHT_FETCH) == 2000 * bits + 10 * sums * 16
    assert total(work, Component.MOVE, Kind.CODE_MOVE) == 2 * (200 * bits + 16 * sums) + 160


def test_atom() -> None:
    work = work_of("atom")
    # 12 of 200 channels are wide: two groups of at most 128 narrow ones, and one of wide ones
    assert total(work, Component.MULTIPLY, Kind.INTEGER_MULTIPLY, 8) == 120
    assert total(work, Component.MULTIPLY, Kind.INTEGER_MULTIPLY, 4) == 1880
    assert total(work, Component.SCALE, Kind.FLOAT_MULTIPLY, 32) == 30
    assert total(work, Component.SCALE, Kind.FLOAT_ADD, 32) == 20
    assert total(work, Component.WEIGHT, Kind.WEIGHT_READ) == 10 * (12 * 8 + 188 * 4) + 30 * 16


@pytest.mark.parametrize(
    ("work", "spikes", "active", "corrections"),
    [
        (work_of("spikellm-binary"), 1500, 190, True),
        (work_of("spikellm-signed"), 120, 80, False),
        (work_of("spikellm-bits"), 420, 190, True),
    ],
)
def test_spikellm(work: list[Work], spikes: int, active: int, corrections: bool) -> None:
    assert total(work, Component.ADD, Kind.INTEGER_ADD) == 10 * spikes
    assert total(work, Component.WEIGHT, Kind.WEIGHT_READ) == 4 * 10 * spikes + 2 * 10 * 16
    assert total(work, Component.FETCH, Kind.WEIGHT_FETCH) == 4 * 10 * active + 2 * 10 * 16
    assert total(work, Component.MOVE, Kind.SPIKE_MOVE) == 2 * spikes
    assert total(work, Component.MOVE, Kind.SPIKE_CODE_MOVE) == pytest.approx(2 * (4 * 180 + 5 * 20))
    assert (Kind.INTEGER_MULTIPLY in kinds(work)) == corrections


def test_time_to_first_spike() -> None:
    work = work_of("spikequant-ttfs")
    assert total(work, Component.ADD, Kind.INTEGER_ADD, SPEC.charge_bits) == 10 * (150 + 11)
    assert total(work, Component.TICK, Kind.INTEGER_ADD, SPEC.charge_bits) == 10 * (70 + 8)
    # nine phases with five terms of the zero point, a shift and a membrane each, and one bias
    neurons = 10 * (9 * 7 + 1)
    # the population counts spikes, ticks and doublings once for each of two tiles of outputs
    assert total(work, Component.NEURON, Kind.INTEGER_ADD) == neurons + 2 * (161 + 78)
    # seven halvings after the half threshold
    assert total(work, Component.SCALE, Kind.INTEGER_ADD) == 10 * 8
    assert total(work, Component.WEIGHT, Kind.WEIGHT_READ) == 4 * 10 * 161
    # a burst reads its weights more than once, but fetches them once; thresholds, biases and zero points come with them
    assert total(work, Component.FETCH, Kind.WEIGHT_FETCH) == 4 * 10 * 149 + 10 * (32 + 32 + 4)
    assert total(work, Component.STATE, Kind.STATE_ACCESS) == 10 * 9 * (2 * (37 + 1) + 68)
    # four accesses of a link, a row of 32, sign, end; two of a score, a row of 65, sign
    assert total(work, Component.CODE, Kind.STATE_ACCESS) == 2 * 161 * (4 * 7 + 2 * 8)
    assert total(work, Component.MOVE, Kind.SPIKE_CODE_MOVE) == 2 * 8 * (200 + 12)
    assert total(work, Component.MOVE, Kind.SPIKE_MOVE) == 2 * 161
    assert total(work, Component.MOVE, Kind.CODE_MOVE) == 10 * 8
    # floats only turn inputs into codes
    assert Kind.INTEGER_MULTIPLY not in kinds(work)
    assert all(item.component is Component.CODE for item in work if item.kind in {Kind.FLOAT_ADD, Kind.FLOAT_MULTIPLY})


def test_count_coding_reads_a_weight_for_every_level() -> None:
    work = work_of("spikequant-count")
    spikes = 260 + 33 + 15 + 4
    assert total(work, Component.ADD, Kind.INTEGER_ADD) == 10 * spikes
    assert total(work, Component.WEIGHT, Kind.WEIGHT_READ) == 4 * 10 * spikes
    assert total(work, Component.FETCH, Kind.WEIGHT_FETCH) == 4 * 10 * 149 + 680
    assert total(work, Component.MOVE, Kind.SPIKE_MOVE) == 2 * spikes
    assert Component.TICK not in {item.component for item in work}


def test_a_mac_on_the_same_codes_skips_the_same_inputs() -> None:
    work = work_of("spikequant-mac")
    assert total(work, Component.MULTIPLY, Kind.INTEGER_MULTIPLY, 4) == 10 * 149
    assert total(work, Component.ADD, Kind.INTEGER_ADD) == 10 * 149
    assert total(work, Component.WEIGHT, Kind.WEIGHT_READ) == 4 * 10 * 149
    for component, kind in ((Component.FETCH, Kind.WEIGHT_FETCH), (Component.STATE, Kind.STATE_ACCESS)):
        assert total(work, component, kind) == total(work_of("spikequant-ttfs"), component, kind)


def test_the_ramp_readout_takes_a_step_a_tick() -> None:
    spec = SPEC.model_copy(update={"readout": "ramp", "output_bits": 5})
    assert total(work_of("spikequant-ttfs", spec), Component.SCALE, Kind.INTEGER_ADD) == 10 * (1 + 15)


def test_methods_are_distinct_and_end_with_the_reference() -> None:
    assert len({method.name for method in METHODS}) == len({method.title for method in METHODS}) == len(METHODS)
    assert METHODS[-1] is FIRST_SPIKE
    assert all(method.note for method in METHODS)
