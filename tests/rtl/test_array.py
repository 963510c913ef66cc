"""The array's charges against sums of weights times levels."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from golden.spec import Spec
from rtl.array import SpikingArray

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
    fresh = True
    for tick in range(spec.ramp, 0, -1):
        queues: list[list[tuple[int, int]]] = [[] for _ in range(spec.pairs)]
        for (pair, row), level in np.ndenumerate(levels):
            burst, rest = divmod(abs(int(level)), spec.ramp)
            queues[pair] += [(row, int(level < 0))] * (burst if tick == spec.ramp else int(rest == tick))
        beats = max(1, *(-(-len(queue) // spec.pair_lanes) for queue in queues))
        for beat in range(beats):
            frame = {"fire": 0, "sign": 0, "row": [0] * spec.lanes, "step": {"keep_current": 1}}
            for pair, queue in enumerate(queues):
                for index, (row, sign) in enumerate(queue[beat * spec.pair_lanes : (beat + 1) * spec.pair_lanes]):
                    lane = pair * spec.pair_lanes + index
                    frame["fire"] |= 1 << lane
                    frame["sign"] |= sign << lane
                    frame["row"][lane] = row
            frames.append(frame)
        if fresh:
            frames[-1]["step"]["keep_charge"] = 1
        elif tick > 1:
            frames.append({"step": {"tick": 1, "keep_charge": 1}})
        fresh = False
    return [*frames, {"step": {"tick": 1, "finish": 1, "clear": 1}}]


@pytest.fixture(scope="session")
def rtl_charges(simulate: Callable[..., None]) -> Callable[..., list[Finished]]:
    """Load weights [pairs, rows, neurons], and run phases, each when the charges of the one before are out."""

    def run(
        spec: Spec, weights: NDArray[np.int64], phases: list[Levels], *, stall: float = 0.0, seed: int = 0
    ) -> list[Finished]:
        array = SpikingArray(spec)
        random = Random(seed)
        results: list[Finished] = []
        modulus = 2**spec.charge_bits

        async def testbench(ctx: Any) -> None:
            ctx.set(array.write_enable, 1)
            for pair in range(spec.pairs):
                for row in range(1, spec.memory_rows):
                    packed = sum(int(code) << (spec.weight_bits * n) for n, code in enumerate(weights[pair, row]))
                    ctx.set(array.write, {"pair": pair, "row": row, "weights": packed})
                    await ctx.tick()
            ctx.set(array.write_enable, 0)
            charges: list[int] = []
            references: set[tuple[int, int]] = set()
            refused: int | None = None

            async def cycle(frame: dict[str, Any]) -> None:
                nonlocal refused
                ready = random.random() >= stall
                ctx.set(array.cycle, frame)
                ctx.set(array.charges.ready, ready)
                _, _, valid, charge, reference = await ctx.tick().sample(
                    array.charges.valid, array.charges.payload, array.reference
                )
                assert refused is None or (valid, charge) == (1, refused)
                refused = charge if valid and not ready else None
                if valid and ready:
                    charges.append(charge)
                    references.add((reference[0], reference[1]))

            for levels in phases:
                charges.clear()
                references.clear()
                for frame in cycles_of(spec, levels):
                    # a cycle without a step has no effect
                    for _ in range(random.choice((0, 0, 0, 2))):
                        await cycle({})
                    await cycle(frame)
                    assert not charges
                while len(charges) < spec.neurons:
                    await cycle({})
                for _ in range(8):
                    await cycle({})
                assert len(charges) == spec.neurons
                # they hold while charges come out
                ((offset, one_more),) = references
                population = (one_more - offset) % modulus
                population -= modulus * (population >= modulus // 2)
                results.append(Finished([(charge - offset) % modulus for charge in charges], population))

        simulate(array, testbench)
        return results

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


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: f"{spec.neurons}x{spec.lanes}x{spec.weight_bits}")
@pytest.mark.parametrize("stall", [0.0, 0.7])
def test_charges_of_whole_phases(rtl_charges: Callable[..., Any], spec: Spec, stall: float) -> None:
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
        expected = [expected_of(spec, weights, levels) for levels in phases]
        assert rtl_charges(spec, weights, phases, stall=stall, seed=3) == expected


def test_a_charge_a_cycle(simulate: Callable[..., None]) -> None:
    spec = SPECS[4]
    array = SpikingArray(spec)
    valids = []

    async def testbench(ctx: Any) -> None:
        ctx.set(array.charges.ready, 1)
        for frame in cycles_of(spec, np.zeros((spec.pairs, spec.memory_rows), np.int64)) + [{}] * 100:
            ctx.set(array.cycle, frame)
            _, _, valid = await ctx.tick().sample(array.charges.valid)
            valids.append(valid)

    simulate(array, testbench)
    first = valids.index(1)
    assert valids[first:] == [1] * spec.neurons + [0] * (len(valids) - first - spec.neurons)
