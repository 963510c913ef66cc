"""Outgoing packets: every word in its place, and none that changes while it waits."""

from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from golden.spec import Spec
from rtl.shapes import Operation, Result, ResultHeader
from rtl.writer import PacketWriter

SMALL = Spec(neurons=8, lanes=2, depth=16, membrane_bits=39, output_bits=16, membrane_slots=256)

BEATS, SPIKES = 1000, 5000
"""Totals in the first cycle; each goes up by one in every cycle, so that a late look at them shows."""


def random_packet(random: Random, slot: int) -> list[dict[str, int]]:
    return [
        {
            "membrane": random.choice((-(2**39), 2**39 - 1, -1, 0, random.randrange(2**39))),
            "code": random.randrange(-(2**15), 2**15),
            "saturated": random.randrange(2),
            "slot": slot,
            "final": index == SMALL.neurons - 1,
        }
        for index in range(SMALL.neurons)
    ]


def body_words(packet: list[dict[str, int]]) -> list[int]:
    words = []
    for result in packet:
        bits = Result.const({name: result[name] for name in ("membrane", "code", "saturated")}).as_bits()
        words += [bits & 0xFFFFFFFF, bits >> 32]
    return words


@pytest.fixture(scope="session")
def rtl_write(run_streams: Callable[..., Any]) -> Callable[..., Any]:
    """Results become words, while the totals count cycles and ``malformed`` rises in a given one."""

    def run(packets: list[list[dict[str, int]]], *, malformed_from: int = 10**9, **others: Any) -> Any:
        return run_streams(
            PacketWriter(SMALL),
            {"i": [result for packet in packets for result in packet]},
            ["o"],
            until=lambda run: sum(word.payload.last for word in run.received["o"]) >= len(packets),
            settings={
                "beats": lambda cycle: BEATS + cycle,
                "spikes": lambda cycle: SPIKES + cycle,
                "malformed": lambda cycle: cycle >= malformed_from,
            },
            watch=["idle"],
            **others,
        )

    return run


@pytest.mark.parametrize(("stall", "seed"), [(0.0, 0), (0.3, 1), (0.8, 2), (0.8, 3)])
def test_words_of_packets(rtl_write: Callable[..., Any], stall: float, seed: int) -> None:
    random = Random(seed)
    packets = [random_packet(random, slot) for slot in (0, 255, 3, 4)]
    run = rtl_write(packets, stall=stall, seed=seed)
    words = run.received["o"]
    length = 1 + 2 * SMALL.neurons + 2
    assert len(words) == length * len(packets)
    for index, packet in enumerate(packets):
        own = words[index * length : (index + 1) * length]
        slot = packet[0]["slot"]
        assert own[0].payload.data == ResultHeader.const({"operation": Operation.RESULT, "slot": slot}).as_bits()
        assert [word.payload.data for word in own[1:-2]] == body_words(packet)
        # the totals as they were when the last result was taken
        taken = run.sent["i"][(index + 1) * SMALL.neurons - 1].cycle
        assert [word.payload.data for word in own[-2:]] == [BEATS + taken, SPIKES + taken]
        assert [word.payload.last for word in own] == [0] * (length - 1) + [1]


def test_idle_but_for_the_time_between_the_first_result_and_the_last_word(rtl_write: Callable[..., Any]) -> None:
    run = rtl_write([random_packet(Random(1), 0)], stall=0.5, seed=2)
    offered = run.watched["idle"].index(0)
    end = run.received["o"][-1].cycle
    assert offered <= run.received["o"][0].cycle
    assert [cycle for cycle, idle in enumerate(run.watched["idle"]) if not idle] == list(range(offered, end + 1))


@pytest.mark.parametrize("stall", [0.0, 0.8])
def test_a_flag_goes_with_the_next_header_and_changes_no_waiting_word(
    rtl_write: Callable[..., Any], stall: float
) -> None:
    packets = [random_packet(Random(1), 7)] * 2
    length = 1 + 2 * SMALL.neurons + 2
    flags = []
    for malformed_from in range(0, 240, 15):
        words = rtl_write(packets, malformed_from=malformed_from, stall={"o": stall}, seed=4).received["o"]
        flags.append([ResultHeader.from_bits(words[index].payload.data).malformed for index in (0, length)])
        # results always wait, so each packet begins right behind the one before it
        assert flags[-1] == [0, malformed_from < words[length - 1].cycle + 1]
    assert {tuple(pair) for pair in flags} == {(0, 0), (0, 1)}
