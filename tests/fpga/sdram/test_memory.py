"""Packets through the memory, with the strict chip at its pins: right, in order, whatever pauses, and in time."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spikequant.fpga.sdram.bench import BenchRun, Cut, Stalls, run_bench
from spikequant.fpga.sdram.packets import store_packet, stream_packet
from spikequant.fpga.sdram.soak import FOREIGN, PacketReference, soak
from spikequant.fpga.sdram.timing import SdramTiming

CLOCK_HZ = 60e6


def play(
    program: Path, timing: SdramTiming, before: list[Any], packets: list[Any], results: int, **how: Any
) -> BenchRun:
    run = run_bench(program, before, packets, results=results, clock_hz=CLOCK_HZ, timing=timing, **how)
    assert (run.violations, run.messages) == (0, [])
    return run


def reference_for(timing: SdramTiming, seed: int) -> PacketReference:
    return PacketReference(cells=np.zeros(timing.chip.words, np.uint32), rng=np.random.default_rng(seed))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), seed=st.integers(0, 2**32 - 1))
def test_any_packets_in_any_order(memory_program: Path, timing: SdramTiming, data: Any, seed: int) -> None:
    reference = reference_for(timing, seed)
    last = timing.chip.words
    # the ends of rows, banks and chip are where something may go wrong
    bases = [0, 256 - 7, 1024 - 9, 3 * 256 + 1, 5 * 1024 - 3, last - 600]
    for base in bases:
        reference.store(base, 600)
    for _ in range(data.draw(st.integers(1, 12))):
        kind = data.draw(st.sampled_from(["store", "select", "stream", "stream", "foreign"]))
        base = data.draw(st.sampled_from(bases)) + data.draw(st.integers(0, 90))
        place = data.draw(st.integers(0, 20))
        if kind == "store":
            reference.store(base, data.draw(st.integers(1, 40)))
        elif kind == "select":
            reference.select(place, data.draw(st.integers(1, 100)), data.draw(st.sampled_from([0.03, 0.7, 1.0])))
        elif kind == "stream":
            row_words = data.draw(st.sampled_from([1, 2, 3, 8, 17]))
            rows = data.draw(st.integers(1, 500 // row_words))
            reference.stream(base, rows, row_words, data.draw(st.sampled_from([None, place])))
        else:
            reference.foreign(data.draw(st.integers(1, 30)))
    stalls = Stalls(
        sending=data.draw(st.sampled_from([0, 0.5])), taking=data.draw(st.sampled_from([0, 0.7])), seed=seed
    )
    run = play(memory_program, timing, [], reference.sent, len(reference.expected), stalls=stalls)
    assert reference.mismatches(run) == 0


def test_a_mismatch_is_counted(memory_program: Path, timing: SdramTiming) -> None:
    reference = reference_for(timing, 3)
    reference.store(0, 16)
    reference.stream(0, 2, 8, None)
    reference.foreign(3)
    run = play(memory_program, timing, [], reference.sent, 2)
    assert reference.mismatches(run) == 0
    run.packets[0][5] ^= 1
    assert reference.mismatches(run) == 1
    run.packets.pop()
    assert reference.mismatches(run) == 2


def test_a_soak_finds_nothing(timing: SdramTiming, build_cache: Path, memory_program: Path) -> None:
    del memory_program
    figures = soak(timing, clock_hz=75e6, packets=120, seed=2, cache=build_cache)
    assert figures.ok
    assert figures.reads > 10_000
    assert figures.refreshes > 60


@pytest.mark.parametrize("row_words", [8, 96])
def test_the_data_pins_are_busy(memory_program: Path, timing: SdramTiming, row_words: int) -> None:
    """Rows as ``base`` and ``max85`` have them, a quarter of them left out."""
    reference = reference_for(timing, 5)
    rows = 16_000 // row_words
    reference.store(4000, rows * row_words)
    reference.select(0, rows, 0.75)
    before, reference.sent = reference.sent, []
    for _ in range(3):
        reference.stream(4000, rows, row_words, 0)
        reference.foreign(2)
    run = play(memory_program, timing, before, reference.sent, 6)
    assert reference.mismatches(run) == 0
    assert run.columns == 2 * sum(len(packet) - 1 for packet in run.packets[::2])
    assert run.columns / run.memory_cycles > 0.96


def test_what_is_stored_outlives_hours_of_rest_as_far_as_refreshes_tell(
    memory_program: Path, timing: SdramTiming
) -> None:
    """Refreshes come at their pace with nothing to do, and no faster than they must."""
    reference = reference_for(timing, 6)
    reference.store(0, 64)
    reference.stream(0, 8, 8, None)
    run = play(memory_program, timing, [], reference.sent, 1)
    interval = timing.chip.t_ref / timing.chip.refreshes * 1e-9 * timing.clock_hz
    started = run.all_memory_cycles - timing.cycles(timing.chip.t_start)
    assert started / interval <= run.refreshes - 8 + 1


@pytest.mark.parametrize(
    "broken",
    [
        stream_packet(0xAB, address=0, rows=1, row_words=1)[:3],
        np.append(stream_packet(0xAB, address=0, rows=1, row_words=1), np.uint32(7)),
        stream_packet(0xAB, address=0, rows=0, row_words=1),
        stream_packet(0xAB, address=0, rows=1, row_words=0),
        store_packet(np.zeros(0, np.uint32), address=0),
        stream_packet(0xAB, address=0, rows=40, row_words=1, place=0),
    ],
    ids=["short", "long", "no rows", "rows of no words", "no words", "nothing selected"],
)
def test_a_broken_packet_becomes_one_that_the_accelerator_refuses(
    memory_program: Path, timing: SdramTiming, broken: np.ndarray
) -> None:
    reference = reference_for(timing, 7)
    reference.store(0, 8)
    reference.select(0, 64, 0.0)
    reference.sent.append(broken)
    reference.expected.append(np.zeros(1, np.uint32))
    reference.stream(0, 1, 8, None)
    run = play(memory_program, timing, [], reference.sent, 2)
    assert reference.mismatches(run) == 0


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), seed=st.integers(0, 2**32 - 1))
def test_a_new_session_hears_nothing_of_the_old_ones(
    memory_program: Path, timing: SdramTiming, data: Any, seed: int
) -> None:
    """Sessions end in the middle of packets; the last one gets its own packets alone, and has what is stored."""
    reference = reference_for(timing, seed)
    reference.store(100, 512)
    before, reference.sent = reference.sent, []
    sent: list[Any] = []
    for _ in range(data.draw(st.integers(1, 9))):
        for _ in range(data.draw(st.integers(1, 4))):
            reference.stream(100, 32, 8, None)
            reference.foreign(3)
        sent += reference.sent
        kind = data.draw(st.sampled_from(["stream", "store", "foreign"]))
        packet = {
            "stream": stream_packet(1, address=100, rows=32, row_words=8),
            "store": store_packet(np.arange(9), address=2000),
            "foreign": np.full(9, FOREIGN, np.uint32),
        }[kind]
        sent.append(Cut(packet, data.draw(st.integers(1, len(packet)))))
        reference.sent, reference.expected = [], []
    reference.stream(100, 64, 8, None)
    reference.store(90, 20)
    reference.stream(90, 64, 8, None)
    stalls = Stalls(taking=data.draw(st.sampled_from([0, 0.9])), seed=seed)
    run = play(memory_program, timing, before, sent + reference.sent, 2, stalls=stalls)
    assert reference.mismatches(run) == 0
