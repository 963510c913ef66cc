"""Time of exchanges on the line; ``tests/fpga/budget/test_check.py`` compares it with the virtual board."""

from dataclasses import replace

import pytest

from spikequant.fpga.budget.timeline import FRAME_WORDS, Step, exchange, frame_bytes, greeting
from spikequant.fpga.link.codec import encode_frame
from spikequant.fpga.link.protocol import BUFFER_WORDS, CONTROL_WORDS
from spikequant.fpga.sdram.memory import WORDS

BYTE = 600
EMPTY = frame_bytes(0)


def test_a_frame_has_the_bytes_of_the_codec() -> None:
    words = [0x01020304] * (50 + CONTROL_WORDS)
    assert frame_bytes(50) == pytest.approx(len(encode_frame(words)), rel=0.01)


def test_a_packet_and_its_result_follow_each_other() -> None:
    found = exchange([Step(words=10, cycles=5000, result=20)], byte_cycles=BYTE)
    # the confirmation ends after the result
    bytes_in_turn = frame_bytes(10) + frame_bytes(20) + EMPTY
    # the packet's own answer is over when the result comes
    assert EMPTY * BYTE > 5000
    assert found.cycles == pytest.approx((bytes_in_turn + EMPTY) * BYTE)
    assert found.sent == frame_bytes(10) + EMPTY
    assert found.received == frame_bytes(20) + EMPTY


def test_a_long_packet_goes_at_the_speed_of_the_line() -> None:
    found = exchange([Step(words=40 * FRAME_WORDS)], byte_cycles=BYTE)
    assert found.sent == pytest.approx(40 * frame_bytes(FRAME_WORDS))
    assert found.cycles == pytest.approx((found.sent + EMPTY) * BYTE)


def test_results_that_fill_the_buffer_hold_up_what_follows_them() -> None:
    """With a buffer's worth of results, the next load begins when there is room for the last word."""
    packets = [Step(words=4, alone=True), Step(words=2, result=BUFFER_WORDS + FRAME_WORDS)] * 2
    found = exchange(packets, byte_cycles=BYTE)
    results = 2 * (BUFFER_WORDS / FRAME_WORDS + 1) * frame_bytes(FRAME_WORDS)
    assert found.cycles / BYTE == pytest.approx(results + frame_bytes(4) + frame_bytes(2), rel=0.05)
    late = [Step(words=4, cycles=1e7, alone=True), Step(words=2, cycles=1e6, result=10)] * 2
    assert exchange(late, byte_cycles=BYTE).cycles == pytest.approx(2 * 1.1e7, rel=0.01)


def test_words_are_read_in_advance_as_far_as_there_is_room() -> None:
    run = Step(words=2, cycles=300, result=1)
    load = Step(words=4, read=1000, alone=True)

    def cycles(word_cycles: float, *, run: Step = run) -> float:
        return exchange([load, run, load, run], byte_cycles=0, word_cycles=word_cycles).cycles

    # the accelerator takes a word a cycle
    assert cycles(0) == cycles(0.5) == cycles(1) == 2600
    # the second load is read during the first run
    assert cycles(2) == 2000 + 300 + 1700 + 300
    # and no more than the queue between memory and accelerator holds
    assert cycles(3, run=replace(run, cycles=5000)) == 3000 + 5000 + 3 * (1000 - WORDS) + 5000


def test_a_greeting_is_two_frames() -> None:
    found = greeting(BYTE)
    assert found.cycles == pytest.approx((found.sent + found.received) * BYTE)
    both = found.then(found)
    assert (both.cycles, both.sent, both.received) == (2 * found.cycles, 2 * found.sent, 2 * found.received)


def test_no_packets_take_no_time() -> None:
    found = exchange([], byte_cycles=BYTE)
    assert (found.cycles, found.sent, found.received) == (0, 0, 0)


def test_short_packets_do_not_make_the_frames_after_them_short() -> None:
    mixed = [Step(words=2), Step(words=1200), Step(words=3), Step(words=2), Step(words=1200)]
    found = exchange(mixed, byte_cycles=BYTE)
    frames = 2 * (9 * frame_bytes(FRAME_WORDS) + frame_bytes(1200 - 9 * FRAME_WORDS)) + 2 * frame_bytes(2)
    assert found.sent == pytest.approx(frames + frame_bytes(3))
