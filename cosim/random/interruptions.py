"""Resets in every part of a program, each followed by a token that uses the memories' contents."""

from collections.abc import Iterator

from spikequant.rtl.driver.packets import Words


def interruptions(packets: list[Words], probe: list[Words]) -> Iterator[tuple[list[Words], int | None, int, int]]:
    """Yield packets, number of words to send (None for all), cycles until the reset after them, cycles of that before.

    Args:
        packets: program that is interrupted, at each of its words and then while the last words are processed.
        probe: program that is played after each reset of one cycle; it loads neither weights nor constants.
    """
    words = sum(map(len, packets))
    for place in range(1, words):
        yield packets, place, 0, 4
        yield probe, None, 0, 1
    for cycles in range(1, 160, 2):
        yield packets, words, cycles, 4
        yield probe, None, 0, 1
