"""Whole layers through the accelerator, against the integer level."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Module, ResetInserter
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from golden.integer import LayerOutput, run_layer
from golden.neuron import simulate as simulate_token
from golden.samples import random_vectors
from golden.spec import Spec
from golden.vectors import LayerVectors
from rtl.accelerator import Accelerator
from rtl.packets import PacketError, TileResult, Words, parse_result
from rtl.program import gather, layer_program
from rtl.shapes import ResultHeader, word_layout

SMALL = Spec(neurons=8, lanes=2, depth=16, membrane_slots=2)


class Streams(Component):
    """The accelerator with its AXI4-Streams as Amaranth's streams, and a reset of its own."""

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        super().__init__(
            {
                "i": In(stream.Signature(word_layout())),
                "o": Out(stream.Signature(word_layout())),
                "busy": Out(1),
                "reset": In(1),
            }
        )

    def elaborate(self, _platform: object) -> Module:
        m = Module()
        accelerator = Accelerator(self._spec)
        m.submodules.accelerator = ResetInserter(self.reset)(accelerator)
        m.d.comb += [
            accelerator.s_axis_tdata.eq(self.i.payload.data),
            accelerator.s_axis_tlast.eq(self.i.payload.last),
            accelerator.s_axis_tvalid.eq(self.i.valid),
            self.i.ready.eq(accelerator.s_axis_tready),
            self.o.payload.data.eq(accelerator.m_axis_tdata),
            self.o.payload.last.eq(accelerator.m_axis_tlast),
            self.o.valid.eq(accelerator.m_axis_tvalid),
            accelerator.m_axis_tready.eq(self.o.ready),
            self.busy.eq(accelerator.busy),
        ]
        return m


def words_of(packets: list[Words]) -> list[dict[str, int]]:
    return [
        {"data": int(word), "last": index == len(packet) - 1} for packet in packets for index, word in enumerate(packet)
    ]


def packets_of(words: list[Any]) -> list[Words]:
    ends = [index + 1 for index, word in enumerate(words) if word.last]
    data = np.array([word.data for word in words], np.uint32)
    return np.split(data, ends)[:-1]


@pytest.fixture(scope="session")
def rtl_play(run_streams: Callable[..., Any]) -> Callable[..., Any]:
    """Play packets; the run ends when all words are in, ``results`` packets are out, and nothing is busy."""

    def play(spec: Spec, packets: list[Words], *, results: int, **others: Any) -> Any:
        words = words_of(packets)

        def over(run: Any) -> bool:
            out = sum(word.payload.last for word in run.received["o"])
            return len(run.sent["i"]) == len(words) and out >= results and not run.watched["busy"][-1]

        return run_streams(Streams(spec), {"i": words}, ["o"], until=over, watch=["busy"], **others)

    return play


@pytest.fixture(scope="session")
def rtl_layer(rtl_play: Callable[..., Any]) -> Callable[..., tuple[LayerOutput, list[TileResult]]]:
    """A layer through the accelerator."""

    def run(spec: Spec, vectors: LayerVectors, **others: Any) -> tuple[LayerOutput, list[TileResult]]:
        program = layer_program(spec, vectors)
        played = rtl_play(spec, program.packets, results=len(program.places), **others)
        results = [parse_result(spec, packet) for packet in packets_of(played.payloads("o"))]
        return gather(vectors, program.places, results), results

    return run


def assert_equal(spec: Spec, vectors: LayerVectors, output: LayerOutput) -> None:
    golden = run_layer(vectors, spec)
    assert not (output.saturated & ~golden.saturated).any()
    exact = ~output.saturated
    assert output.membrane[exact].tolist() == golden.membrane[exact].tolist()
    assert output.code[exact].tolist() == golden.code[exact].tolist()


@st.composite
def specs(draw: st.DrawFn) -> Spec:
    weight_bits = draw(st.sampled_from([2, 4, 8]))
    lanes = draw(st.sampled_from([1, 2, 4, 8]))
    activation_bits = draw(st.integers(2, 7))
    readout = draw(st.sampled_from(["halving", "ramp"]))
    return Spec(
        neurons=draw(st.sampled_from([8, 16, 24])) if weight_bits != 2 else 16,
        lanes=lanes,
        depth=lanes * draw(st.integers(2, 8)),
        weight_bits=weight_bits,
        activation_bits=activation_bits,
        salient_bits=draw(st.just(0) | st.integers(activation_bits, 7)),
        max_salient_shift=draw(st.integers(0, 15)),
        membrane_bits=draw(st.integers(8, 39)),
        membrane_slots=draw(st.integers(1, 5)),
        theta_fraction_bits=draw(st.integers(0, 24)),
        output_bits=draw(st.integers(2, 5 if readout == "ramp" else 16)),
        readout=readout,
    )


@st.composite
def layers(draw: st.DrawFn) -> tuple[Spec, LayerVectors]:
    spec = draw(specs())
    inputs = draw(st.integers(1, 2 * spec.depth + 1))
    return spec, random_vectors(
        spec,
        outputs=draw(st.integers(1, spec.neurons + 1)),
        inputs=inputs,
        tokens=draw(st.integers(1, 4)),
        wide=draw(st.just(0) | st.integers(0, inputs)),
        salient_fraction=draw(st.sampled_from([0.0, 0.1, 1.0])),
        seed=draw(st.integers(0, 2**32 - 1)),
    )


@settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow])
@given(case=layers(), stall=st.sampled_from([0.0, 0.3, 0.7]), seed=st.integers(0, 999))
def test_any_layer_on_any_spec(
    rtl_layer: Callable[..., Any], case: tuple[Spec, LayerVectors], stall: float, seed: int
) -> None:
    spec, vectors = case
    output, _ = rtl_layer(spec, vectors, stall=stall, seed=seed)
    assert_equal(spec, vectors, output)


@pytest.mark.parametrize("seed", [0, 2, 3])
def test_words_wait_unchanged_for_the_receiver(rtl_layer: Callable[..., Any], seed: int) -> None:
    # results wait while the next tokens' spikes, long programs for a single lane, are counted
    spec = SMALL.model_copy(update={"lanes": 1, "depth": 64})
    vectors = random_vectors(spec, outputs=8, inputs=64, tokens=6, seed=5)
    output, _ = rtl_layer(spec, vectors, stall={"o": 0.8}, seed=seed)
    assert_equal(spec, vectors, output)


@pytest.mark.parametrize("output_bits", [2, 16])
def test_busy_until_the_last_result_is_out(rtl_play: Callable[..., Any], output_bits: int) -> None:
    spec = SMALL.model_copy(update={"output_bits": output_bits})
    program = layer_program(spec, random_vectors(spec, outputs=8, inputs=16, tokens=1, seed=5))
    run = rtl_play(spec, program.packets, results=1)
    first = run.sent["i"][-1].cycle
    last = run.received["o"][-1].cycle
    assert all(run.watched["busy"][first : last + 1])
    assert not any(run.watched["busy"][last + 1 :])


def test_totals_count_every_spike_and_beat(rtl_layer: Callable[..., Any]) -> None:
    # a lane alone takes a beat a spike, and one more for each level at which it has none
    spec = SMALL.model_copy(update={"lanes": 1})
    vectors = random_vectors(spec, outputs=8, inputs=11, tokens=5, wide=5, max_shift=2, seed=7)
    _, results = rtl_layer(spec, vectors)
    programs = [simulate_token(vectors, token, spec).program for token in range(vectors.tokens)]
    phases = [phase for program in programs for phase in program]
    spikes = sum(phase.row.size for phase in phases)
    silent = sum(phase.ticks - np.unique(phase.tick).size for phase in phases)
    assert (results[-1].spikes, results[-1].beats) == (spikes, spikes + silent)


def test_bad_packets_are_flagged_in_every_later_result_and_change_no_value(rtl_play: Callable[..., Any]) -> None:
    vectors = random_vectors(SMALL, outputs=8, inputs=16, tokens=4, max_shift=2, seed=3)
    program = layer_program(SMALL, vectors)
    bad = [
        np.array([0, 1, 2], np.uint32),  # no operation
        program.packets[1][:1],  # weights without weights
        program.packets[2][:2],  # a run without codes
        np.append(program.packets[2][:1] | np.uint32(255 << 16), program.packets[2][1:]),  # a slot too many
    ]
    # behind the first two tokens, and again behind the third
    packets = [*program.packets[:4], *bad, program.packets[4], *bad, program.packets[5]]
    assert len(program.packets) == 6
    played = packets_of(rtl_play(SMALL, packets, results=4).payloads("o"))
    flags = [ResultHeader.from_bits(int(packet[0])).malformed for packet in played]
    # a packet may be flagged on behalf of one that came in while its token was on its way
    assert flags[2:] == [1, 1]
    with pytest.raises(PacketError, match="refused a packet"):
        parse_result(SMALL, played[-1])
    for packet in played:
        packet[0] &= ~np.uint32(ResultHeader.const({"malformed": 1}).as_bits())
    results = [parse_result(SMALL, packet) for packet in played]
    assert_equal(SMALL, vectors, gather(vectors, program.places, results))


def test_a_code_that_is_refused_is_flagged(rtl_play: Callable[..., Any]) -> None:
    vectors = random_vectors(SMALL, outputs=8, inputs=16, tokens=1, extremes=False, seed=3)
    *head, run = layer_program(SMALL, vectors).packets
    loud = 0x7F7F7F7F
    beyond = np.append(run, np.uint32(loud))  # behind the last row
    packet = packets_of(rtl_play(SMALL, [*head, beyond], results=1).payloads("o"))[0]
    with pytest.raises(PacketError, match="refused a packet"):
        parse_result(SMALL, packet)


def test_a_reset_at_any_time_leaves_no_trace(simulate: Callable[..., None]) -> None:
    vectors = random_vectors(SMALL, outputs=8, inputs=20, tokens=3, wide=2, max_shift=2, seed=11)
    other = random_vectors(SMALL, outputs=8, inputs=20, tokens=3, salient_fraction=0.5, seed=12)
    program = layer_program(SMALL, vectors)
    dut = Streams(SMALL)
    outputs = []

    async def testbench(ctx: Any) -> None:
        async def play(packets: list[Words], *, cycles: int | None, results: int | None) -> list[Any]:
            words = words_of(packets)
            sent, received, cycle = 0, [], 0
            ctx.set(dut.o.ready, 1)
            while cycle != cycles and sum(word.last for word in received) != results:
                ctx.set(dut.i.valid, sent < len(words))
                if sent < len(words):
                    ctx.set(dut.i.payload, words[sent])
                _, _, ready, valid, word = await ctx.tick().sample(dut.i.ready, dut.o.valid, dut.o.payload)
                sent += ready
                received += [word] * valid
                cycle += 1
            return received

        for cycles in range(1, 330, 23):
            await play(layer_program(SMALL, other).packets, cycles=cycles, results=None)
            ctx.set(dut.i.valid, 0)
            ctx.set(dut.reset, 1)
            await ctx.tick()
            ctx.set(dut.reset, 0)
            words = await play(program.packets, cycles=None, results=len(program.places))
            outputs.append([parse_result(SMALL, packet) for packet in packets_of(words)])

    simulate(dut, testbench)
    for results in outputs:
        assert_equal(SMALL, vectors, gather(vectors, program.places, results))
    # the totals start again, too
    assert len({(results[-1].spikes, results[-1].beats) for results in outputs}) == 1


def test_layers_follow_each_other_without_a_reset(rtl_play: Callable[..., Any]) -> None:
    layers = [
        random_vectors(SMALL, outputs=8, inputs=inputs, tokens=3, wide=wide, max_shift=2, seed=inputs)
        for inputs, wide in ((16, 0), (20, 3), (5, 5))
    ]
    programs = [layer_program(SMALL, vectors) for vectors in layers]
    packets = [packet for program in programs for packet in program.packets]
    run = rtl_play(SMALL, packets, results=9, stall=0.3, seed=2)
    results = [parse_result(SMALL, packet) for packet in packets_of(run.payloads("o"))]
    for index, (vectors, program) in enumerate(zip(layers, programs, strict=True)):
        assert_equal(SMALL, vectors, gather(vectors, program.places, results[3 * index : 3 * index + 3]))
