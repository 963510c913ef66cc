"""The array's charges against sums of weights times levels."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from spikequant.golden.layer.spec import Spec
from spikequant.rtl.array import SpikingArray
from spikequant.rtl.charge_buffer import PHASES

SPECS = [
    Spec(neurons=8, lanes=1, depth=12),
    Spec(neurons=8, lanes=4, depth=16, salient_bits=7, ramp=4),
    Spec(neurons=16, lanes=2, depth=8, weight_bits=2, activation_bits=3, salient_bits=0),
    Spec(neurons=12, lanes=8, depth=32, weight_bits=8, activation_bits=5, ramp=16),
    # more groups of neurons than one lookup table gathers
    Spec(neurons=72, lanes=2, depth=8),
]

Levels = NDArray[np.int64]
"""Signed levels by pair and row of its memory; row 0 holds zeros and never fires."""


@dataclass(frozen=True)
class Finished:
    """A phase's charges by neuron without their offset, modulo the width of a charge; and its population."""

    charges: list[int]
    population: int


def cycles_of(spec: Spec, levels: Levels) -> list[dict[str, Any]]:
    """A phase: spikes in beats, the highest level first, ticks between them, and its end."""
    frames: list[dict[str, Any]] = []
    for tick in range(spec.ramp, 0, -1):
        queues: list[list[tuple[int, int]]] = [[] for _ in range(spec.pairs)]
        for (pair, row), level in np.ndenumerate(levels):
            burst, rest = divmod(abs(int(level)), spec.ramp)
            queues[pair] += [(row, int(level < 0))] * (burst if tick == spec.ramp else int(rest == tick))
        beats = max(1, *(-(-len(queue) // spec.pair_lanes) for queue in queues))
        for beat in range(beats):
            # the tick of a level is in the first cycle of the next one
            step = {"keep_current": 1, "keep_charge": int(tick < spec.ramp and beat == 0)}
            frame = {"fire": 0, "sign": 0, "row": [0] * spec.lanes, "step": step}
            for pair, queue in enumerate(queues):
                for index, (row, sign) in enumerate(queue[beat * spec.pair_lanes : (beat + 1) * spec.pair_lanes]):
                    lane = pair * spec.pair_lanes + index
                    frame["fire"] |= 1 << lane
                    frame["sign"] |= sign << lane
                    frame["row"][lane] = row
            frames.append(frame)
    return [*frames, {"step": {"keep_charge": 1, "finish": 1, "clear": 1}}]


@dataclass(frozen=True)
class Charged:
    """What came out for one neuron, and when."""

    cycle: int
    charge: int
    reference: tuple[int, int]
    slot: int


@pytest.fixture(scope="session")
def rtl_charges(simulate: Callable[..., None]) -> Callable[..., tuple[list[Charged], list[int]]]:
    """Load weights [pairs, rows, neurons], and run phases one right behind the other, each in another slot.

    Returns what came out, and the cycles in which phases finished.
    """

    def run(
        spec: Spec,
        weights: NDArray[np.int64],
        phases: list[Levels],
        *,
        gated: bool = True,
        pauses: float = 0.0,
        seed: int = 0,
    ) -> tuple[list[Charged], list[int]]:
        array = SpikingArray(spec, gated=gated)
        random = Random(seed)
        charged: list[Charged] = []
        finishes: list[int] = []
        unread = 0
        now = 0

        async def testbench(ctx: Any) -> None:
            nonlocal now, unread
            ctx.set(array.write.enable, 1)
            for pair in range(spec.pairs):
                for row in range(1, spec.memory_rows):
                    packed = sum(int(code) << (spec.weight_bits * n) for n, code in enumerate(weights[pair, row]))
                    ctx.set(array.write.data, {"pair": pair, "row": row, "weights": packed})
                    await ctx.tick()
            ctx.set(array.write.enable, 0)

            async def cycle(frame: dict[str, Any], *, slot: int = 0) -> None:
                nonlocal now, unread
                ctx.set(array.cycle, frame)
                # noise where no phase finishes
                ctx.set(array.phase, {"slot": slot if "finish" in frame.get("step", {}) else random.randrange(8)})
                _, _, valid, out, read = await ctx.tick().sample(array.o.valid, array.o.value, array.read)
                unread -= read
                if valid:
                    reference = (out.reference[0], out.reference[1])
                    charged.append(Charged(now, out.charge, reference, out.phase.slot))
                now += 1

            for number, levels in enumerate(phases):
                *frames, last = cycles_of(spec, levels)
                for frame in frames:
                    # a cycle without a step has no effect
                    for _ in range(random.randrange(3) if random.random() < pauses else 0):
                        await cycle({})
                    await cycle(frame)
                while unread == PHASES or (finishes and now < finishes[-1] + spec.drain_cycles):
                    await cycle({})
                finishes.append(now)
                unread += 1
                await cycle(last, slot=number % spec.membrane_slots)
            for _ in range(PHASES * spec.neurons + 40):
                await cycle({})
            assert not unread

        simulate(array, testbench)
        return charged, finishes

    return run


def random_weights(spec: Spec, rng: np.random.Generator, *, ends: bool) -> NDArray[np.int64]:
    shape = (spec.pairs, spec.memory_rows, spec.neurons)
    if ends:
        return rng.choice([0, spec.max_weight_code], shape).astype(np.int64)
    return rng.integers(0, spec.max_weight_code + 1, shape)


def expected_of(spec: Spec, weights: NDArray[np.int64], levels: Levels) -> Finished:
    charge = np.einsum("prn,pr->n", weights - spec.weight_offset, levels)
    assert charge.min() >= -(2 ** (spec.charge_bits - 1))
    assert charge.max() < 2 ** (spec.charge_bits - 1)
    return Finished((charge % 2**spec.charge_bits).tolist(), int(levels.sum()))


def finished_of(spec: Spec, charged: list[Charged]) -> list[Finished]:
    """The charges of each phase without their offset."""
    modulus = 2**spec.charge_bits
    results = []
    for start in range(0, len(charged), spec.neurons):
        own = charged[start : start + spec.neurons]
        ((offset, one_more),) = {neuron.reference for neuron in own}
        population = (one_more - offset) % modulus
        population -= modulus * (population >= modulus // 2)
        results.append(Finished([(neuron.charge - offset) % modulus for neuron in own], population))
    return results


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: f"{spec.neurons}x{spec.lanes}x{spec.weight_bits}")
@pytest.mark.parametrize(("pauses", "gated"), [(0.0, True), (0.5, True), (0.0, False)])
def test_charges_of_whole_phases(rtl_charges: Callable[..., Any], spec: Spec, pauses: float, gated: bool) -> None:
    rng = np.random.default_rng(spec.lanes)
    top = spec.max_level
    shape = (spec.pairs, spec.memory_rows)
    phases = [rng.integers(-top, top + 1, shape) for _ in range(3)]
    # a silent phase, only a few inputs, and all of them at either end
    phases += [np.zeros(shape, np.int64), rng.integers(-1, 2, shape) * rng.integers(0, 2, shape)]
    phases += [np.full(shape, top), np.full(shape, -top), rng.choice([-top, top], shape)]
    for levels in phases:
        levels[:, 0] = 0
    for ends in (False, True):
        weights = random_weights(spec, rng, ends=ends)
        charged, finishes = rtl_charges(spec, weights, phases, pauses=pauses, gated=gated, seed=3)
        assert finished_of(spec, charged) == [expected_of(spec, weights, levels) for levels in phases]
        # a charge a cycle, at its time or behind the phase before, with the phase's particulars
        first = 0
        for number, finish in enumerate(finishes):
            own = charged[number * spec.neurons : (number + 1) * spec.neurons]
            first = max(first, finish + SpikingArray.latency(spec, gated=gated))
            assert [neuron.cycle for neuron in own] == list(range(first, first + spec.neurons))
            assert {neuron.slot for neuron in own} == {number % spec.membrane_slots}
            first += spec.neurons


@pytest.mark.parametrize("lanes", [1, 16])
@pytest.mark.parametrize("gated", [False, True])
def test_the_shortest_phases_of_the_fewest_neurons(rtl_charges: Callable[..., Any], lanes: int, gated: bool) -> None:
    spec = Spec(neurons=8, lanes=lanes, depth=64)
    rng = np.random.default_rng(4)
    phases = []
    for _ in range(12):
        levels = np.zeros((spec.pairs, spec.memory_rows), np.int64)
        levels[0, 1:3] = rng.integers(-1, 2, 2)
        phases.append(levels)
    weights = random_weights(spec, rng, ends=True)
    charged, _ = rtl_charges(spec, weights, phases, gated=gated)
    assert finished_of(spec, charged) == [expected_of(spec, weights, levels) for levels in phases]


def test_two_phases_that_end_as_soon_as_they_may(simulate: Callable[..., None]) -> None:
    for spec in (*SPECS, Spec(neurons=64, lanes=2, depth=64)):
        array = SpikingArray(spec)
        valids = []

        async def testbench(
            ctx: Any, spec: Spec = spec, array: SpikingArray = array, valids: list[int] = valids
        ) -> None:
            for cycle in range(PHASES * spec.neurons + 40):
                finishes = cycle in (0, spec.drain_cycles)
                ctx.set(array.cycle, {"step": {"keep_charge": 1, "finish": int(finishes), "clear": 1}})
                _, _, valid = await ctx.tick().sample(array.o.valid)
                valids.append(valid)

        simulate(array, testbench)
        assert valids.index(1) == SpikingArray.latency(spec)
        assert valids[valids.index(1) :][: PHASES * spec.neurons] == [1] * (PHASES * spec.neurons)
        assert sum(valids) == PHASES * spec.neurons
