"""Order of a layer's scores and runs in the stream.

A group is one or more tiles of inputs whose scores are made together and run consecutively: all tiles of a token, or
one of them.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

BUFFERS = 2
"""Score buffers of the accelerator."""


LEAD = 3
"""Runs of a block before the first codes of the next block; they keep the array busy while these codes come in."""


@dataclass(frozen=True)
class Score:
    """Place of a group's scores.

    Attributes:
        group: index of the group.
        buffer: index of the buffer.
        address: first beat of the group's first score; its other scores follow.
    """

    group: int
    buffer: int
    address: int


@dataclass(frozen=True)
class GroupRun:
    """A run of a group for one tile of outputs.

    Attributes:
        score: the group's scores.
        tile: index of the tile of outputs.
        codes: scores whose codes come in immediately before the run.
    """

    score: Score
    tile: int
    codes: tuple[Score, ...] = ()


def output_order(words: Sequence[int], *, tiles: int, score_words: int, keep: bool = True) -> Iterator[GroupRun]:
    """All groups for the first tile of outputs, then for the next tile; the groups alternate between the buffers.

    Each tile's weights are loaded once. If the scores of all groups fit the buffers together they are made once, else
    again for each tile.

    Args:
        words: size of each group's scores, at most ``score_words``.
        tiles: number of tiles of outputs.
        score_words: size of a buffer.
        keep: make scores once, if they fit.
    """
    used = [0] * BUFFERS
    scores = []
    for group, size in enumerate(words):
        scores.append(Score(group=group, buffer=group % BUFFERS, address=used[group % BUFFERS]))
        used[group % BUFFERS] += size
    kept = keep and max(used) <= score_words
    if not kept:
        scores = [replace(score, address=0) for score in scores]
    for tile in range(tiles):
        for score in scores:
            yield GroupRun(score, tile, codes=(score,) if tile == 0 or not kept else ())


def group_blocks(words: Sequence[int], *, score_words: int) -> list[range]:
    """Consecutive groups whose scores fit a buffer together: as few blocks as possible, of sizes as equal as possible.

    The codes of a large block would not all come in while a small one runs.
    """
    fewest = len(_filled(words, score_words))
    limit = bisect_left(range(score_words), -fewest, key=lambda size: -len(_filled(words, size)))
    return _filled(words, limit)


def _filled(words: Sequence[int], limit: int) -> list[range]:
    """Blocks of as many words as fit a limit, or of one group."""
    blocks: list[range] = []
    start = used = 0
    for group, size in enumerate(words):
        if group > start and used + size > limit:
            blocks.append(range(start, group))
            start, used = group, 0
        used += size
    return [*blocks, range(start, len(words))]


def block_order(words: Sequence[int], *, tiles: int, score_words: int, repeats: int = 1) -> Iterator[GroupRun]:
    """A block of groups in one buffer for all tiles of outputs, then the next block in the other buffer.

    Each score is made once. The codes of a block come in evenly between the runs of the previous block, so that the
    encoder works while the array does; those of the first block come before its runs for the first tile. Weights and
    constants of a tile are needed once for each block.

    Args:
        words: size of each group's scores, at most ``score_words``.
        tiles: number of tiles of outputs.
        score_words: size of a buffer.
        repeats: number of times that all groups run, one after the other.
    """
    blocks = [
        _placed(block, words, buffer=number % BUFFERS)
        for number, block in enumerate(group_blocks(words, score_words=score_words) * repeats)
    ]
    for number, block in enumerate(blocks):
        following = blocks[number + 1] if number + 1 < len(blocks) else []
        runs = [GroupRun(score, tile) for tile in range(tiles) for score in block]
        # codes may stall the stream until the previous block, whose buffer they need, is read
        first = min(LEAD, len(runs) // 2)
        if number == 0:
            runs[: len(block)] = [GroupRun(score, 0, codes=(score,)) for score in block]
        for place, score in enumerate(following):
            before = first + place * (len(runs) - first) // len(following)
            runs[before] = replace(runs[before], codes=(*runs[before].codes, score))
        yield from runs


def _placed(block: range, words: Sequence[int], *, buffer: int) -> list[Score]:
    scores, address = [], 0
    for group in block:
        scores.append(Score(group=group, buffer=buffer, address=address))
        address += words[group]
    return scores
