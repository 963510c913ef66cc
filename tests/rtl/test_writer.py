"""Outgoing packets: every word in its place, and none that changes while it waits."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

import pytest
from amaranth.hdl import Module
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out, connect, flipped

from spikequant.golden.layer.spec import WORD_BITS, Spec
from spikequant.rtl.packet_sizes import codes_per_word
from spikequant.rtl.shapes import Operation, PacketWord, ResultHeader, packet_layout, result_word_layout
from spikequant.rtl.writer import PacketWriter

BEATS, SPIKES = 1000, 5000
"""Totals in the first cycle; each goes up by one in every cycle, so that a late look at them shows."""

SPECS = [
    Spec(neurons=8, membrane_slots=256),
    Spec(neurons=24, membrane_slots=256, output_bits=16),
    Spec(neurons=64, clusters=4, membrane_slots=256),
    Spec(neurons=72, clusters=3, membrane_slots=256, output_bits=9),
    Spec(neurons=16, clusters=2, membrane_slots=256, weight_parity=True),
]


class Streams(Component):
    """The writer with its clusters' streams by name."""

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        super().__init__(
            {
                "packets": In(stream.Signature(packet_layout(spec))),
                **{f"words_{number}": In(stream.Signature(result_word_layout())) for number in range(spec.clusters)},
                "beats": In(WORD_BITS),
                "spikes": In(WORD_BITS),
                "malformed": In(1),
                "o": Out(stream.Signature(PacketWord)),
                "corrupted": In(1),
            }
        )

    def elaborate(self, _platform: object) -> Module:
        m = Module()
        m.submodules.writer = writer = PacketWriter(self._spec)
        for number in range(self._spec.clusters):
            connect(m, flipped(getattr(self, f"words_{number}")), writer.words[number])
        connect(m, flipped(self.packets), writer.packets)
        connect(m, writer.o, flipped(self.o))
        m.d.comb += [writer.beats.eq(self.beats), writer.spikes.eq(self.spikes)]
        m.d.comb += writer.malformed.eq(self.malformed)
        if self._spec.weight_parity:
            m.d.comb += writer.corrupted.eq(self.corrupted)
        return m


@dataclass(frozen=True)
class Packet:
    """A packet's header, and for each cluster words and the flags beside them."""

    slot: int
    brief: bool
    words: list[list[tuple[int, int]]]

    def body(self, spec: Spec) -> list[int]:
        words = [data for cluster in self.words for data, _ in cluster]
        if not self.brief:
            return words
        per_word = codes_per_word(spec)
        together = 0
        for number, (_, flags) in enumerate(pair for cluster in self.words for pair in cluster):
            together |= (flags & (2**per_word - 1)) << (per_word * number)
        count = -(-spec.neurons // WORD_BITS)
        return words + [together >> (WORD_BITS * place) & 0xFFFFFFFF for place in range(count)]


def random_packet(random: Random, spec: Spec, slot: int, *, brief: bool) -> Packet:
    count = spec.cluster.neurons // codes_per_word(spec) if brief else 2 * spec.cluster.neurons
    words = [[(random.randrange(2**32), random.randrange(16)) for _ in range(count)] for _ in range(spec.clusters)]
    return Packet(slot, brief, words)


@pytest.fixture(scope="session")
def rtl_write(run_streams: Callable[..., Any]) -> Callable[..., Any]:
    """Packets go out, while the totals count cycles, ``malformed`` rises in a given one, and ``corrupted`` in any."""

    def run(
        spec: Spec,
        packets: list[Packet],
        *,
        malformed_from: int = 10**9,
        corrupted: Callable[[int], bool] = lambda _: False,
        **others: Any,
    ) -> Any:
        feeds = {"packets": [{"slot": packet.slot, "brief": packet.brief} for packet in packets]}
        for number in range(spec.clusters):
            feeds[f"words_{number}"] = [
                {"data": data, "flags": flags} for packet in packets for data, flags in packet.words[number]
            ]
        return run_streams(
            Streams(spec),
            feeds,
            ["o"],
            until=lambda run: sum(word.payload.last for word in run.received["o"]) >= len(packets),
            settings={
                "beats": lambda cycle: BEATS + cycle,
                "spikes": lambda cycle: SPIKES + cycle,
                "malformed": lambda cycle: cycle >= malformed_from,
                "corrupted": corrupted,
            },
            **others,
        )

    return run


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: f"{spec.neurons}-{spec.clusters}-{spec.output_bits}")
@pytest.mark.parametrize(("stall", "seed"), [(0.0, 0), (0.3, 1)])
def test_words_of_packets(rtl_write: Callable[..., Any], spec: Spec, stall: float, seed: int) -> None:
    random = Random(seed)
    modes = enumerate((False, True, True, False, True))
    packets = [random_packet(random, spec, slot, brief=brief) for slot, brief in modes]
    words = rtl_write(spec, packets, stall=stall, seed=seed).received["o"]
    place = 0
    for packet in packets:
        body = packet.body(spec)
        own = words[place : place + 1 + len(body) + 2]
        place += len(own)
        fields = {"operation": Operation.RESULT, "slot": packet.slot, "brief": packet.brief}
        assert own[0].payload.data == ResultHeader.const(fields).as_bits()
        assert [word.payload.data for word in own[1:-2]] == body
        assert [word.payload.last for word in own] == [0] * (len(own) - 1) + [1]
        # the totals as they were when their words were made, of which the output holds two
        for word, base, before in zip(own[-2:], (BEATS, SPIKES), own[-4:-2], strict=True):
            assert before.cycle < word.payload.data - base < word.cycle
    assert place == len(words)


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: f"{spec.neurons}-{spec.clusters}-{spec.output_bits}")
def test_a_word_a_cycle_from_packet_to_packet(rtl_write: Callable[..., Any], spec: Spec) -> None:
    packets = [random_packet(Random(1), spec, 0, brief=brief) for brief in (True, True, False, False, True)]
    cycles = [word.cycle for word in rtl_write(spec, packets).received["o"]]
    assert cycles == list(range(cycles[0], cycles[0] + len(cycles)))


@pytest.mark.parametrize("stall", [0.0, 0.8])
def test_a_flag_goes_with_the_next_header_and_changes_no_waiting_word(
    rtl_write: Callable[..., Any], stall: float
) -> None:
    spec = SPECS[0]
    packets = [random_packet(Random(1), spec, 7, brief=False)] * 2
    length = 1 + 2 * spec.neurons + 2
    flags = []
    for malformed_from in range(0, 240, 15):
        words = rtl_write(spec, packets, malformed_from=malformed_from, stall={"o": stall}, seed=4).received["o"]
        flags.append([ResultHeader.from_bits(words[index].payload.data).malformed for index in (0, length)])
        # the second header is made after the word two before it is taken, as the output holds two
        assert flags[-1] == [malformed_from == 0, malformed_from <= words[length - 2].cycle + 1]
    assert {tuple(pair) for pair in flags} == {(0, 0), (0, 1), (1, 1)}


def test_a_header_waits_for_its_first_result_and_then_tells_of_corrupted_weights(rtl_write: Callable[..., Any]) -> None:
    spec = SPECS[-1]
    assert spec.weight_parity
    packets = [random_packet(Random(1), spec, 7, brief=True)] * 2
    length = len(packets[0].body(spec)) + 3
    for stall in ({}, {"words_0": 0.9}):
        for rises in range(0, 60, 3):
            run = rtl_write(spec, packets, corrupted=lambda cycle, rises=rises: cycle >= rises, stall=stall, seed=2)
            words, first = run.received["o"], run.sent["words_0"]
            per_packet = len(packets[0].words[0])
            for number in range(2):
                header = words[number * length]
                offered = first[number * per_packet].cycle
                # the header goes in the cycle before the first word at the earliest, and leaves a cycle later
                assert header.cycle >= offered - 1
                flag = ResultHeader.from_bits(header.payload.data).corrupted
                assert flag == (rises <= header.cycle - 1)
