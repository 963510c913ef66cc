"""How fast a session goes: how long its frames are, and after which time one counts as lost."""

from dataclasses import dataclass

from spikequant.fpga.link.protocol import MAX_SIZE

MIN_SIZE = 2
"""Logarithm of the fewest payload words of a frame, which noise leaves."""

GOOD_FRAMES = 16
"""Frames without a loss after which they become twice as long."""

MIN_WAIT, MAX_WAIT = 0.05, 2.0
"""Limits in seconds of the time after which a frame without answer counts as lost."""

OLD, NEW = 0.8, 0.2
"""Shares of the estimate so far, and of the last round trip, in the next estimate."""


@dataclass
class Pace:
    """What losses and round trips have taught.

    Attributes:
        size: logarithm of a frame's payload words at most.
        wait: seconds after which a frame without answer counts as lost.
        trip: seconds of a round trip, an estimate; None before the first.
    """

    size: int = MAX_SIZE
    wait: float = 0.5
    trip: float | None = None
    _good: int = 0
    # the position behind the frame that is timed, and when it was sent
    _timed: tuple[int, float] | None = None

    def lost(self) -> None:
        """A loss: the shorter a frame, the likelier it gets through."""
        self.size = max(self.size - 1, MIN_SIZE)
        self._good = 0

    def arrived(self) -> None:
        """A frame went through."""
        self._good += 1
        if self._good >= GOOD_FRAMES:
            self.size = min(self.size + 1, MAX_SIZE)
            self._good = 0

    def late(self, most: float) -> None:
        """Nothing came in time: wait longer, but no longer than ``most`` seconds."""
        self.wait = min(2 * self.wait, MAX_WAIT, most)

    def sent(self, position: int, now: float) -> None:
        """The words before a position are on their way; they are timed unless others are."""
        self._timed = self._timed or (position, now)

    def acknowledged(self, position: int, now: float) -> None:
        """The words before a position have arrived."""
        if self._timed is not None and position >= self._timed[0]:
            trip = now - self._timed[1]
            self.trip = trip if self.trip is None else OLD * self.trip + NEW * trip
            self.wait = min(max(4 * self.trip, MIN_WAIT), MAX_WAIT)
            self._timed = None

    def went_back(self) -> None:
        """What is sent twice tells nothing of the time that it takes."""
        self._timed = None
