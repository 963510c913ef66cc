"""A bucket against a plain dictionary of lists."""

from collections import defaultdict
from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from golden.spec import Spec
from rtl.bucket import BANKS, Bucket, level_index_layout

SPEC = Spec(neurons=8, lanes=2, depth=32)

Level = tuple[int, int]
"""Magnitude and salient."""

Event = tuple[int, int]
"""Row and sign."""


def insert(bank: int, level: Level, event: Event) -> dict[str, Any]:
    return {
        "insert": 1,
        "insert_bank": bank,
        "insert_level": {"magnitude": level[0], "salient": level[1]},
        "insert_row": event[0],
        "insert_sign": event[1],
    }


def random_events(random: Random, *, levels: int) -> list[tuple[Level, Event]]:
    """Every row at most once, as in any packet, with few levels so that lists grow long."""
    chosen = [(random.randint(1, SPEC.max_level), random.randrange(2)) for _ in range(levels)]
    rows = random.sample(range(SPEC.rows), random.randint(0, SPEC.rows))
    return [(random.choice(chosen), (row, random.randrange(2))) for row in rows]


@pytest.fixture(scope="session")
def rtl_replay(simulate: Callable[..., None]) -> Callable[..., list[dict[Level, list[Event]]]]:
    """Fill banks in turn, each while the one before it replays every list; what each replay gave, by level."""

    def run(tokens: list[list[tuple[Level, Event]]], *, seed: int) -> list[dict[Level, list[Event]]]:
        bucket = Bucket(SPEC)
        random = Random(seed)
        replayed: list[dict[Level, list[Event]]] = []
        every = [(magnitude, salient) for salient in (1, 0) for magnitude in range(SPEC.max_level, 0, -1)]

        async def testbench(ctx: Any) -> None:
            todo: list[dict[str, Any]] = []

            async def cycle(frame: dict[str, Any]) -> tuple[int, int, int, int]:
                # an insert into the other bank goes on besides, now and then
                beside = todo.pop() if todo and random.random() < 0.7 else {"insert": 0}
                for name, value in (beside | frame).items():
                    ctx.set(getattr(bucket, name), value)
                _, _, *values = await ctx.tick().sample(bucket.active, bucket.row, bucket.sign, bucket.done)
                return tuple(values)

            async def replay(level: Level) -> list[Event]:
                events = []
                frame = {"level": {"magnitude": level[0], "salient": level[1]}, "start": 1}
                while True:
                    advance = random.random() < 0.8
                    active, row, sign, done = await cycle(frame | {"advance": advance})
                    if advance:
                        frame["start"] = 0
                        if active:
                            events.append((row, sign))
                        if done:
                            return events

            for number in range(len(tokens) + 1):
                bank = number % BANKS
                if number < len(tokens):
                    todo[:] = [insert(bank, level, event) for level, event in tokens[number]]
                if number:
                    ctx.set(bucket.replay_bank, 1 - bank)
                    lists = {level: await replay(level) for level in every}
                    replayed.append({level: events for level, events in lists.items() if events})
                    await cycle({"advance": 0, "clear": 1})
                ctx.set(bucket.clear, 0)
                while todo:
                    await cycle({"advance": 0})
                ctx.set(bucket.insert, 0)

        simulate(bucket, testbench)
        return replayed

    return run


@pytest.mark.parametrize("seed", range(4))
def test_lists_come_back_whole_while_the_other_bank_fills(rtl_replay: Callable[..., Any], seed: int) -> None:
    random = Random(seed)
    # the shortest and the longest lists, and banks used again after a clear
    tokens = [random_events(random, levels=levels) for levels in (1, 40, 3, 2)] + [[], [((31, 1), (15, 1))]]
    replayed = rtl_replay(tokens, seed=seed)
    assert len(replayed) == len(tokens)
    for token, lists in zip(tokens, replayed, strict=True):
        expected = defaultdict(list)
        for level, event in token:
            expected[level].append(event)
        assert {level: sorted(events) for level, events in lists.items()} == {
            level: sorted(events) for level, events in expected.items()
        }


def test_an_empty_list_is_done_at_once(play: Callable[..., Any]) -> None:
    frames = [{"start": 1, "level": {"magnitude": 3, "salient": 0}, "advance": 1}] * 2
    assert play(Bucket(SPEC), frames, ["active", "done"]) == [(0, 1)] * 2


def test_inserts_follow_each_other_without_a_gap(play: Callable[..., Any]) -> None:
    level = (7, 0)
    frames = [insert(0, level, (row, row % 2)) for row in range(5)]
    replay = {"level": {"magnitude": 7, "salient": 0}, "advance": 1}
    frames += [replay | {"start": 1}] + [replay] * 5
    seen = play(Bucket(SPEC), frames, ["active", "row", "sign", "done"])[5:]
    assert seen[:5] == [(1, row, row % 2, int(row == 0)) for row in reversed(range(5))]
    assert seen[5][0] == 0


@pytest.mark.parametrize("salient_bits", [0, 4, 7])
def test_an_index_holds_every_level(salient_bits: int) -> None:
    spec = Spec(activation_bits=4, salient_bits=salient_bits)
    assert dict(level_index_layout(spec))["magnitude"].width == max(4, salient_bits)
