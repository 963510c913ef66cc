"""Programs in which packets wait for each other: runs for scores, scores for runs, and everything for a slow run."""

from collections.abc import Iterator

import numpy as np

from spikequant.golden.layer.spec import Spec
from spikequant.rtl.driver.packets import TokenTile, Words, codes_packet, run_packet
from spikequant.rtl.shapes import Half

AHEAD = 4
"""Number of scores that are made before the first of them runs."""

MANY = 2**12 // 16
"""Number of runs of one score, with about twenty beats each."""


def _tile(*, count: int, value: int, salient: bool, shift: int) -> TokenTile:
    marks = np.full(count, salient, np.bool_)
    return TokenTile(value=np.full(count, value, np.uint8), salient=marks, zero=0, shift=shift, offset=0, merged=False)


def queue_programs(spec: Spec, constants: list[Words]) -> Iterator[tuple[list[Words], int]]:
    """Yield packets and the number of their results.

    Args:
        spec: the accelerator.
        constants: packets that load weights and constants.
    """
    slow = _tile(count=spec.depth, value=min(15, spec.max_population // spec.depth), salient=False, shift=0)
    late = _tile(count=spec.depth, value=2, salient=True, shift=spec.max_salient_shift)
    brief = _tile(count=3, value=1, salient=True, shift=1)
    quick = _tile(count=1, value=1, salient=False, shift=0)

    def run(number: int, tile: TokenTile, *, buffer: int, address: int = 0) -> Words:
        return run_packet(
            buffer=buffer,
            address=address,
            shift=tile.shift,
            first_input=0,
            slot=number % spec.membrane_slots,
            first=True,
            last=True,
            half=Half(number % 3),
            brief=bool(number & 1),
        )

    # many runs of one score, then scores that must not be written before all runs have read it
    for tile in (slow, late, quick):
        for count in (2, 3, 5, 9):
            packets, results = list(constants), 0
            for buffer in (0, 1, 0, 1, 1, 0):
                packets.append(codes_packet(tile, buffer=buffer, address=0))
                for number in range(count):
                    packets.append(run(number, tile, buffer=buffer))
                    results += 1
                # another score in the same buffer, after all runs there
                packets.append(codes_packet(quick, buffer=buffer, address=0))
                packets.append(run(count, quick, buffer=buffer))
                results += 1
            yield packets, results
    # enough runs that the number of their beats exceeds twelve bits
    packets = [*constants, codes_packet(slow, buffer=0, address=0)]
    packets += [run(number | 1, slow, buffer=0) for number in range(MANY)]
    yield packets, MANY
    # short scores right after a long one: one is read out of its lists, one waits in them, and more arrive
    for tile in (slow, late):
        packets = [*constants, codes_packet(quick, buffer=1, address=0), run(0, quick, buffer=1)]
        for _ in range(3):
            packets.append(codes_packet(tile, buffer=0, address=0))
            packets += [codes_packet(quick, buffer=1, address=8 * number) for number in range(AHEAD)]
            packets += [run(number, quick, buffer=1, address=8 * number) for number in range(AHEAD)]
            packets.append(run(AHEAD, tile, buffer=0))
        yield packets, 1 + 3 * (AHEAD + 1)
    # as many scores ahead of their runs as are allowed, in both buffers
    size = spec.score_words // AHEAD
    for buffers in ((0, 0, 0, 0), (0, 1, 0, 1), (1, 1, 0, 0), (1, 0, 0, 1)):
        packets, results = [*constants, codes_packet(slow, buffer=0, address=0), run(0, slow, buffer=0)], 1
        for block in range(6):
            tile = brief if block & 1 else quick
            for number in range(AHEAD):
                packets.append(codes_packet(tile, buffer=buffers[number], address=number * size))
            for number in range(AHEAD):
                packets.append(run(number + block, tile, buffer=buffers[number], address=number * size))
            results += AHEAD
        yield packets, results
