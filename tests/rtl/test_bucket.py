"""A bucket against a plain dictionary of lists."""

from collections import Counter, defaultdict
from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from golden.spec import Spec
from rtl.bucket import TOP, Bucket

BEFORE_WALKING = 2
"""Cycles between the last insert and the first start."""

BETWEEN_STEPS = 1
"""Cycles between a start or a take, and the next one."""

Input = tuple[int, int, int, int]
"""Row, sign, magnitude, salient."""

List = tuple[int, int]
"""Level, or ``TOP``; and salient."""


def lists_of(spec: Spec, inputs: list[Input]) -> dict[List, Counter[tuple[int, int]]]:
    """What fires at each level: row and sign, and how often."""
    lists: dict[List, Counter[tuple[int, int]]] = defaultdict(Counter)
    for row, sign, magnitude, salient in inputs:
        burst, rest = divmod(magnitude, spec.ramp)
        if rest:
            lists[rest, salient][row, sign] += 1
        if burst:
            lists[TOP, salient][row, sign] += burst
    return lists


def inserts(spec: Spec, inputs: list[Input]) -> list[dict[str, Any]]:
    frames = []
    for row, sign, magnitude, salient in inputs:
        burst, rest = divmod(magnitude, spec.ramp)
        entry = {"insert": 1, "insert_row": row, "insert_sign": sign, "insert_burst": burst}
        frames += [entry | {"list": {"level": rest, "salient": salient}}] if rest else []
        frames += [entry | {"list": {"level": TOP, "salient": salient}}] if burst else []
    return frames


def random_inputs(spec: Spec, random: Random, *, levels: int) -> list[Input]:
    """Every row at most once, as in any token, with few levels so that lists grow long."""
    chosen = [(random.randint(1, spec.max_level), random.randrange(2)) for _ in range(levels)]
    rows = random.sample(range(spec.lane_rows), random.randint(0, spec.lane_rows))
    return [(row, random.randrange(2), *random.choice(chosen)) for row in rows]


@pytest.fixture(scope="session")
def rtl_walk(simulate: Callable[..., None]) -> Callable[..., list[dict[List, list[tuple[int, int]]]]]:
    """Fill the bucket with each token's inputs, and walk every list; what each walk gave."""

    def run(spec: Spec, tokens: list[list[Input]], *, seed: int) -> list[dict[List, list[tuple[int, int]]]]:
        bucket = Bucket(spec)
        random = Random(seed)
        every = [(level, salient) for salient in (1, 0) for level in (TOP, *range(spec.ramp - 1, 0, -1))]
        walks: list[dict[List, list[tuple[int, int]]]] = []

        async def testbench(ctx: Any) -> None:
            async def cycle(frame: dict[str, Any]) -> None:
                for name in ("insert", "start", "take"):
                    ctx.set(getattr(bucket, name), 0)
                for name, value in frame.items():
                    ctx.set(getattr(bucket, name), value)
                await ctx.tick()

            async def pause() -> None:
                for _ in range(BETWEEN_STEPS + random.choice((0, 0, 0, 3))):
                    await cycle({})

            async def walk(level: int, salient: int) -> list[tuple[int, int]]:
                found = []
                await cycle({"start": 1, "list": {"level": level, "salient": salient}})
                await pause()
                while ctx.get(bucket.active):
                    found.append((ctx.get(bucket.row), ctx.get(bucket.sign)))
                    assert len(found) <= spec.lane_rows * max(1, spec.max_burst)
                    await cycle({"take": 1})
                    await pause()
                return found

            # whatever the memory held before
            for level, salient in every:
                await cycle({"start": 1, "list": {"level": level, "salient": salient}})
            for inputs in tokens:
                for frame in inserts(spec, inputs):
                    await cycle(frame)
                    # a pause falls where one input's entries end
                    if frame["list"]["level"] == TOP and random.random() < 0.2:
                        await cycle({})
                for _ in range(BEFORE_WALKING):
                    await cycle({})
                lists = {place: await walk(*place) for place in every}
                walks.append({place: found for place, found in lists.items() if found})

        simulate(bucket, testbench)
        return walks

    return run


FORMS = [
    Spec(neurons=8, lanes=2, depth=64),
    Spec(neurons=8, lanes=1, depth=5, salient_bits=7, ramp=4, score_words=128),
    Spec(neurons=8, lanes=4, depth=96, salient_bits=7, ramp=16),
    Spec(neurons=8, lanes=2, depth=20, activation_bits=2, salient_bits=0, ramp=8),
]


@pytest.mark.parametrize("spec", FORMS, ids=lambda spec: f"{spec.lane_rows} rows, ramp {spec.ramp}")
@pytest.mark.parametrize("seed", range(3))
def test_lists_come_back_whole(rtl_walk: Callable[..., Any], spec: Spec, seed: int) -> None:
    random = Random(seed)
    # the longest lists and the shortest, every input at once, none, and the one with the last row
    tokens = [random_inputs(spec, random, levels=levels) for levels in (1, 40, 3, 2)]
    tokens += [[(row, row % 2, spec.max_level, 0) for row in range(spec.lane_rows)]]
    tokens += [[], [(spec.lane_rows - 1, 1, 1, 1)]]
    walks = rtl_walk(spec, tokens, seed=seed)
    assert len(walks) == len(tokens)
    for token, walk in zip(tokens, walks, strict=True):
        assert {place: Counter(found) for place, found in walk.items()} == lists_of(spec, token)
