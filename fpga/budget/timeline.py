"""Time of an exchange with a board, frame by frame, as the session and the board's link send them.

The line is undisturbed, the host answers at once, and the board's buffer for words from the host never fills: it is
larger than what a host sends ahead of results.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from heapq import heappop, heappush
from itertools import accumulate, count

from spikequant.fpga.link.codec import BYTES_PER_WORD
from spikequant.fpga.link.protocol import BUFFER_WORDS, CONTROL_WORDS, HELLO_WORDS, MAX_SIZE
from spikequant.fpga.link.session import FRAMES_AHEAD
from spikequant.fpga.sdram.memory import WORDS

BITS_PER_BYTE = 10
"""Bits of a byte on the line, with its start and stop bit."""

ESCAPED = 2 / 256
"""Share of bytes that are escaped if all values are equally frequent."""

FRAME_WORDS = 2**MAX_SIZE

REPORT_BYTES = 1 + (CONTROL_WORDS + 1) * BYTES_PER_WORD + 1
"""Bytes before the end of a frame of the board when its first control word is filled in, a byte ahead of the line."""

CHOICE_BYTES = REPORT_BYTES - BYTES_PER_WORD
"""Bytes before the end of a frame of the board when it chooses the next one: with the second control word."""


def frame_bytes(payload: int) -> float:
    """Expected bytes of a frame with so many payload words: escaped words and check, between two END bytes."""
    return 2 + (payload + CONTROL_WORDS + 1) * BYTES_PER_WORD * (1 + ESCAPED)


@dataclass(frozen=True)
class Step:
    """A packet from the host, and what the board does with it.

    Attributes:
        words: length of the packet.
        cycles: time from its arrival, or from the end of the previous step, to the end of this one.
        read: words from the memory that the accelerator takes, one a cycle, in addition to ``cycles``.
        alone: it begins when all earlier results have left the accelerator.
        result: words of the RESULT packet that follows it; 0 for none.
    """

    words: int
    cycles: float = 0.0
    read: int = 0
    alone: bool = False
    result: int = 0


@dataclass(frozen=True)
class Exchange:
    """Packets to a board and their results.

    Attributes:
        cycles: clock cycles of the board from the first bit of the first packet until the host has all results.
        sent, received: bytes from the host, and from the board.
    """

    cycles: float
    sent: float
    received: float

    def then(self, other: "Exchange") -> "Exchange":
        """Both, one after the other."""
        return Exchange(self.cycles + other.cycles, self.sent + other.sent, self.received + other.received)


def greeting(byte_cycles: float) -> Exchange:
    """A HELLO and its answer, by which the host reads the board's counters."""
    sent, received = frame_bytes(0), frame_bytes(HELLO_WORDS)
    return Exchange(cycles=(sent + received) * byte_cycles, sent=sent, received=received)


class _Memory:
    """Words that were read in advance, of those that packets have asked for, at a time.

    Args:
        word_cycles: clock cycles in which a word is read.
    """

    def __init__(self, word_cycles: float) -> None:
        self._word_cycles = word_cycles
        self._asked = self._words = self._time = 0.0

    def ask(self, words: int, now: float) -> None:
        """Take note of words to read."""
        self._read_until(now)
        self._asked += words

    def _read_until(self, time: float) -> None:
        if self._word_cycles:
            self._words += max(0.0, time - self._time) / self._word_cycles
            self._words = min(self._words, self._asked, WORDS)
        else:
            self._words = self._asked
        self._time = max(self._time, time)

    def take(self, words: int, begins: float) -> float:
        """Take words one a cycle, or as they are read; returns the number of cycles."""
        self._read_until(begins)
        cycles = max(words, (words - self._words) * self._word_cycles)
        self._asked -= words
        self._words -= words
        self._read_until(begins + cycles)
        return cycles


def exchange(steps: Sequence[Step], *, byte_cycles: float, word_cycles: float = 0.0) -> Exchange:
    """Play packets to a board.

    Args:
        steps: the packets in order.
        byte_cycles: clock cycles of the board for a byte on the line, ``BITS_PER_BYTE`` times those for a bit.
        word_cycles: clock cycles of the board in which a word is read from the memory.
    """
    return _Simulation(steps, byte_cycles, word_cycles).run()


class _Simulation:
    """Events of an exchange in the order of time: the ends of frames both ways, and results."""

    def __init__(self, steps: Sequence[Step], byte_cycles: float, word_cycles: float) -> None:
        self._byte_cycles = byte_cycles
        self._events: list[tuple[float, int, Callable[[float], None]]] = []
        self._number = count()
        self._bytes = {"down": 0.0, "up": 0.0}
        self._free = {"down": 0.0, "up": 0.0}
        # the host's end; sent and acknowledged are positions in the stream of words
        self._steps = steps
        self._ends = list(accumulate(step.words for step in steps))
        self._end = sum(step.words for step in steps)
        self._packet = self._sent = self._acknowledged = 0
        self._missing = sum(step.result for step in steps)
        # the board's end: packets that wait, results that are made, and words of those that are
        self._received = self._reported = 0
        self._arrived: deque[Step] = deque()
        self._memory = _Memory(word_cycles)
        self._done = 0.0
        self._made = 0
        self._ready: deque[int] = deque()
        # its buffer for results: words that are not sent, of each packet, and free words
        self._unsent: deque[int] = deque()
        self._held = 0
        self._room = BUFFER_WORDS
        self._owes_state = self._sending = False

    def run(self) -> Exchange:
        """Handle all events until the host has everything."""
        self._send_words(0.0)
        now = 0.0
        while self._missing or self._acknowledged < self._end:
            now, _, handle = heappop(self._events)
            handle(now)
        # the next exchange waits for the last confirmation
        return Exchange(cycles=max(now, self._free["down"]), sent=self._bytes["down"], received=self._bytes["up"])

    def _at(self, time: float, handle: Callable[[float], None]) -> None:
        heappush(self._events, (time, next(self._number), handle))

    def _transmit(self, way: str, payload: int, now: float) -> float:
        """Send a frame when the line is free; returns the time of its end."""
        size = frame_bytes(payload)
        self._bytes[way] += size
        self._free[way] = max(self._free[way], now) + size * self._byte_cycles
        return self._free[way]

    def _send_words(self, now: float) -> None:
        """Host: send frames, each with words of one packet, as far ahead of what is acknowledged as the session."""
        end = min(self._end, self._acknowledged + FRAMES_AHEAD * FRAME_WORDS)
        while self._sent < end:
            words = min(FRAME_WORDS, self._ends[self._packet] - self._sent)
            if words > end - self._sent:
                break
            self._sent += words
            whole = self._steps[self._packet] if self._sent == self._ends[self._packet] else None
            self._packet += whole is not None
            self._at(self._transmit("down", words, now), partial(self._take, words, whole, 0))

    def _hear(self, words: int, now: float) -> None:
        """Host: take a frame of the board, confirm its words, and send what may follow."""
        self._acknowledged = self._reported
        if words:
            self._missing -= words
            self._at(self._transmit("down", 0, now), partial(self._take, 0, None, words))
        self._send_words(now)

    def _take(self, words: int, whole: Step | None, confirmed: int, now: float) -> None:
        """Board: take a frame with words, perhaps the last ones of a packet, or with a confirmation."""
        self._owes_state = True
        self._received += words
        self._room += confirmed
        if whole is not None:
            self._arrived.append(whole)
            self._memory.ask(whole.read, now)
        self._advance(now)

    def _advance(self, now: float) -> None:
        """Board: move results into the buffer as far as there is room, start what waited for that, and answer."""
        while self._ready and self._room:
            moved = min(self._room, self._ready[0])
            self._room -= moved
            self._held += moved
            self._ready[0] -= moved
            if not self._ready[0]:
                self._ready.popleft()
                self._made -= 1
        while self._arrived and not (self._arrived[0].alone and self._made):
            step = self._arrived.popleft()
            begins = max(self._done, now)
            self._done = begins + step.cycles + (self._memory.take(step.read, begins) if step.read else 0.0)
            if step.result:
                self._made += 1
                self._at(self._done, partial(self._finish, step.result))
        self._answer(now)

    def _finish(self, words: int, now: float) -> None:
        """Board: a result leaves the accelerator."""
        self._ready.append(words)
        self._unsent.append(words)
        self._advance(now)

    def _answer(self, now: float) -> None:
        """Board: send a frame of words, or of the state if that is owed."""
        if self._sending or not (self._held or self._owes_state):
            return
        words = 0
        if self._held:
            words = min(FRAME_WORDS, self._unsent[0], self._held)
            self._held -= words
            self._unsent[0] -= words
            if not self._unsent[0]:
                self._unsent.popleft()
        self._sending = True
        end = self._transmit("up", words, now)
        self._at(end - REPORT_BYTES * self._byte_cycles, self._report)
        self._at(end - CHOICE_BYTES * self._byte_cycles, self._choose)
        self._at(end, partial(self._hear, words))

    def _report(self, _now: float) -> None:
        """Board: fill in the first control word, which answers all frames until then."""
        self._owes_state = False
        self._reported = self._received

    def _choose(self, now: float) -> None:
        """Board: begin the next frame, if there is one to send."""
        self._sending = False
        self._answer(now)
