"""Resets in every part of a program, and a token behind each that uses what the reset left in the memories."""

from collections.abc import Iterator

from spikequant.rtl.driver.packets import Words


def interruptions(packets: list[Words], probe: list[Words]) -> Iterator[tuple[list[Words], int | None, int, int]]:
    """Packets, how many words are sent (all if None), cycles from the last to the reset, cycles of the one before.

    Args:
        packets: what is broken off: first in each of its words, then while its last words are worked on.
        probe: what is played whole behind each reset, of one cycle; it loads no weights and no constants.
    """
    words = sum(map(len, packets))
    for place in range(1, words):
        yield packets, place, 0, 4
        yield probe, None, 0, 1
    for cycles in range(1, 160, 2):
        yield packets, words, cycles, 4
        yield probe, None, 0, 1
