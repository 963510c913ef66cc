"""The reader against the packets' rules: good packets go where they belong, bad ones are dropped and flagged."""

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikequant.golden.layer.spec import Spec
from spikequant.rtl.reader import PacketReader
from spikequant.rtl.shapes import CodesHeader, Half, NeuronsHeader, Operation, RunHeader, WeightsHeader

SMALL = Spec(neurons=16, lanes=4, depth=16, weight_bits=4, max_salient_shift=11, membrane_slots=3)

Packet = list[int]


@dataclass
class Expected:
    """What packets should do."""

    weights: list[tuple[int, int, int]] = field(default_factory=list)  # pair, row, all weights
    neurons: list[tuple[int, int, int, int]] = field(default_factory=list)  # neuron, theta, bias, zero
    codes: list[tuple[int, int, int]] = field(default_factory=list)  # header's bits, codes' bits, final
    runs: list[dict[str, int]] = field(default_factory=list)
    malformed: int = 0  # packets with at least one breach


def read_weights(spec: Spec, packet: Packet, out: Expected) -> bool:
    start = WeightsHeader.from_bits(packet[0]).input
    rows = [packet[index : index + spec.words_per_row] for index in range(1, len(packet), spec.words_per_row)]
    if start >= spec.depth or start % spec.lanes:
        return False
    for place, words in enumerate(rows, start):
        if place < spec.depth and len(words) == spec.words_per_row:
            lane_row, lane = divmod(place, spec.lanes)
            pair, own = divmod(lane, spec.pair_lanes)
            row = 1 + lane_row * spec.pair_lanes + own
            out.weights.append((pair, row, sum(word << 32 * index for index, word in enumerate(words))))
    return bool(rows) and len(rows[-1]) == spec.words_per_row and start + len(rows) <= spec.depth


def read_neurons(spec: Spec, packet: Packet, out: Expected) -> bool:
    start = NeuronsHeader.from_bits(packet[0]).neuron
    triples = [tuple(packet[index : index + 3]) for index in range(1, len(packet), 3)]
    for index, triple in enumerate(triples):
        if len(triple) == 3 and start + index < spec.neurons:
            theta, bias, zero = triple
            out.neurons.append((start + index, theta, bias - (bias >> 31 << 32), zero & spec.max_weight_code))
    return bool(triples) and len(triples[-1]) == 3 and start + len(triples) <= spec.neurons


def read_codes(spec: Spec, packet: Packet, out: Expected) -> bool:
    if len(packet) < 3:
        return False
    header = CodesHeader.from_bits(packet[0] | packet[1] << 32)
    if header.shift > spec.max_salient_shift or header.address >= spec.score_words:
        return False
    last = len(packet) - 1
    out.codes += [(header.as_bits(), word, int(index == last)) for index, word in enumerate(packet) if index >= 2]
    return True


def read_run(spec: Spec, packet: Packet, out: Expected) -> bool:
    if len(packet) != 2:
        return False
    header = RunHeader.from_bits(packet[0] | packet[1] << 32)
    half = packet[0] >> 6 & 3
    if header.input >= spec.depth or header.input % spec.lanes or header.address >= spec.score_words:
        return False
    if header.slot >= spec.membrane_slots or header.shift > spec.max_salient_shift or half > Half.LOW.value:
        return False
    out.runs.append(
        {
            "address": header.buffer * spec.score_words + header.address,
            "first_row": 1 + header.input // spec.lanes * spec.pair_lanes,
            "half": half,
            **{name: getattr(header, name) for name in ("first", "last", "shift", "slot")},
        }
    )
    return True


def expected_of(spec: Spec, packets: list[Packet]) -> Expected:
    out = Expected()
    readers = {
        Operation.WEIGHTS.value: read_weights,
        Operation.NEURONS.value: read_neurons,
        Operation.CODES.value: read_codes,
        Operation.RUN.value: read_run,
    }
    for packet in packets:
        reader = readers.get(packet[0] & 15)
        good = reader is not None and reader(spec, packet, out)
        out.malformed += not good
    return out


@pytest.fixture(scope="session")
def rtl_read(run_streams: Callable[..., Any]) -> Callable[..., Any]:
    """Packets into the reader, while ``idle`` and ``sorting`` come and go at random."""

    def run(
        spec: Spec, packets: list[Packet], *, idle: float = 1.0, sorting: float = 0.0, seed: int = 0, **others: Any
    ) -> Any:
        words = [
            {"data": word, "last": index == len(packet) - 1} for packet in packets for index, word in enumerate(packet)
        ]
        random = Random(seed)

        def pattern(share: float) -> list[bool]:
            return [value for _ in range(200) for value in [random.random() < share] * random.choice((1, 2, 20))]

        patterns = {"idle": pattern(idle), "sorting": pattern(sorting), "sorting_buffer": pattern(0.5)}
        return run_streams(
            PacketReader(spec),
            {"i": words},
            ["codes", "runs"],
            until=lambda run: len(run.sent["i"]) == len(words) and all(run.watched["waiting"][-2:]),
            settings={
                name: lambda cycle, values=values: values[cycle % len(values)] for name, values in patterns.items()
            },
            watch=[
                *("idle", "sorting", "sorting_buffer", "weights.enable", "weights.data", "neuron.enable", "neuron.data"),
                *("malformed", "taken", "waiting"),
            ],
            seed=seed,
            **others,
        )

    return run


def observed(run: Any, packets: list[Packet]) -> Expected:
    out = Expected()
    watched = run.watched
    for enable, write in zip(watched["weights.enable"], watched["weights.data"], strict=True):
        if enable:
            out.weights.append((write.pair, write.row, write.weights))
    for enable, write in zip(watched["neuron.enable"], watched["neuron.data"], strict=True):
        if enable:
            constants = write.parameters
            out.neurons.append((write.neuron, constants.theta, constants.bias, constants.zero))
    for payload in run.payloads("codes"):
        out.codes.append((payload.header.as_bits(), payload.codes.as_bits(), payload.final))
    for payload in run.payloads("runs"):
        names = ("address", "first_row", "first", "last", "shift", "slot")
        out.runs.append({"half": payload.half.value} | {name: getattr(payload, name) for name in names})
    out.malformed = flagged_packets(run, packets)
    return out


def words_taken(run: Any, packets: list[Packet]) -> list[list[int]]:
    """Cycles in which each packet's words are taken."""
    cycles = iter([cycle for cycle, taken in enumerate(run.watched["taken"]) if taken])
    return [[next(cycles) for _ in packet] for packet in packets]


def words_sent(run: Any, packets: list[Packet]) -> list[list[int]]:
    """Cycles in which each packet's words come in."""
    cycles = iter([word.cycle for word in run.sent["i"]])
    return [[next(cycles) for _ in packet] for packet in packets]


def flagged_packets(run: Any, packets: list[Packet]) -> int:
    """Packets of which ``malformed`` was found, which shows two cycles behind a word."""
    flags = run.watched["malformed"]
    return sum(any(flags[taken[0] + 2 : taken[-1] + 3]) for taken in words_taken(run, packets))


def check(spec: Spec, packets: list[Packet], run: Any) -> None:
    assert observed(run, packets) == expected_of(spec, packets)
    watched = run.watched
    for packet, taken, sent in zip(packets, words_taken(run, packets), words_sent(run, packets), strict=True):
        operation = packet[0] & 15
        if operation in (Operation.WEIGHTS.value, Operation.NEURONS.value) and len(packet) > 1:
            assert any(watched["idle"][taken[0] : taken[1]])
            # nor may a run still wait to go
            assert all(transfer.cycle < taken[1] for transfer in run.received["runs"] if transfer.cycle <= taken[-1])
        if operation == Operation.RUN.value and len(packet) > 1:
            buffer = packet[0] >> 12 & 1
            seen = slice(taken[0] + 1, taken[1] + 1)
            sorting = zip(watched["sorting"][seen], watched["sorting_buffer"][seen], strict=True)
            assert any(not going_on or which != buffer for going_on, which in sorting)
        assert not any(watched["waiting"][sent[0] + 1 : taken[-1] + 1])
    assert watched["waiting"][-1]


def weights(first_input: int, words: int) -> Packet:
    return [WeightsHeader.const({"operation": Operation.WEIGHTS, "input": first_input}).as_bits()] + [
        0x80000000 + 17 * index for index in range(words)
    ]


def neurons(first: int, words: int) -> Packet:
    return [NeuronsHeader.const({"operation": Operation.NEURONS, "neuron": first}).as_bits()] + [
        0xFFFFFFFF - index for index in range(words)
    ]


def codes(words: int, **header: Any) -> Packet:
    bits = CodesHeader.const({"operation": Operation.CODES, "zero": 8, "offset": -3} | header).as_bits()
    return [bits & 0xFFFFFFFF, bits >> 32] + [0x08080808 + index for index in range(words)]


def run_of(**header: Any) -> Packet:
    bits = RunHeader.const({"operation": Operation.RUN} | header).as_bits()
    return [bits & 0xFFFFFFFF, bits >> 32]


GOOD = [
    weights(4, 6),
    neurons(2, 9),
    codes(3, buffer=1, address=1023, shift=11),
    run_of(first=1, last=1, slot=2, shift=11, half=Half.LOW, input=12, buffer=1, address=1023),
]

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
    "weights far into the memory and on": weights(0, 2 * 16 * 3),
    "weights across lanes": weights(6, 4),
    "constants without constants": neurons(0, 0),
    "half a neuron": neurons(0, 4),
    "two thirds of a neuron": neurons(0, 2),
    "constants beyond the neurons": neurons(16, 3),
    "constants far beyond the neurons": neurons(32, 3),
    "constants of the last neuron and on": neurons(15, 6),
    "codes of one word": codes(0)[:1],
    "codes without codes": codes(0),
    "codes with too large a shift": codes(2, shift=12),
    "codes behind a buffer": codes(2, address=1024),
    "codes far behind a buffer": codes(2, address=65535),
    "a run of one word": run_of()[:1],
    "a run of three words": [*run_of(), 7],
    "a run of many words": [*run_of(), *GOOD[2]],
    "a run on a slot too many": run_of(slot=3),
    "a run on the last slot of all": run_of(slot=255),
    "a run with too large a shift": run_of(shift=12),
    "a run on no half": [run_of()[0] | 3 << 6, *run_of()[1:]],
    "a run behind a buffer": run_of(address=1024),
    "a run beyond the memory": run_of(input=16),
    "a run far beyond the memory": run_of(input=65532),
    "a run across lanes": run_of(input=2),
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD.keys())
def test_a_bad_packet_is_flagged_and_the_next_ones_work(rtl_read: Callable[..., Any], bad: Packet) -> None:
    packets = [*GOOD[2:], bad, *GOOD, bad, bad, GOOD[0]]
    run = rtl_read(SMALL, packets)
    check(SMALL, packets, run)
    assert flagged_packets(run, packets) == 3


def test_good_packets_are_not_flagged(rtl_read: Callable[..., Any]) -> None:
    # whole memories in one packet, and the smallest packets
    packets = [*GOOD, weights(0, 32), neurons(0, 48), weights(12, 2), neurons(15, 3), codes(1), run_of(), *GOOD]
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
        score_words=draw(st.sampled_from([64, 8192])),
    )
    inputs = st.integers(0, spec.lane_rows + 1).map(lambda row: row * lanes) | st.integers(0, 65535)
    some_weights = st.builds(
        weights, inputs, st.integers(0, 3).map(lambda rows: rows * spec.words_per_row) | st.integers(0, 9)
    )
    some_neurons = st.builds(neurons, st.integers(0, spec.neurons), st.sampled_from([3, 6, 9]) | st.integers(0, 7))
    address = st.integers(0, spec.score_words - 1) | st.integers(0, 65535)
    some_codes = st.builds(
        codes, st.integers(0, 4), buffer=st.integers(0, 1), address=address, shift=st.integers(0, 15)
    )
    some_runs = st.builds(
        run_of,
        first=st.integers(0, 1),
        last=st.integers(0, 1),
        half=st.sampled_from(list(Half)),
        shift=st.integers(0, 15),
        slot=st.integers(0, spec.membrane_slots - 1) | st.integers(0, 255),
        buffer=st.integers(0, 1),
        address=address,
        input=inputs,
    )
    noise = st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=5)
    return spec, draw(st.lists(some_weights | some_neurons | some_codes | some_runs | noise, min_size=1, max_size=8))


@settings(max_examples=40)
@given(
    case=packet_lists(),
    idle=st.sampled_from([0.2, 0.7, 1.0]),
    sorting=st.sampled_from([0.0, 0.7]),
    stall=st.sampled_from([0.0, 0.5]),
    seed=st.integers(0, 999),
)
def test_any_packets(
    rtl_read: Callable[..., Any],
    case: tuple[Spec, list[Packet]],
    idle: float,
    sorting: float,
    stall: float,
    seed: int,
) -> None:
    spec, packets = case
    check(spec, packets, rtl_read(spec, packets, idle=idle, sorting=sorting, stall=stall, seed=seed))


def test_weights_and_constants_wait_for_idle_and_others_do_not(rtl_read: Callable[..., Any]) -> None:
    run = rtl_read(SMALL, GOOD[2:], idle=0.0)
    assert (len(run.payloads("codes")), len(run.payloads("runs"))) == (3, 1)
    for packet in GOOD[:2]:
        with pytest.raises(AssertionError, match="no end after 300 cycles"):
            rtl_read(SMALL, [GOOD[2], packet], idle=0.0, limit=300)


def test_a_run_waits_for_the_score_in_its_buffer(run_streams: Callable[..., Any]) -> None:
    words = [{"data": word, "last": index % 2} for index, word in enumerate([*run_of(buffer=1), *run_of(buffer=0)])]
    run = run_streams(
        PacketReader(SMALL),
        {"i": words},
        ["runs"],
        until=lambda run: len(run.received["runs"]) == 2,
        # first the one buffer, then the other one, and then the first one again
        settings={"sorting": lambda cycle: cycle < 90, "sorting_buffer": lambda cycle: cycle < 30 or cycle >= 60},
    )
    first, second = (transfer.cycle for transfer in run.received["runs"])
    assert 30 <= first < 60 <= second
    assert [run_packet.payload.address >> 10 for run_packet in run.received["runs"]] == [1, 0]
