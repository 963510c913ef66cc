"""Outgoing packets as one sequence of words."""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

from spikequant.rtl.driver.packets import Words


class Outgoing:
    """Packets as one sequence of words that begins at a position."""

    def __init__(self, packets: Sequence[Words], position: int) -> None:
        self._packets = packets
        self._ends = list(accumulate((len(packet) for packet in packets), initial=position))

    @property
    def end(self) -> int:
        """Position after the last word."""
        return self._ends[-1]

    def piece(self, position: int, most: int) -> tuple[list[int], bool]:
        """Up to ``most`` words of one packet from a position on, and whether they end it."""
        index = bisect_right(self._ends, position) - 1
        words = self._packets[index][position - self._ends[index] :][:most]
        return words.tolist(), position + len(words) == self._ends[index + 1]
