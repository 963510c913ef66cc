"""Adaptive frame size and retransmission timeout of a session."""

from dataclasses import dataclass

from spikequant.fpga.link.protocol import MAX_SIZE

MIN_SIZE = 2
"""Binary logarithm of the smallest frame size, in payload words."""

GOOD_FRAMES = 16
"""Frames without a loss after which the frame size doubles."""

MIN_WAIT, FIRST_WAIT, MAX_WAIT = 0.05, 0.5, 2.0
"""Limits of the timeout and its value before the first round trip, in seconds."""

OLD, NEW = 0.8, 0.2
"""Weights of the estimate so far and of the last round trip in the next estimate."""


@dataclass
class Pace:
    """State learned from losses and round trips.

    Attributes:
        size: binary logarithm of the frame size in payload words.
        wait: timeout in seconds, after which a frame without answer counts as lost.
        trip: estimate of the round trip in seconds; None before the first.
        least: shortest timeout in seconds.
    """

    size: int = MAX_SIZE
    wait: float = FIRST_WAIT
    trip: float | None = None
    least: float = MIN_WAIT
    _good: int = 0
    # position after the frame that is timed, and when it was sent
    _timed: tuple[int, float] | None = None

    def __post_init__(self) -> None:
        """Wait no less than the shortest timeout from the beginning."""
        self.wait = max(self.wait, self.least)

    def lost(self) -> None:
        """Note a loss, and halve the frame size."""
        self.size = max(self.size - 1, MIN_SIZE)
        self._good = 0

    def arrived(self) -> None:
        """Note a frame that arrived."""
        self._good += 1
        if self._good >= GOOD_FRAMES:
            self.size = min(self.size + 1, MAX_SIZE)
            self._good = 0

    def late(self, most: float) -> None:
        """Double the timeout, up to ``most`` seconds."""
        self.wait = max(min(2 * self.wait, MAX_WAIT, most), self.least)

    def sent(self, position: int, now: float) -> None:
        """Note that the words before a position were sent, and time them unless others are being timed."""
        self._timed = self._timed or (position, now)

    def acknowledged(self, position: int, now: float) -> None:
        """Note that the words before a position have arrived."""
        if self._timed is not None and position >= self._timed[0]:
            trip = now - self._timed[1]
            self.trip = trip if self.trip is None else OLD * self.trip + NEW * trip
            self.wait = max(min(4 * self.trip, MAX_WAIT), self.least)
            self._timed = None

    def went_back(self) -> None:
        """Stop timing: the answer to words sent twice is ambiguous."""
        self._timed = None
