"""The cost of a score against what encoder and sequencer make of it."""

from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out, connect, flipped
from amaranth.sim import Simulator
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from spikequant.golden.layer.score import ScoreCost, phase_cost, score_cost
from spikequant.golden.layer.spec import Spec
from spikequant.rtl.encoder.encoder import Encoder
from spikequant.rtl.packet_sizes import CODES_PER_WORD
from spikequant.rtl.sequencer import Sequencer
from spikequant.rtl.shapes import Half, codes_layout

CYCLES = 10_000
"""A run that takes longer has failed."""


class Scores(Component):
    """Encoder and sequencer: codes in, and the sequencer's cycles out, with neurons that are never busy."""

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        super().__init__(
            {
                "i": In(stream.Signature(codes_layout())),
                "run": In(1),
                "shift": In(4),
                "written": Out(1),
                "active": Out(1),
                "fire": Out(spec.lanes),
                "busy": Out(1),
            }
        )

    def elaborate(self, _platform: object) -> Module:
        m = Module()
        m.submodules.encoder = encoder = Encoder(self._spec)
        m.submodules.sequencer = sequencer = Sequencer(self._spec)
        connect(m, flipped(self.i), encoder.i)
        connect(m, encoder.write, sequencer.write)
        m.d.comb += [
            sequencer.runs.valid.eq(self.run),
            sequencer.runs.payload.first_row.eq(1),
            sequencer.runs.payload.half.eq(Half.WHOLE),
            sequencer.runs.payload.shift.eq(self.shift),
            self.written.eq(encoder.write.enable),
            self.active.eq(sequencer.cycle.step.as_value().any()),
            self.fire.eq(sequencer.cycle.fire),
            self.busy.eq(encoder.busy.any() | ~sequencer.idle),
        ]
        return m


Token = tuple[NDArray[np.int64], NDArray[np.bool_], int]
"""Levels without their shift, which of them are salient, and the shift."""


def measured(spec: Spec, tokens: list[Token]) -> list[tuple[int, int, int]]:
    """Words, cycles and spikes of each token, one after the other; its cycles follow each other without a gap."""
    scores = Scores(spec)
    found = []

    async def testbench(ctx: Any) -> None:
        async def watch(active: list[int]) -> tuple[int, int, int]:
            _, _, busy, written, acts, fire = await ctx.tick().sample(
                scores.busy, scores.written, scores.active, scores.fire
            )
            active.append(acts)
            assert len(active) < CYCLES
            return busy, written, fire.bit_count()

        for level, salient, shift in tokens:
            zero = int(max(0, -level[~salient].min(initial=0)))
            offset = int(level[salient].min(initial=0))
            merged = int(cost_of(spec, (level, salient, shift)).merged)
            header = {"shift": shift, "zero": zero, "offset": offset, "merged": merged}
            codes = [
                {"value": int(own - offset if is_salient else own + zero), "salient": int(is_salient)}
                for own, is_salient in zip(level, salient, strict=True)
            ]
            codes += [{"value": zero, "salient": 0}] * (-len(codes) % CODES_PER_WORD)
            ctx.set(scores.i.valid, 1)
            for place in range(0, len(codes), CODES_PER_WORD):
                final = place + CODES_PER_WORD == len(codes)
                word = {"header": header, "codes": codes[place : place + CODES_PER_WORD], "final": final}
                ctx.set(scores.i.payload, word)
                await ctx.tick().until(scores.i.ready)
            ctx.set(scores.i.valid, 0)
            words, quiet, busy = 0, [], 1
            while busy:
                busy, written, _ = await watch(quiet)
                words += written
            assert not any(quiet)
            ctx.set(scores.run, 1)
            ctx.set(scores.shift, shift)
            active, spikes, left = [], 0, 20
            while left:
                busy, _, fired = await watch(active)
                ctx.set(scores.run, 0)
                spikes += fired
                left = left - 1 if not busy else 20
            cycles = sum(active)
            assert active[active.index(1) :][:cycles] == [1] * cycles
            found.append((words, cycles, spikes))

    simulator = Simulator(scores)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()
    return found


def cost_of(spec: Spec, token: Token) -> ScoreCost:
    level, salient, shift = token
    return score_cost(spec, np.where(salient, level << shift, level), salient, shift)


@st.composite
def cases(draw: st.DrawFn) -> tuple[Spec, list[Token]]:
    lanes = draw(st.sampled_from([1, 2, 4, 8]))
    activation_bits = draw(st.integers(2, 5))
    spec = Spec(
        neurons=8,
        lanes=lanes,
        depth=lanes * draw(st.integers(2, 9)),
        activation_bits=activation_bits,
        salient_bits=draw(st.just(0) | st.integers(activation_bits, 7)),
        max_salient_shift=draw(st.integers(0, 15)),
        ramp=draw(st.sampled_from([4, 8, 16])),
        score_words=1024,
    )
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    tokens = []
    for share in (0.0, 0.1, 0.5, 1.0, 0.1):
        inputs = int(rng.integers(1, spec.depth + 1))
        salient = (rng.random(inputs) < share) & bool(spec.salient_bits)
        spread = rng.choice([0, 1, spec.max_activation_code])
        # levels of one sign at least, so that codes hold the largest
        normal = np.minimum(rng.integers(0, spread + 1, inputs), spec.max_activation_code)
        loud = rng.integers(0, spec.max_salient_code + 1, inputs)
        sign = rng.choice([-1, 1], 2)
        level = np.where(salient, sign[0] * loud, sign[1] * normal)
        tokens.append((level, salient, int(rng.integers(0, spec.max_salient_shift + 1))))
    return spec, tokens


@settings(max_examples=15)
@given(case=cases())
def test_words_cycles_and_spikes_are_those_of_the_hardware(case: tuple[Spec, list[Token]]) -> None:
    spec, tokens = case
    costs = [cost_of(spec, token) for token in tokens]
    expected = [(cost.words, cost.cycles, cost.salient.spikes + cost.normal.spikes) for cost in costs]
    assert measured(spec, tokens) == expected


def test_both_ways_of_shifting_are_measured() -> None:
    spec = Spec(neurons=8, lanes=2, depth=32, score_words=256, population_bits=9)
    rng = np.random.default_rng(3)
    tokens = []
    for salients, shift in ((1, 1), (1, 2), (1, 3), (2, 4), (30, 3), (30, 11), (0, 3), (30, 0)):
        salient = np.arange(32) < salients
        tokens.append((np.where(salient, 31, rng.integers(0, 16, 32)), salient, shift))
    costs = [cost_of(spec, token) for token in tokens]
    assert [cost.merged for cost in costs] == [True, True, True, False, False, False, False, False]
    expected = [(cost.words, cost.cycles, cost.salient.spikes + cost.normal.spikes) for cost in costs]
    assert measured(spec, tokens) == expected


SMALL = Spec(neurons=8, lanes=2, depth=32, ramp=8)


@pytest.mark.parametrize(
    ("level", "words", "cycles"),
    [
        ([0] * 4, 1, 2),  # a phase has a beat and an end, with or without spikes
        ([1, -1], 1, 2),
        ([1, 1, 1, 0], 2, 3),
        ([2], 1, 3),
        ([3], 1, 4),
        ([2, 1], 2, 3),  # the first tick shares the cycle of the second beat
        ([8, 8], 1, 9),
        ([15, 0], 2, 9),  # a burst of one at the top of the ramp, and the rest
        ([15, 15], 2, 9),
        ([7, 0, 0, 3], 2, 8),
    ],
)
def test_cost_of_a_few_levels(level: list[int], words: int, cycles: int) -> None:
    silent = np.zeros(len(level), np.bool_)
    cost = score_cost(SMALL, np.array(level, np.int64), silent, 0)
    assert (cost.words, cost.cycles, cost.merged) == (words, cycles, False)
    assert measured(SMALL, [(np.array(level, np.int64), silent, 0)])[0][:2] == (words, cycles)


@given(
    magnitudes=st.lists(st.integers(0, 127), max_size=40),
    lanes=st.sampled_from([1, 2, 4, 8]),
    ramp=st.sampled_from([4, 8, 16]),
)
def test_cost_of_a_phase_by_counting(magnitudes: list[int], lanes: int, ramp: int) -> None:
    spec = Spec(neurons=8, lanes=lanes, depth=64, ramp=ramp, salient_bits=7)
    here = np.arange(len(magnitudes)) % lanes
    cost = phase_cost(spec, np.array(magnitudes, np.int64), here)
    fired = [level for magnitude in magnitudes for level in [ramp] * (magnitude // ramp) + [magnitude % ramp] if level]
    assert cost.spikes == len(fired)
    assert cost.ticks == max(fired, default=0)
    beats = 0
    for level in range(1, ramp + 1):
        pairs = [0] * spec.pairs
        for magnitude, lane in zip(magnitudes, here.tolist(), strict=True):
            times = magnitude // ramp if level == ramp else int(magnitude % ramp == level)
            pairs[lane // spec.pair_lanes] += times
        beats += max(-(-count // spec.pair_lanes) for count in pairs)
    assert cost.beats == beats
