"""Whole layers through the accelerator, against the integer level."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Fragment, MemoryData, MemoryInstance
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from spikequant.golden.layer.integer import LayerOutput, run_layer
from spikequant.golden.layer.random_layers import random_vectors
from spikequant.golden.layer.score import score_cost
from spikequant.golden.layer.spec import Spec
from spikequant.golden.layer.vectors import LayerVectors
from spikequant.rtl.accelerator import RUNS_WAITING, Accelerator
from spikequant.rtl.driver.packets import (
    CorruptedWeightsError,
    PacketError,
    TileResult,
    TokenTile,
    Words,
    codes_packet,
    neurons_packet,
    parse_result,
    run_packet,
    weights_packet,
)
from spikequant.rtl.driver.program import gather, gather_codes, layer_program
from spikequant.rtl.packet_sizes import result_words
from spikequant.rtl.result_queue import packets_waiting
from spikequant.rtl.shapes import Half, ResultHeader

SMALL = Spec(neurons=8, lanes=2, depth=16, membrane_slots=2, score_words=64)


@pytest.fixture(scope="session")
def rtl_play(play_packets: Callable[..., Any]) -> Callable[..., Any]:
    """Packets through an accelerator."""

    def play(spec: Spec, packets: list[Words], **others: Any) -> Any:
        return play_packets(Accelerator(spec), packets, **others)

    return play


@pytest.fixture(scope="session")
def rtl_layer(rtl_play: Callable[..., Any]) -> Callable[..., tuple[LayerOutput, list[TileResult]]]:
    """A layer through the accelerator."""

    def run(spec: Spec, vectors: LayerVectors, **others: Any) -> tuple[LayerOutput, list[TileResult]]:
        program = layer_program(spec, vectors)
        played = rtl_play(spec, program.packets, results=len(program.places), **others)
        results = [parse_result(spec, packet) for packet in played.packets("o")]
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
    neurons = 16 if weight_bits == 2 else draw(st.sampled_from([8, 16, 24]))
    form = Spec(
        neurons=neurons,
        clusters=draw(st.sampled_from([1, neurons // 8])) if weight_bits != 2 else 1,
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
        ramp=draw(st.sampled_from([4, 8, 16])),
        readout=readout,
        weight_parity=draw(st.booleans()),
    )
    # the shortest buffer that the spec allows, into which some tokens only go in parts, and others
    shortest = max(16, 1 << (form.shortest_buffer - 1).bit_length())
    return Spec(**{**form.model_dump(), "score_words": shortest * draw(st.sampled_from([1, 8]))})


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


@settings(max_examples=10, suppress_health_check=[HealthCheck.too_slow])
@given(case=layers(), stall=st.sampled_from([0.0, 0.5]), seed=st.integers(0, 999))
def test_any_layer_in_brief(
    rtl_play: Callable[..., Any], case: tuple[Spec, LayerVectors], stall: float, seed: int
) -> None:
    spec, vectors = case
    program = layer_program(spec, vectors, brief=True)
    played = rtl_play(spec, program.packets, results=len(program.places), stall=stall, seed=seed)
    results = [parse_result(spec, packet) for packet in played.packets("o")]
    assert all(result.membrane is None for result in results)
    code, saturated = gather_codes(vectors, program.places, results)
    golden = run_layer(vectors, spec)
    assert not (saturated & ~golden.saturated).any()
    assert code[~saturated].tolist() == golden.code[~saturated].tolist()


@pytest.mark.parametrize("clusters", [1, 2, 4])
def test_short_phases_end_as_often_as_the_charges_leave(rtl_play: Callable[..., Any], clusters: int) -> None:
    spec = Spec(neurons=64, clusters=clusters, lanes=2, depth=16, membrane_slots=2, score_words=64)
    level = np.random.default_rng(3).integers(-1, 2, 16)
    packets = [*loading(np.full((16, 64), 9, np.uint8), spec), sorting(level.tolist(), buffer=0)]
    runs, tokens = 12, 2
    # all but the last of a token's runs add to its membranes, one right behind the other
    for slot in range(tokens):
        packets += [running(0, slot=slot, first=number == 0, last=number == runs - 1) for number in range(runs)]
    play = rtl_play(spec, packets, results=tokens)
    results = [parse_result(spec, packet) for packet in play.packets("o")]
    assert [result.membrane.tolist() for result in results] == [[runs * int(level.sum())] * 64] * tokens
    last_in = play.sent["i"][-1].cycle
    first_out = play.received["o"][0].cycle
    # no run waits for more than the drain of the one before it, and the first one only for its score
    assert first_out < last_in + (runs + 1) * spec.drain_cycles + 60


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


@pytest.mark.parametrize("lanes", [1, 2, 8])
def test_totals_count_every_spike_and_cycle_of_the_array(rtl_layer: Callable[..., Any], lanes: int) -> None:
    spec = Spec(neurons=8, lanes=lanes, depth=32, membrane_slots=2, score_words=128)
    vectors = random_vectors(spec, outputs=8, inputs=21, tokens=6, wide=5, salient_fraction=0.2, seed=7)
    _, results = rtl_layer(spec, vectors)
    costs = [
        score_cost(spec, vectors.level[token, columns].astype(np.int64), vectors.salient[token, columns], shift)
        for token, shift in enumerate(vectors.shift.tolist())
        for columns in (np.arange(21), vectors.wide)
    ]
    spikes = sum(cost.salient.spikes + cost.normal.spikes for cost in costs)
    assert (results[-1].spikes, results[-1].beats) == (spikes, sum(cost.cycles for cost in costs))


@pytest.mark.parametrize("stall", [0.0, 0.5])
def test_bad_packets_are_flagged_in_every_later_result_and_change_no_value(
    rtl_play: Callable[..., Any], stall: float
) -> None:
    vectors = random_vectors(SMALL, outputs=8, inputs=16, tokens=4, max_shift=2, seed=3)
    program = layer_program(SMALL, vectors)
    parameters, weights, *tokens = program.packets
    codes, run = tokens[:2]
    bad = [
        np.array([0, 1, 2], np.uint32),  # no operation
        parameters[:2],  # a neuron cut off
        weights[:1],  # weights without weights
        codes[:2],  # codes without codes
        run[:1],  # half a run
        np.append(run, run),  # a run with something behind it
        np.append(run[:1] | np.uint32(255 << 16), run[1:]),  # a slot too many
        np.append(codes[:1] | np.uint32(64 << 16), codes[1:]),  # a score behind its buffer
    ]
    # between the first two tokens and the others, and again before the last one
    packets = [parameters, weights, *tokens[:4], *bad, *tokens[4:6], *bad, *tokens[6:]]
    assert len(tokens) == 8
    played = rtl_play(SMALL, packets, results=4, stall=stall).packets("o")
    flags = [ResultHeader.from_bits(int(packet[0])).malformed for packet in played]
    # a packet may be flagged on behalf of one that came in while its token was on its way
    assert flags[2:] == [1, 1]
    with pytest.raises(PacketError, match="refused a packet"):
        parse_result(SMALL, played[-1])
    for packet in played:
        packet[0] &= ~np.uint32(ResultHeader.const({"malformed": 1}).as_bits())
    results = [parse_result(SMALL, packet) for packet in played]
    assert_equal(SMALL, vectors, gather(vectors, program.places, results))


def loading(weights: NDArray[np.uint8], spec: Spec = SMALL) -> list[Words]:
    """Packets with weights [inputs, neurons], zero points of 8, no bias, and a theta of one."""
    every = np.ones(spec.neurons, np.int64)
    constants = neurons_packet(
        theta=(every << spec.theta_fraction_bits).astype(np.uint32),
        bias=(0 * every).astype(np.int32),
        zero=(8 * every).astype(np.uint8),
    )
    return [constants, weights_packet(spec, first_input=0, codes=weights)]


def sorting(level: Sequence[int], *, buffer: int, address: int = 0) -> Words:
    """A packet with normal levels."""
    value = np.array(level, np.int64) + 8
    silent = np.zeros(len(level), np.bool_)
    tile = TokenTile(value=value.astype(np.uint8), salient=silent, zero=8, shift=0, offset=0, merged=False)
    return codes_packet(tile, buffer=buffer, address=address)


def running(
    buffer: int, *, address: int = 0, first_input: int = 0, slot: int = 0, first: bool = True, last: bool = True
) -> Words:
    """A packet that runs a score, for a membrane of its own if not said otherwise."""
    return run_packet(
        buffer=buffer,
        address=address,
        shift=0,
        first_input=first_input,
        slot=slot,
        first=first,
        last=last,
        half=Half.WHOLE,
    )


WEIGHTS = np.random.default_rng(8).integers(0, 16, (16, 8)).astype(np.uint8)


@pytest.mark.parametrize(
    "bad",
    [
        [sorting([3] * 16 + [0] * 4 + [1] * 4, buffer=0), running(0)],  # codes behind the last row
        [sorting([3] * 15 + [8], buffer=0), running(0)],  # a level too large
        [sorting([3] * 16, buffer=0), running(0, first_input=2)],  # a score beyond the weights
        [sorting([0, 1, 2, 3] * 4, buffer=0, address=61), running(0, address=61)],  # a score beyond its buffer
    ],
    ids=["code", "level", "spike", "score"],
)
def test_what_is_refused_on_the_way_is_flagged(rtl_play: Callable[..., Any], bad: list[Words]) -> None:
    good = [sorting([1] * 16, buffer=1), running(1)]
    packets = [*loading(WEIGHTS), *good, *bad, *good]
    before, _, after = rtl_play(SMALL, packets, results=3).packets("o")
    flag = ResultHeader.const({"malformed": 1}).as_bits()
    with pytest.raises(PacketError, match="refused a packet"):
        parse_result(SMALL, after)
    body = slice(1, -2)
    assert (after[0] & ~np.uint32(flag)) == (before[0] & ~np.uint32(flag))
    assert after[body].tolist() == before[body].tolist()


@pytest.mark.parametrize("stall", [0.0, 0.5])
def test_a_score_stays_until_its_last_run_and_serves_many(rtl_play: Callable[..., Any], stall: float) -> None:
    rng = np.random.default_rng(5)
    packets = loading(WEIGHTS)
    expected = []
    kept = rng.integers(-8, 8, (2, 8))
    for buffer, level in enumerate(kept):
        packets.append(sorting(level.tolist(), buffer=buffer, address=40))
    for _ in range(2):
        for buffer in (0, 1, 1, 0):
            # more runs than may wait, and right behind them another score in their place
            level = rng.integers(-8, 8, 8)
            packets.append(sorting(level.tolist(), buffer=buffer))
            for number in range(RUNS_WAITING + 3):
                first_input = int(rng.integers(0, 5)) * 2
                old = bool(number % 3 == 1)
                slot = int(rng.integers(0, 2))
                address = 40 if old else 0
                packets.append(running(buffer, address=address, first_input=first_input, slot=slot))
                weights = WEIGHTS[first_input : first_input + 8].astype(np.int64) - 8
                expected.append(((kept[buffer] if old else level) @ weights).tolist())
    run = rtl_play(SMALL, packets, results=len(expected), stall=stall, seed=4)
    results = [parse_result(SMALL, packet) for packet in run.packets("o")]
    assert [result.membrane.tolist() for result in results] == expected


@pytest.mark.parametrize("readout", ["halving", "ramp"])
def test_results_wait_for_as_long_as_it_takes(simulate: Callable[..., None], packet_streams: Any, readout: str) -> None:
    spec = Spec(**{**SMALL.model_dump(), "readout": readout, "output_bits": 5})
    rng = np.random.default_rng(6)
    tokens = packets_waiting(spec) + 16
    levels = rng.integers(-8, 8, (tokens, 8))
    packets = loading(WEIGHTS, spec)
    for number, level in enumerate(levels.tolist()):
        packets += [sorting(level, buffer=number % 2), running(number % 2)]
    words = packet_streams.words(packets)
    dut = packet_streams(Accelerator(spec))
    received: list[Any] = []
    held_back = 0

    async def testbench(ctx: Any) -> None:
        nonlocal held_back
        sent = stuck = 0
        while len(received) < tokens * result_words(spec):
            # nothing is taken until nothing goes in any more
            ready = stuck > 200
            ctx.set(dut.o.ready, ready)
            ctx.set(dut.i.valid, sent < len(words))
            if sent < len(words):
                ctx.set(dut.i.payload, words[sent])
            _, _, taken, valid, word = await ctx.tick().sample(dut.i.ready, dut.o.valid, dut.o.payload)
            moved = sent < len(words) and taken
            sent += moved
            stuck = stuck if ready else 0 if moved else stuck + 1
            received.extend([word] * (valid and ready))
            held_back = held_back if ready else len(words) - sent

    simulate(dut, testbench)
    assert held_back > 0
    results = [parse_result(spec, packet) for packet in packet_streams.packets(received)]
    expected = levels @ (WEIGHTS[:8].astype(np.int64) - 8)
    assert [result.membrane.tolist() for result in results] == expected.tolist()
    assert [result.code.tolist() for result in results] == expected.clip(-15, 15).tolist()


def test_a_reset_at_any_time_leaves_no_trace(play_after_resets: Callable[..., list[list[Words]]]) -> None:
    vectors = random_vectors(SMALL, outputs=8, inputs=20, tokens=3, wide=2, max_shift=2, seed=11)
    other = random_vectors(SMALL, outputs=8, inputs=20, tokens=3, salient_fraction=0.5, seed=12)
    program, before = layer_program(SMALL, vectors), layer_program(SMALL, other)
    expected = len(program.places)
    played = play_after_resets(
        Accelerator(SMALL), before.packets, program.packets, results=expected, resets=range(1, 900, 97)
    )
    outputs = [[parse_result(SMALL, packet) for packet in packets] for packets in played]
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
    results = [parse_result(SMALL, packet) for packet in run.packets("o")]
    for index, (vectors, program) in enumerate(zip(layers, programs, strict=True)):
        assert_equal(SMALL, vectors, gather(vectors, program.places, results[3 * index : 3 * index + 3]))


class Opened(Accelerator):
    """An accelerator whose synapse memory a test may change."""

    memory: MemoryData

    def elaborate(self, platform: object) -> Any:
        fragment = Fragment.get(super().elaborate(platform), platform)
        place: Any = fragment
        for name in ("cluster_0", "array", "synapses", "memory_0", "rows"):
            place = next(sub for sub, own, _ in place.subfragments if own == name)
        assert isinstance(place, MemoryInstance)
        self.memory = place._data
        return fragment


def test_every_inverted_weight_that_is_read_is_flagged_in_its_own_result(
    packet_streams: Callable[..., Any], simulate: Callable[..., None]
) -> None:
    spec = SMALL.model_copy(update={"weight_parity": True})
    accelerator = Opened(spec)
    dut = packet_streams(accelerator)
    zero = np.zeros(8, np.uint8)
    codes = np.arange(2 * 8, dtype=np.uint8).reshape(2, 8)
    load = [
        weights_packet(spec, first_input=0, codes=codes),
        neurons_packet(theta=np.full(8, 4096, np.uint32), bias=np.zeros(8, np.int32), zero=zero),
    ]
    # the shortest phase there is: one input at the lowest level, read by the last beat
    tile = TokenTile(np.array([1], np.uint8), np.array([False]), zero=0, shift=0, offset=0, merged=False)
    settings = {"buffer": 0, "shift": 0, "first_input": 0, "slot": 0, "first": True, "last": True}
    run = [codes_packet(tile, buffer=0), run_packet(**settings, half=Half.WHOLE, brief=True)]
    # a row that no spike reads, the row of zeros that idle lanes read, and that of the spike
    flips = [(2, 5), *((row, bit) for row in (0, 1) for bit in (0, 13, 31, 32))]
    outcomes = []

    async def play(ctx: Any, packets: list[Words], results: int) -> list[Any]:
        words, sent, received = packet_streams.words(packets), 0, []
        ctx.set(dut.o.ready, 1)
        busy = True
        while busy or sent < len(words) or sum(word.last for word in received) < results:
            ctx.set(dut.i.valid, sent < len(words))
            if sent < len(words):
                ctx.set(dut.i.payload, words[sent])
            _, _, ready, valid, word, busy = await ctx.tick().sample(dut.i.ready, dut.o.valid, dut.o.payload, dut.busy)
            sent += ready and sent < len(words)
            received += [word] * valid
        return received

    async def testbench(ctx: Any) -> None:
        await play(ctx, load, 0)
        await ctx.tick().repeat(10)
        for row, bit in [(1, None), *flips, (1, None)]:
            ctx.set(dut.reset, 1)
            await ctx.tick()
            ctx.set(dut.reset, 0)
            whole = ctx.get(accelerator.memory[row])
            if bit is not None:
                ctx.set(accelerator.memory[row], whole ^ 1 << bit)
            (packet,) = packet_streams.packets(await play(ctx, run, 1))
            ctx.set(accelerator.memory[row], whole)
            try:
                assert parse_result(spec, packet).code.tolist() == codes[0].tolist()
                outcomes.append(False)
            except CorruptedWeightsError:
                outcomes.append(True)

    simulate(dut, testbench)
    assert outcomes == [False, False, *[True] * 8, False]
