"""Whole layers through the multiply-accumulate twin, against the integer level."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Fragment
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spikequant.benchmarks.twin.arithmetic import (
    feed_cycles,
    joined_cycles,
    joins,
    mac_vectors,
    run_mac_layer,
    token_grain,
)
from spikequant.benchmarks.twin.program import twin_program
from spikequant.benchmarks.twin.twin import MacTwin
from spikequant.golden.layer.integer import LayerOutput
from spikequant.golden.layer.random_layers import random_vectors
from spikequant.golden.layer.spec import Spec
from spikequant.golden.layer.vectors import LayerVectors
from spikequant.rtl.accelerator import Accelerator
from spikequant.rtl.driver.packets import PacketError, TileResult, Words, operation_of, parse_result
from spikequant.rtl.driver.program import gather
from spikequant.rtl.shapes import Operation, ResultHeader

SMALL = Spec(neurons=8, lanes=2, depth=16, membrane_slots=2, score_words=64)
WIDE = Spec(neurons=8, lanes=4, depth=256, membrane_slots=8, score_words=256)


@pytest.fixture(scope="session")
def twin_play(play_packets: Callable[..., Any]) -> Callable[..., Any]:
    """Packets through a twin."""

    def play(spec: Spec, packets: list[Words], **others: Any) -> Any:
        return play_packets(MacTwin(spec), packets, **others)

    return play


@pytest.fixture(scope="session")
def twin_layer(twin_play: Callable[..., Any]) -> Callable[..., tuple[LayerOutput, list[TileResult]]]:
    """A layer through the twin."""

    def run(
        spec: Spec, vectors: LayerVectors, *, keep: bool = True, **others: Any
    ) -> tuple[LayerOutput, list[TileResult]]:
        program = twin_program(spec, mac_vectors(vectors, spec), keep_scores=keep)
        played = twin_play(spec, program.packets, results=len(program.places), **others)
        results = [parse_result(spec, packet) for packet in played.packets("o")]
        return gather(vectors, program.places, results), results

    return run


def assert_equal(spec: Spec, vectors: LayerVectors, output: LayerOutput) -> None:
    golden = run_mac_layer(vectors, spec)
    assert not (output.saturated & ~golden.saturated).any()
    exact = ~output.saturated
    assert output.membrane[exact].tolist() == golden.membrane[exact].tolist()
    assert output.code[exact].tolist() == golden.code[exact].tolist()


def tokens_of(vectors: LayerVectors) -> list[tuple[Any, Any, int]]:
    return list(zip(vectors.level.astype(np.int64), vectors.salient, vectors.shift.tolist(), strict=True))


@st.composite
def specs(draw: st.DrawFn) -> Spec:
    weight_bits = draw(st.sampled_from([2, 4, 8]))
    lanes = draw(st.sampled_from([1, 2, 4, 8, 16]))
    activation_bits = draw(st.integers(2, 7))
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
        output_bits=draw(st.integers(2, 16)),
        # where tokens may begin at any row, and where they may not
        score_words=draw(st.sampled_from([64, 128, 1024])),
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


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(case=layers(), keep=st.booleans(), stall=st.sampled_from([0.0, 0.3, 0.7]), seed=st.integers(0, 999))
def test_any_layer_on_any_spec(
    twin_layer: Callable[..., Any], case: tuple[Spec, LayerVectors], *, keep: bool, stall: float, seed: int
) -> None:
    spec, vectors = case
    output, _ = twin_layer(spec, vectors, keep=keep, stall=stall, seed=seed)
    assert_equal(spec, vectors, output)


@pytest.mark.parametrize("seed", [0, 3])
def test_words_wait_unchanged_for_the_receiver(twin_layer: Callable[..., Any], seed: int) -> None:
    vectors = random_vectors(SMALL, outputs=8, inputs=16, tokens=6, seed=5)
    output, _ = twin_layer(SMALL, vectors, stall={"o": 0.8}, seed=seed)
    assert_equal(SMALL, vectors, output)


def test_busy_until_the_last_result_is_out(twin_play: Callable[..., Any]) -> None:
    vectors = mac_vectors(random_vectors(SMALL, outputs=8, inputs=16, tokens=1, seed=5), SMALL)
    run = twin_play(SMALL, twin_program(SMALL, vectors).packets, results=1)
    first, last = run.sent["i"][-1].cycle, run.received["o"][-1].cycle
    assert all(run.watched["busy"][first : last + 1])
    assert not any(run.watched["busy"][last + 1 :])


@pytest.mark.parametrize("lanes", [1, 8])
def test_totals_are_the_cycles_fed_and_the_levels_in_them(twin_layer: Callable[..., Any], lanes: int) -> None:
    spec = SMALL.model_copy(update={"lanes": lanes, "depth": 64, "score_words": 128})
    vectors = random_vectors(spec, outputs=8, inputs=61, tokens=5, salient_fraction=0.1, extremes=False, seed=7)
    _, results = twin_layer(spec, vectors)
    # the packets hold whole words of codes
    level, salient = (np.pad(array, ((0, 0), (0, 3))) for array in (vectors.level.astype(np.int64), vectors.salient))
    tokens = zip(level, salient, vectors.shift.tolist(), strict=True)
    cycles = sum(feed_cycles(spec, *token) for token in tokens)
    assert results[-1].beats == cycles
    small = np.abs(np.where(vectors.salient, level[:, :61] >> vectors.shift[:, None], level[:, :61])) <= 15
    assert results[-1].spikes >= np.count_nonzero(vectors.level)
    assert not small.all() or results[-1].spikes == np.count_nonzero(vectors.level)


def test_tokens_follow_each_other_without_a_gap(twin_play: Callable[..., Any]) -> None:
    spec = SMALL.model_copy(update={"depth": 128, "score_words": 256, "membrane_slots": 9})
    drawn = random_vectors(
        spec, outputs=8, inputs=128, tokens=30, salient_fraction=0.4, max_shift=2, extremes=False, seed=7
    )
    cycles = np.array([feed_cycles(spec, *token) for token in tokens_of(drawn)])
    # those for which codes come faster, with two headers and the time until they are stored, so that only the array
    # takes time
    chosen = np.flatnonzero(cycles > 64 + 24)[:9]
    per_token = {name: getattr(drawn, name)[chosen] for name in ("level", "salient", "zero", "shift", "offset")}
    vectors = replace(drawn, **per_token)
    run = twin_play(spec, twin_program(spec, mac_vectors(vectors, spec)).packets, results=9)
    ends = [word.cycle for word in run.received["o"] if word.payload.last]
    # results leave every second cycle, so one may come a cycle late
    assert np.abs(np.diff(ends).cumsum() - cycles[chosen[1:]].cumsum()).max() <= 1


def test_bad_packets_are_flagged_in_every_later_result_and_change_no_value(twin_play: Callable[..., Any]) -> None:
    vectors = random_vectors(SMALL, outputs=8, inputs=16, tokens=2, max_shift=2, seed=3)
    program = twin_program(SMALL, mac_vectors(vectors, SMALL))
    neurons, weights, codes, run, *others = program.packets
    bad = [
        np.array([0, 1, 2], np.uint32),  # no operation
        weights[:1],  # weights without weights
        run[:1],  # half a run
        run | np.array([255 << 16, 0], np.uint32),  # a slot too many
    ]
    played = twin_play(SMALL, [neurons, weights, *bad, codes, run, *others], results=2).packets("o")
    with pytest.raises(PacketError, match="refused a packet"):
        parse_result(SMALL, played[0])
    for packet in played:
        packet[0] &= ~np.uint32(ResultHeader.const({"malformed": 1}).as_bits())
    results = [parse_result(SMALL, packet) for packet in played]
    assert_equal(SMALL, vectors, gather(vectors, program.places, results))


@pytest.mark.parametrize(
    "kind", ["behind the last row", "behind the buffer", "too large", "no token's address", "beyond the weights"]
)
def test_codes_that_break_the_rules_are_flagged(twin_play: Callable[..., Any], kind: str) -> None:
    spec = SMALL.model_copy(update={"score_words": 1024} if kind == "no token's address" else {})
    vectors = random_vectors(spec, outputs=8, inputs=16, tokens=1, extremes=False, seed=3)
    *head, codes, run = twin_program(spec, mac_vectors(vectors, spec)).packets
    loud = 0x7F7F7F7F
    match kind:
        case "behind the last row":
            codes = np.append(codes, np.uint32(loud))
        case "behind the buffer":
            # the last eight rows are filled, and then one more in the place of the first
            codes = codes | np.array([(spec.score_words - 4) << 16, *[0] * (len(codes) - 1)], np.uint32)
            run = run | np.array([0, spec.score_words - 4], np.uint32)
        case "too large":
            codes[-1] = loud
        case "no token's address":
            assert token_grain(spec) == 4
            codes[0] |= np.uint32(2 << 16)
        case _:
            codes[-1] = 0x01010101 * 15
            run[1] |= np.uint32(8 << 16)  # the first input's weights
    packet = twin_play(spec, [*head, codes, run], results=1).packets("o")[0]
    with pytest.raises(PacketError, match="refused a packet"):
        parse_result(spec, packet)


@pytest.mark.parametrize(
    ("fraction", "shift", "joined"),
    [(0.0, 0, {True}), (0.1, 3, {True}), (0.4, 3, {True, False}), (0.1, 11, {True, False})],
)
def test_low_halves_add_to_high_ones_where_there_is_room(
    twin_layer: Callable[..., Any], fraction: float, shift: int, joined: set[bool]
) -> None:
    vectors = random_vectors(
        WIDE,
        outputs=8,
        inputs=40,
        wide=12,
        tokens=8,
        extremes=False,
        salient_fraction=fraction,
        max_shift=shift,
        seed=4,
    )
    output, results = twin_layer(WIDE, vectors)
    assert_equal(WIDE, vectors, output)
    beats, found = 0, set()
    for level, salient, m in tokens_of(vectors):
        one_phase = joins(WIDE, level, salient, m, vectors.wide)
        found.add(one_phase)
        if one_phase:
            beats += joined_cycles(WIDE, level, salient, m, vectors.wide)
        else:
            beats += feed_cycles(WIDE, level, salient, m)
            beats += feed_cycles(WIDE, level[vectors.wide], salient[vectors.wide], m)
    assert results[-1].beats == beats
    assert found == joined


def test_halves_follow_each_other_without_a_gap(twin_play: Callable[..., Any]) -> None:
    spec = WIDE.model_copy(update={"depth": 512})
    vectors = random_vectors(
        spec, outputs=16, inputs=224, tokens=4, wide=16, salient_fraction=0.03, max_shift=2, extremes=False, seed=7
    )
    assert all(joins(spec, *token, vectors.wide) for token in tokens_of(vectors))
    cycles = [joined_cycles(spec, *token, vectors.wide) for token in tokens_of(vectors)]
    run = twin_play(spec, twin_program(spec, mac_vectors(vectors, spec)).packets, results=8)
    ends = [word.cycle for word in run.received["o"] if word.payload.last]
    # in the second tile of outputs all codes have been there for long
    # but for a cycle, because membranes are read out in every second one
    assert np.abs(np.diff(ends[4:]) - cycles[1:]).max() <= 1


def test_codes_come_once_for_all_tiles_of_outputs() -> None:
    vectors = random_vectors(WIDE, outputs=24, inputs=40, wide=10, tokens=6, seed=4)
    packets = twin_program(WIDE, mac_vectors(vectors, WIDE)).packets
    operations = [operation_of(packet) for packet in packets]
    assert operations.count(Operation.CODES.value) == 2 * 6
    assert operations.count(Operation.RUN.value) == 3 * 2 * 6


def test_layers_follow_each_other_without_a_reset(twin_play: Callable[..., Any]) -> None:
    layers = [
        random_vectors(SMALL, outputs=8, inputs=inputs, tokens=3, wide=wide, max_shift=2, seed=inputs)
        for inputs, wide in ((16, 0), (20, 3), (5, 5))
    ]
    programs = [twin_program(SMALL, mac_vectors(vectors, SMALL)) for vectors in layers]
    packets = [packet for program in programs for packet in program.packets]
    run = twin_play(SMALL, packets, results=9, stall=0.3, seed=2)
    results = [parse_result(SMALL, packet) for packet in run.packets("o")]
    for index, (vectors, program) in enumerate(zip(layers, programs, strict=True)):
        assert_equal(SMALL, vectors, gather(vectors, program.places, results[3 * index : 3 * index + 3]))


def test_a_reset_at_any_time_leaves_no_trace(play_after_resets: Callable[..., list[list[Words]]]) -> None:
    vectors = random_vectors(SMALL, outputs=8, inputs=20, tokens=3, wide=2, max_shift=2, seed=11)
    other = random_vectors(SMALL, outputs=8, inputs=20, tokens=3, salient_fraction=0.5, seed=12)
    program, before = (twin_program(SMALL, mac_vectors(layer, SMALL)) for layer in (vectors, other))
    expected = len(program.places)
    played = play_after_resets(
        MacTwin(SMALL), before.packets, program.packets, results=expected, resets=range(1, 330, 61)
    )
    outputs = [[parse_result(SMALL, packet) for packet in packets] for packets in played]
    for results in outputs:
        assert_equal(SMALL, vectors, gather(vectors, program.places, results))
    assert len({(results[-1].spikes, results[-1].beats) for results in outputs}) == 1


def test_it_has_the_accelerators_ports() -> None:
    twin, accelerator = MacTwin(SMALL), Accelerator(SMALL)
    assert twin.signature == accelerator.signature
    # both are designs of which something can be made
    assert all(Fragment.get(design, None).subfragments for design in (twin, accelerator))
