"""The reader against the packets' rules: good packets go where they belong, bad ones are dropped and flagged."""

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from golden.spec import Spec
from rtl.reader import PacketReader
from rtl.shapes import Half, NeuronsHeader, Operation, RunHeader, WeightsHeader

SMALL = Spec(neurons=16, lanes=4, depth=16, weight_bits=4, max_salient_shift=11, membrane_slots=3)

Packet = list[int]


@dataclass
class Expected:
    """What packets should do."""

    weights: list[tuple[int, int, int, int]] = field(default_factory=list)  # lane, row, word, data
    neurons: list[tuple[int, int, int, int]] = field(default_factory=list)  # neuron, theta, bias, zero
    codes: list[tuple[int, int, int]] = field(default_factory=list)  # header's bits, codes' bits, final
    malformed: int = 0  # packets with at least one breach


def read_weights(spec: Spec, packet: Packet, out: Expected) -> bool:
    start = WeightsHeader.from_bits(packet[0]).input
    body = packet[1:]
    if start >= spec.depth or start % spec.lanes:
        return False
    for index, data in enumerate(body):
        place = start + index // spec.words_per_row
        if place < spec.depth:
            out.weights.append((place % spec.lanes, place // spec.lanes, index % spec.words_per_row, data))
    return (
        bool(body)
        and len(body) % spec.words_per_row == 0
        and start * spec.words_per_row + len(body) <= (spec.depth * spec.words_per_row)
    )


def read_neurons(spec: Spec, packet: Packet, out: Expected) -> bool:
    start = NeuronsHeader.from_bits(packet[0]).neuron
    triples = [tuple(packet[index : index + 3]) for index in range(1, len(packet), 3)]
    for index, triple in enumerate(triples):
        if len(triple) == 3 and start + index < spec.neurons:
            theta, bias, zero = triple
            out.neurons.append((start + index, theta, bias - (bias >> 31 << 32), zero & spec.max_weight_code))
    return bool(triples) and len(triples[-1]) == 3 and start + len(triples) <= spec.neurons


def read_run(spec: Spec, packet: Packet, out: Expected) -> bool:
    if len(packet) < 3:
        return False
    bits = packet[0] | packet[1] << 32
    start, slot, shift, half = packet[1] & 0xFFFF, bits >> 16 & 255, bits >> 8 & 15, bits >> 6 & 3
    if start >= spec.depth or start % spec.lanes:
        return False
    if slot >= spec.membrane_slots or shift > spec.max_salient_shift or half > Half.LOW.value:
        return False
    out.codes += [(bits, word, int(index == len(packet) - 1)) for index, word in enumerate(packet) if index >= 2]
    return True


def expected_of(spec: Spec, packets: list[Packet]) -> Expected:
    out = Expected()
    readers = {
        Operation.WEIGHTS.value: read_weights,
        Operation.NEURONS.value: read_neurons,
        Operation.RUN.value: read_run,
    }
    for packet in packets:
        reader = readers.get(packet[0] & 15)
        good = reader is not None and reader(spec, packet, out)
        out.malformed += not good
    return out


@pytest.fixture(scope="session")
def rtl_read(run_streams: Callable[..., Any]) -> Callable[..., Any]:
    """Packets into the reader, while ``idle`` comes and goes at random."""

    def run(spec: Spec, packets: list[Packet], *, idle: float = 1.0, seed: int = 0, **others: Any) -> Any:
        words = [
            {"data": word, "last": index == len(packet) - 1} for packet in packets for index, word in enumerate(packet)
        ]
        random = Random(seed)
        pattern = [value for _ in range(200) for value in [random.random() < idle] * random.choice((1, 2, 20))]
        return run_streams(
            PacketReader(spec),
            {"i": words},
            ["codes"],
            until=lambda run: len(run.sent["i"]) == len(words),
            settings={"idle": lambda cycle: pattern[cycle % len(pattern)]},
            watch=["idle", "weights_enable", "weights", "neuron_enable", "neuron", "malformed", "waiting"],
            seed=seed,
            **others,
        )

    return run


def observed(run: Any) -> Expected:
    out = Expected()
    watched = run.watched
    for enable, write in zip(watched["weights_enable"], watched["weights"], strict=True):
        if enable:
            out.weights.append((write.lane, write.row, write.word, write.data))
    for enable, write in zip(watched["neuron_enable"], watched["neuron"], strict=True):
        if enable:
            constants = write.parameters
            out.neurons.append((write.neuron, constants.theta, constants.bias, constants.zero))
    for payload in run.payloads("codes"):
        out.codes.append((payload.header.as_bits(), payload.codes.as_bits(), payload.final))
    out.malformed = flagged_packets(run)
    return out


def flagged_packets(run: Any) -> int:
    """Packets during which ``malformed`` pulsed."""
    flags = [cycle for cycle, flag in enumerate(run.watched["malformed"]) if flag]
    ends = [word.cycle for word in run.sent["i"] if word.payload["last"]]
    starts = [-1, *ends[:-1]]
    assert not flags or flags[-1] <= ends[-1]
    return sum(any(start < flag <= end for flag in flags) for start, end in zip(starts, ends, strict=True))


def check(spec: Spec, packets: list[Packet], run: Any) -> None:
    assert observed(run) == expected_of(spec, packets)
    opening = True
    for word in run.sent["i"]:
        if opening and word.payload["data"] & 15 in (Operation.WEIGHTS.value, Operation.NEURONS.value):
            assert run.watched["idle"][word.cycle]
        assert run.watched["waiting"][word.cycle] == opening
        opening = word.payload["last"]


def weights(first_input: int, words: int) -> Packet:
    return [WeightsHeader.const({"operation": Operation.WEIGHTS, "input": first_input}).as_bits()] + [
        0x80000000 + 17 * index for index in range(words)
    ]


def neurons(first: int, words: int) -> Packet:
    return [NeuronsHeader.const({"operation": Operation.NEURONS, "neuron": first}).as_bits()] + [
        0xFFFFFFFF - index for index in range(words)
    ]


def run_words(words: int, **header: Any) -> Packet:
    bits = RunHeader.const({"operation": Operation.RUN, "zero": 8, "offset": -3} | header).as_bits()
    return [bits & 0xFFFFFFFF, bits >> 32] + [0x08080808 + index for index in range(words)]


GOOD = [weights(4, 6), neurons(2, 9), run_words(3, first=1, last=1, slot=2, shift=11, half=Half.LOW, input=12)]

BAD = {
    "operation 0": [0, 1, 2],
    "operation 15": [15 | 4 << 16, 1, 2],
    "a result": [Operation.RESULT.value, 1, 2, 3],
    "unknown and of one word": [9],
    "weights without weights": weights(0, 0),
    "half a row of weights": weights(0, 3),
    "weights beyond the memory": weights(16, 2),
    "weights far beyond the memory": weights(64, 4),
    "weights into the memory and on": weights(12, 10),
    "weights across lanes": weights(6, 4),
    "constants without constants": neurons(0, 0),
    "half a neuron": neurons(0, 4),
    "two thirds of a neuron": neurons(0, 2),
    "constants beyond the neurons": neurons(16, 3),
    "constants of the last neuron and on": neurons(15, 6),
    "a run of one word": run_words(0)[:1],
    "a run without codes": run_words(0),
    "a run on a slot too many": run_words(2, slot=3),
    "a run on the last slot of all": run_words(2, slot=255),
    "a run with too large a shift": run_words(2, shift=12),
    "a run on no half": [run_words(2)[0] | 3 << 6, *run_words(2)[1:]],
    "a run beyond the memory": run_words(2, input=16),
    "a run far beyond the memory": run_words(2, input=65532),
    "a run across lanes": run_words(2, input=2),
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD.keys())
def test_a_bad_packet_is_flagged_and_the_next_ones_work(rtl_read: Callable[..., Any], bad: Packet) -> None:
    packets = [GOOD[2], bad, *GOOD, bad, bad, GOOD[0]]
    run = rtl_read(SMALL, packets)
    check(SMALL, packets, run)
    assert flagged_packets(run) == 3


def test_good_packets_are_not_flagged(rtl_read: Callable[..., Any]) -> None:
    # whole memories in one packet, and the smallest packets
    packets = [*GOOD, weights(0, 32), neurons(0, 48), weights(12, 2), neurons(15, 3), run_words(1), *GOOD]
    run = rtl_read(SMALL, packets)
    check(SMALL, packets, run)
    assert not any(run.watched["malformed"])


@st.composite
def packet_lists(draw: st.DrawFn) -> tuple[Spec, list[Packet]]:
    lanes = draw(st.sampled_from([1, 2, 8]))
    spec = Spec(
        neurons=draw(st.sampled_from([16, 48])),
        lanes=lanes,
        depth=lanes * draw(st.integers(2, 5)),
        weight_bits=draw(st.sampled_from([2, 4, 8])),
        max_salient_shift=draw(st.integers(0, 15)),
        membrane_slots=draw(st.sampled_from([1, 3, 256])),
    )
    inputs = st.integers(0, spec.rows + 1).map(lambda row: row * lanes) | st.integers(0, 65535)
    some_weights = st.builds(
        weights, inputs, st.integers(0, 3).map(lambda rows: rows * spec.words_per_row) | st.integers(0, 9)
    )
    some_neurons = st.builds(neurons, st.integers(0, spec.neurons), st.sampled_from([3, 6, 9]) | st.integers(0, 7))
    some_runs = st.builds(
        run_words,
        st.integers(0, 4),
        first=st.integers(0, 1),
        last=st.integers(0, 1),
        half=st.sampled_from(list(Half)),
        shift=st.integers(0, 15),
        slot=st.integers(0, spec.membrane_slots - 1) | st.integers(0, 255),
        input=inputs,
    )
    noise = st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=5)
    return spec, draw(st.lists(some_weights | some_neurons | some_runs | noise, min_size=1, max_size=8))


@settings(max_examples=40)
@given(
    case=packet_lists(),
    idle=st.sampled_from([0.2, 0.7, 1.0]),
    stall=st.sampled_from([0.0, 0.5]),
    seed=st.integers(0, 999),
)
def test_any_packets(
    rtl_read: Callable[..., Any], case: tuple[Spec, list[Packet]], idle: float, stall: float, seed: int
) -> None:
    spec, packets = case
    check(spec, packets, rtl_read(spec, packets, idle=idle, stall=stall, seed=seed))


def test_weights_and_constants_wait_for_idle_and_runs_do_not(rtl_read: Callable[..., Any]) -> None:
    run = rtl_read(SMALL, [GOOD[2]], idle=0.0)
    assert len(run.payloads("codes")) == 3
    for packet in GOOD[:2]:
        with pytest.raises(AssertionError, match="no end after 300 cycles"):
            rtl_read(SMALL, [GOOD[2], packet], idle=0.0, limit=300)
