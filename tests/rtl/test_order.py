"""Order of scores and runs: every score exists when it is run, and none is overwritten before."""

from collections.abc import Iterable, Sequence
from itertools import combinations, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikequant.rtl.order import GroupRun, Score, block_order, group_blocks, output_order

SCORE_WORDS = 64

WORDS = st.lists(st.integers(1, SCORE_WORDS), min_size=1, max_size=20)


def replayed(order: Iterable[GroupRun], words: Sequence[int]) -> list[tuple[int, int]]:
    """Pairs of group and tile in the order in which they run; fails where a score is missing or out of bounds."""
    there: dict[tuple[int, int], Score] = {}
    ran = []
    for run in order:
        for score in run.codes:
            assert 0 <= score.address <= SCORE_WORDS - words[score.group]
            end = score.address + words[score.group]
            for other in list(there.values()):
                apart = other.buffer != score.buffer
                if not apart and other.address < end and score.address < other.address + words[other.group]:
                    del there[other.group, other.buffer]
            there[score.group, score.buffer] = score
        assert there[run.score.group, run.score.buffer] == run.score
        ran.append((run.score.group, run.tile))
    return ran


@given(WORDS, st.integers(1, 4), st.booleans())
def test_outputs_come_tile_by_tile(words: list[int], tiles: int, keep: bool) -> None:
    order = list(output_order(words, tiles=tiles, score_words=SCORE_WORDS, keep=keep))
    assert replayed(order, words) == [(group, tile) for tile in range(tiles) for group in range(len(words))]
    fit = max(sum(words[::2]), sum(words[1::2])) <= SCORE_WORDS
    assert sum(len(run.codes) for run in order) == len(words) * (1 if keep and fit else tiles)


@given(WORDS, st.integers(1, 4))
def test_blocks_run_for_all_tiles_and_every_score_is_made_once(words: list[int], tiles: int) -> None:
    order = list(block_order(words, tiles=tiles, score_words=SCORE_WORDS))
    blocks = group_blocks(words, score_words=SCORE_WORDS)
    assert replayed(order, words) == [(group, tile) for block in blocks for tile in range(tiles) for group in block]
    assert sorted(score.group for run in order for score in run.codes) == list(range(len(words)))
    # in the stream, a block's codes are finished before its first run
    for block in blocks[1:]:
        first = next(number for number, run in enumerate(order) if run.score.group == block[0])
        made = [number for number, run in enumerate(order) for score in run.codes if score.group in block]
        assert max(made) < first


@given(st.lists(st.integers(1, 20), min_size=1, max_size=10))
def test_blocks_are_few_and_even(words: list[int]) -> None:
    capacity = max(30, *words)
    blocks = group_blocks(words, score_words=capacity)
    assert [group for block in blocks for group in block] == list(range(len(words)))
    largest = max(sum(words[group] for group in block) for block in blocks)
    # all ways to cut them
    cuts = [
        [sum(words[start:end]) for start, end in pairwise([0, *inner, len(words)])]
        for count in range(len(words))
        for inner in combinations(range(1, len(words)), count)
    ]
    fewest = min(len(cut) for cut in cuts if max(cut) <= capacity)
    assert len(blocks) == fewest
    assert largest == min(max(cut) for cut in cuts if len(cut) == fewest)


@pytest.mark.parametrize("tiles", [1, 2, 6])
def test_codes_of_a_block_come_evenly_between_the_runs_of_the_one_before(tiles: int) -> None:
    order = list(block_order([32] * 4, tiles=tiles, score_words=SCORE_WORDS))
    made = [[score.group for score in run.codes] for run in order]
    expected: dict[int, list[list[int]]] = {
        1: [[0], [1, 2, 3], [], []],
        2: [[0], [1], [2], [3], [], [], [], []],
        6: [[0], [1], [], [2], [], [], [], [3]] + 16 * [[]],
    }
    assert made == expected[tiles]


@given(WORDS, st.integers(1, 4), st.integers(1, 3))
def test_repeated_groups_follow_each_other(words: list[int], tiles: int, repeats: int) -> None:
    order = list(block_order(words, tiles=tiles, score_words=SCORE_WORDS, repeats=repeats))
    alone = list(block_order(words, tiles=tiles, score_words=SCORE_WORDS))
    assert replayed(order, words) == replayed(alone, words) * repeats
    assert sum(len(run.codes) for run in order) == len(words) * repeats
