"""The array's charges against the time domain of the golden model, tick by tick."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from golden.neuron import Phase, simulate
from golden.samples import random_vectors
from golden.spec import Spec
from golden.vectors import LayerVectors
from rtl.array import SpikingArray
from rtl.packets import weights_packet

SPECS = [
    Spec(neurons=8, lanes=1, depth=12),
    Spec(neurons=8, lanes=4, depth=16, salient_bits=7),
    Spec(neurons=16, lanes=2, depth=8, weight_bits=2, activation_bits=3, salient_bits=0),
    Spec(neurons=12, lanes=8, depth=16, weight_bits=8, activation_bits=5),
]


def beats_of(spec: Spec, phase: Phase, ticks: int) -> list[dict[str, Any]]:
    """The first ticks of a phase as beats, each lane taking its inputs in turn; then its end."""
    beats = []
    for tick in range(ticks):
        here = np.flatnonzero(phase.tick == tick)
        queues = [[i for i in here if phase.row[i] % spec.lanes == lane] for lane in range(spec.lanes)]
        length = max(1, *(len(queue) for queue in queues))
        for number in range(length):
            taken = {lane: queue[number] for lane, queue in enumerate(queues) if number < len(queue)}
            beats.append(
                {
                    "fire": sum(1 << lane for lane in taken),
                    "sign": sum(int(phase.sign[i] < 0) << lane for lane, i in taken.items()),
                    "row": [
                        int(phase.row[taken[lane]]) // spec.lanes if lane in taken else 0 for lane in range(spec.lanes)
                    ],
                    "tick": number == length - 1,
                }
            )
    return [*beats, {"end": 1}]


@pytest.fixture(scope="session")
def rtl_charges(simulate: Callable[..., None]) -> Callable[..., list[tuple[list[int], int]]]:
    """Load weights uint8 [inputs, neurons], run lists of beats; each one's charges by neuron, and its population."""

    def run(spec: Spec, codes: NDArray[np.uint8], programs: list[list[dict[str, Any]]]) -> list[tuple[list[int], int]]:
        array = SpikingArray(spec)
        results: list[tuple[list[int], int]] = []
        words = weights_packet(spec, first_input=0, codes=codes)[1:].reshape(-1, spec.words_per_row)

        async def testbench(ctx: Any) -> None:
            ctx.set(array.write_enable, 1)
            for k, row in enumerate(words):
                for index, word in enumerate(row):
                    place = {"lane": k % spec.lanes, "row": k // spec.lanes, "word": index, "data": int(word)}
                    ctx.set(array.write, place)
                    await ctx.tick()
            ctx.set(array.write_enable, 0)
            for program in programs:
                for number, beat in enumerate(program):
                    # a beat that is not enabled has no effect
                    if number % 3 == 1:
                        ctx.set(array.beat, {"fire": 1, "tick": 1, "end": 1})
                        ctx.set(array.enable, 0)
                        await ctx.tick()
                    ctx.set(array.beat, beat)
                    ctx.set(array.enable, 1)
                    await ctx.tick()
                ctx.set(array.enable, 0)
                await ctx.tick().until(array.loaded)
                charges = []
                ctx.set(array.shift, 1)
                for _ in range(spec.neurons):
                    _, _, charge, population = await ctx.tick().sample(array.charge, array.population)
                    charges.append(charge)
                ctx.set(array.shift, 0)
                results.append((charges, population))

        simulate(array, testbench)
        return results

    return run


def layer(spec: Spec, seed: int) -> LayerVectors:
    return random_vectors(
        spec,
        outputs=spec.neurons,
        inputs=spec.depth - seed % 3,
        tokens=8,
        salient_fraction=0.2,
        max_shift=min(3, spec.max_salient_shift),
        seed=seed,
    )


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: f"{spec.neurons}x{spec.lanes}x{spec.weight_bits}")
def test_charges_of_whole_phases(rtl_charges: Callable[..., Any], spec: Spec) -> None:
    vectors = layer(spec, seed=3)
    programs, expected = [], []
    for token in range(vectors.tokens):
        golden = simulate(vectors, token, spec, neurons=range(spec.neurons))
        for number, phase in enumerate(golden.program):
            programs.append(beats_of(spec, phase, phase.ticks))
            charge = golden.trace.charge[golden.trace.phase == number][-1].tolist()
            expected.append((charge, int((phase.sign * (phase.ticks - phase.tick)).sum())))
    assert expected
    assert rtl_charges(spec, vectors.w_code.T, programs) == expected


@pytest.mark.parametrize("spec", SPECS[:2], ids=lambda spec: f"{spec.neurons}x{spec.lanes}x{spec.weight_bits}")
def test_charges_tick_by_tick(rtl_charges: Callable[..., Any], spec: Spec) -> None:
    # a phase that ends early shows its charge at that tick
    vectors = layer(spec, seed=4)
    token = int(np.argmax((vectors.salient & (vectors.level != 0)).any(axis=1)))
    golden = simulate(vectors, token, spec, neurons=range(spec.neurons))
    assert [phase.salient for phase in golden.program] == [True, False]
    programs = [beats_of(spec, phase, tick + 1) for phase in golden.program for tick in range(phase.ticks)]
    charges = [charge for charge, _ in rtl_charges(spec, vectors.w_code.T, programs)]
    assert charges == golden.trace.charge.tolist()


def test_all_inputs_at_the_largest_level(rtl_charges: Callable[..., Any]) -> None:
    spec = Spec(neurons=8, lanes=2, depth=32, salient_bits=7)
    codes = np.tile(np.array([0, 15, 8, 7, 0, 15, 1, 2], np.uint8), (spec.depth, 1))
    for sign in (1, -1):
        every = np.arange(spec.depth)
        phase = Phase(salient=True, low=False, ticks=127, tick=0 * every, row=every, sign=0 * every + sign, shift=0)
        weight = codes[0].astype(int) - 8
        ((charges, population),) = rtl_charges(spec, codes, [beats_of(spec, phase, 127)])
        assert charges == (sign * 127 * spec.depth * weight).tolist()
        assert population == sign * 127 * spec.depth


def test_an_empty_phase_has_no_charge(rtl_charges: Callable[..., Any]) -> None:
    spec = SPECS[0]
    codes = np.full((spec.depth, spec.neurons), 15, np.uint8)
    spike = {"fire": 1, "row": [3], "tick": 1}
    expected = [([7] * 8, 1), ([0] * 8, 0), ([-7] * 8, -1)]
    programs = [[spike, {"end": 1}], [{"end": 1}], [spike | {"sign": 1}, {"end": 1}]]
    assert rtl_charges(spec, codes, programs) == expected


def test_latency(play: Callable[..., Any]) -> None:
    frames = [{"beat": {"fire": 1, "row": [0], "tick": 1}, "enable": 1}, {"beat": {"end": 1}, "enable": 1}]
    sampled = play(SpikingArray(SPECS[0]), frames + [{}] * 8, ["loaded", "population"])
    assert [loaded for loaded, _ in sampled] == [0, 0, 0, 0, 0, 1, 0, 0, 0, 0]
    assert [population for _, population in sampled] == [0] * 6 + [1] * 4
