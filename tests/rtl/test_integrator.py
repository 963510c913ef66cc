"""A group of integrators against sums of weights times levels, and against its steps one by one."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

import pytest

from spikequant.golden.layer.spec import Spec
from spikequant.rtl.integrator import IntegratorGroup

GATHERING = 2
"""Cycles from a choice to its charge."""

NAMES = ("keep_current", "keep_charge", "double", "clear", "finish")

Spike = tuple[list[int], int]
"""Stored weights by neuron, and the sign."""


@dataclass(frozen=True)
class Cycle:
    """Spikes by lane, and a step of the accumulators."""

    spikes: dict[int, Spike]
    step: dict[str, int]


def frame(spec: Spec, count: int, cycle: Cycle) -> dict[str, Any]:
    weights = [[0] * count for _ in range(spec.lanes)]
    signs = 0
    for lane, (codes, sign) in cycle.spikes.items():
        weights[lane] = codes
        signs |= (sign < 0) << lane
    return {"weights": weights, "sign": signs, "step": cycle.step, "deselect": 2**count - 1}


def model(spec: Spec, count: int, cycles: list[Cycle]) -> list[list[int]]:
    """The finished charges after every cycle, step by step as their definition says."""
    current, charge, finished = [0] * count, [0] * count, [0] * count
    modulus = 2**spec.charge_bits
    over = False
    history = []
    for cycle in cycles:
        step = dict.fromkeys(NAMES, 0) | cycle.step
        for neuron in range(count):
            # an inverted weight counts as the largest code less itself
            spikes = sum(
                codes[neuron] if sign > 0 else spec.max_weight_code - codes[neuron]
                for codes, sign in cycle.spikes.values()
            )
            if over:
                charge[neuron] = 0
            elif step["keep_charge"]:
                charge[neuron] = (charge[neuron] + (charge if step["double"] else current)[neuron]) % modulus
            if step["finish"]:
                finished[neuron] = charge[neuron]
            if step["keep_current"]:
                current[neuron] = (current[neuron] + spikes) % modulus
            if step["clear"]:
                current[neuron] = 0
        over = bool(step["finish"])
        history.append(list(finished))
    return history


@pytest.fixture(scope="session")
def rtl_integrate(play: Callable[..., Any]) -> Callable[..., list[list[int]]]:
    """Cycles without a gap; the finished charges after each."""

    def run(spec: Spec, count: int, cycles: list[Cycle]) -> list[list[int]]:
        latency = IntegratorGroup.latency(spec) + IntegratorGroup.COPY_CYCLES + 1
        frames = [frame(spec, count, cycle) for cycle in cycles] + [{}] * latency
        sampled = play(IntegratorGroup(spec, count), frames, ["finished"])[latency:]
        return [[finished[neuron] for neuron in range(count)] for (finished,) in sampled]

    return run


def random_spikes(spec: Spec, count: int, random: Random) -> dict[int, Spike]:
    lanes = random.sample(range(spec.lanes), random.randint(0, spec.lanes))
    ends = [[0, spec.max_weight_code], range(spec.max_weight_code + 1)]
    return {
        lane: ([random.choice(random.choice(ends)) for _ in range(count)], random.choice((-1, 1))) for lane in lanes
    }


SPIKES = {"keep_current": 1}
TICK = {"keep_current": 1, "keep_charge": 1}
LAST = {"keep_charge": 1, "finish": 1, "clear": 1}


@pytest.mark.parametrize("weight_bits", [2, 4, 8])
@pytest.mark.parametrize(("lanes", "count"), [(1, 4), (2, 3), (8, 2)])
def test_any_steps(rtl_integrate: Callable[..., Any], weight_bits: int, lanes: int, count: int) -> None:
    spec = Spec(neurons=16, lanes=lanes, depth=64, weight_bits=weight_bits)
    random = Random(lanes + weight_bits)
    cycles = []
    for _ in range(300):
        step = {name: int(random.random() < 0.4) for name in NAMES}
        cycles.append(Cycle(random_spikes(spec, count, random), step))
    cycles.append(Cycle({}, LAST))
    assert rtl_integrate(spec, count, cycles) == model(spec, count, cycles)


@pytest.mark.parametrize("ramp", [4, 8, 16])
@pytest.mark.parametrize(("lanes", "depth"), [(1, 4), (4, 16), (8, 48)])
def test_charges_of_whole_phases(rtl_integrate: Callable[..., Any], ramp: int, lanes: int, depth: int) -> None:
    # signs from an offset: a neuron whose weights are all weight_offset has the same one
    spec = Spec(neurons=8, lanes=lanes, depth=depth, salient_bits=7, ramp=ramp)
    random = Random(ramp + lanes)
    phases = []
    for _ in range(6):
        extreme = random.random() < 0.5
        level = [spec.max_level if extreme else random.randint(0, spec.max_level) for _ in range(depth)]
        end = random.choice((-1, 1))
        sign = [end if extreme else random.choice((-1, 1)) for _ in range(depth)]
        codes = [[random.choice((0, 15)) if extreme else random.randint(0, 15) for _ in range(2)] for _ in range(depth)]
        phases.append((level, sign, [[*code, spec.weight_offset] for code in codes]))
    cycles, ends, expected = [], [], []
    for level, sign, codes in phases:
        for tick in range(ramp, 0, -1):
            spikes = [
                (codes[k], sign[k])
                for k in range(depth)
                for _ in range(level[k] // ramp if tick == ramp else level[k] % ramp == tick)
            ]
            beats = [dict(enumerate(spikes[start : start + lanes])) for start in range(0, len(spikes), lanes)] or [{}]
            # the tick of a level is in the first cycle of the next one
            cycles.append(Cycle(beats[0], TICK if tick < ramp else SPIKES))
            cycles += [Cycle(beat, SPIKES) for beat in beats[1:]]
        cycles.append(Cycle({}, LAST))
        ends.append(len(cycles) - 1)
        charge = [
            sum(s * n * (code[neuron] - spec.weight_offset) for n, s, code in zip(level, sign, codes, strict=True))
            for neuron in range(2)
        ]
        assert all(-(2 ** (spec.charge_bits - 1)) <= each < 2 ** (spec.charge_bits - 1) for each in charge)
        expected.append([each % 2**spec.charge_bits for each in charge])
    finished = rtl_integrate(spec, 3, cycles)
    found = [[(finished[end][n] - finished[end][2]) % 2**spec.charge_bits for n in range(2)] for end in ends]
    assert found == expected


@pytest.mark.parametrize("count", [1, 2, 4])
def test_the_selected_charge_is_shown_and_none_is_nought(play: Callable[..., Any], count: int) -> None:
    spec = Spec(neurons=8, lanes=1, depth=8)
    codes = [5 * neuron + 3 & 15 for neuron in range(count)]
    frames = [frame(spec, count, Cycle({0: (codes, 1)}, SPIKES)), frame(spec, count, Cycle({}, LAST))]
    frames += [frame(spec, count, Cycle({}, {}))] * 5
    chosen = [*range(count), None, *reversed(range(count)), None, None]
    none = 2**count - 1
    frames += [{"deselect": none if place is None else none & ~(1 << place)} for place in chosen]
    frames += [{"deselect": none}] * GATHERING
    shown = [gathered for (gathered,) in play(IntegratorGroup(spec, count), frames, ["gathered"])]
    assert shown[-len(chosen) :] == [0 if place is None else codes[place] for place in chosen]
