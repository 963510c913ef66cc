"""A bucket against a plain dictionary of lists."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import pytest

from spikequant.golden.layer.spec import Spec
from spikequant.rtl.encoder.bucket import TOP, Bucket, bucket_count, bucket_rows

BEFORE_COPYING = 1
"""Cycles between the last insert and the first copy."""

Input = tuple[int, int, int, int]
"""Row, sign, magnitude, and whether it is in a list of the normal phase."""

List = tuple[int, int]
"""Phase, and number in the order of the walk."""


def numbers(spec: Spec, magnitude: int) -> list[tuple[int, int]]:
    """Of each list in which an input is: its number, and how often the input fires in it."""
    burst, rest = divmod(magnitude, spec.ramp)
    return [(-rest % spec.ramp, 1)] * bool(rest) + [(TOP, burst)] * bool(burst)


def lists_of(spec: Spec, inputs: list[Input]) -> dict[List, Counter[tuple[int, int]]]:
    """What fires at each level: row and sign, and how often."""
    lists: dict[List, Counter[tuple[int, int]]] = defaultdict(Counter)
    for row, sign, magnitude, normal in inputs:
        for number, times in numbers(spec, magnitude):
            lists[normal, number][row, sign] += times
    return lists


def random_inputs(spec: Spec, random: Random, *, levels: int) -> list[Input]:
    """Every row at most once, as in any token, with few levels so that lists grow long."""
    chosen = [(random.randint(1, spec.max_level), random.randrange(2)) for _ in range(levels)]
    rows = random.sample(range(bucket_rows(spec)), random.randint(0, bucket_rows(spec)))
    return [(row, random.randrange(2), *random.choice(chosen)) for row in rows]


class Filling:
    """Each token's inputs on their way in, and then its lists' heads: what the bucket is told, cycle by cycle."""

    def __init__(self, spec: Spec, tokens: list[list[Input]], random: Random) -> None:
        self._spec = spec
        self._tokens = tokens
        self._random = random
        self.walked = 0
        self.started = 0

    def frames(self, bucket: Bucket, ctx: Any) -> Iterator[dict[str, Any]]:
        copies = [{"copy": 1, "list": {"normal": number // self._spec.ramp, "level": number % self._spec.ramp}}
                  for number in range(2 * self._spec.ramp)]  # fmt: skip
        yield from copies
        for number, inputs in enumerate(self._tokens):
            while self.walked < number - 1:
                yield {}
            for row, sign, magnitude, normal in inputs:
                for level, times in numbers(self._spec, magnitude):
                    yield {
                        "insert_enable": 1,
                        "insert": {"row": row, "sign": sign, "repeats": times - 1},
                        "list": {"level": level, "normal": normal},
                        "bank": number % 2,
                    }
                if self._random.random() < 0.2:
                    yield {}
            for _ in range(BEFORE_COPYING):
                yield {}
            while ctx.get(bucket.going):
                yield {}
            normal = all(normal for *_, normal in inputs)
            first, *others = copies[normal * self._spec.ramp :]
            self.started += 1
            yield first | {"start": 1, "start_normal": normal}
            yield from others
        while True:
            yield {}


@pytest.fixture(scope="session")
def rtl_walk(simulate: Callable[..., None]) -> Callable[..., Any]:
    """Fill the bucket with each token's inputs while the one before is walked; what was in each list, and when."""

    def run(spec: Spec, tokens: list[list[Input]], *, stall: float, seed: int) -> Any:
        bucket = Bucket(spec)
        random = Random(seed)
        filling = Filling(spec, tokens, random)
        walks: list[dict[List, list[tuple[int, int]]]] = []
        cycles: list[tuple[int, int]] = []

        async def testbench(ctx: Any) -> None:
            frames = filling.frames(bucket, ctx)
            cycle = 0
            here: List | None = None
            while filling.walked < len(tokens):
                frame = next(frames)
                for name in ("insert_enable", "copy", "start"):
                    ctx.set(getattr(bucket, name), 0)
                for name, value in frame.items():
                    ctx.set(getattr(bucket, name), value)
                offered, ended = ctx.get(bucket.valid), ctx.get(bucket.ended)
                assert not (offered and ended)
                if here is None and (offered or ended):
                    here = (int(all(normal for *_, normal in tokens[filling.walked])), 0)
                    walks.append(defaultdict(list))
                    assert filling.started > filling.walked
                goes = random.random() >= stall
                if offered and goes:
                    walks[-1][here].append((ctx.get(bucket.row), ctx.get(bucket.sign)))
                    cycles.append((cycle, 1))
                ctx.set(bucket.take, offered and goes)
                ctx.set(bucket.descend, ended and goes)
                if ended and goes:
                    cycles.append((cycle, 0))
                    normal, number = here
                    assert ctx.get(bucket.lowest) == (number == spec.ramp - 1)
                    here = (normal, number + 1) if number + 1 < spec.ramp else None if normal else (1, 0)
                    filling.walked += here is None
                await ctx.tick()
                cycle += 1

        simulate(bucket, testbench)
        return walks, cycles

    return run


FORMS = [
    Spec(neurons=8, lanes=2, depth=128),
    Spec(neurons=8, lanes=1, depth=21, salient_bits=7, ramp=4, score_words=128),
    Spec(neurons=8, lanes=4, depth=96, salient_bits=7, ramp=16),
    Spec(neurons=8, lanes=8, depth=80, activation_bits=2, salient_bits=0, ramp=8),
]


@pytest.mark.parametrize("spec", FORMS, ids=lambda spec: f"{bucket_rows(spec)} rows, ramp {spec.ramp}")
@pytest.mark.parametrize(("stall", "seed"), [(0.0, 0), (0.3, 1), (0.8, 2)])
def test_lists_come_back_whole(rtl_walk: Callable[..., Any], spec: Spec, stall: float, seed: int) -> None:
    random = Random(seed)
    # the longest lists and the shortest, every input at once, none, and the one with the last row
    tokens = [random_inputs(spec, random, levels=levels) for levels in (1, 40, 3, 2)]
    tokens += [[(row, row % 2, spec.max_level, 1) for row in range(bucket_rows(spec))]]
    tokens += [[], [(bucket_rows(spec) - 1, 1, 1, 0)], []]
    walks, _ = rtl_walk(spec, tokens, stall=stall, seed=seed)
    assert len(walks) == len(tokens)
    for token, walk in zip(tokens, walks, strict=True):
        assert {place: Counter(found) for place, found in walk.items()} == lists_of(spec, token)


def test_an_input_a_cycle(rtl_walk: Callable[..., Any]) -> None:
    spec = FORMS[0]
    rows = bucket_rows(spec)
    assert rows == 128 // bucket_count(spec)
    few = 8
    tokens = [[(row, 0, 1 + row % 2, 1) for row in range(inputs)] for inputs in (rows, few)]
    _, cycles = rtl_walk(spec, tokens, stall=0.0, seed=0)
    times = [cycle for cycle, _ in cycles]
    assert len(cycles) == rows + few + 2 * spec.ramp
    # two lists of sixteen and their ends without a pause, which are the last ones
    last = rows + spec.ramp - 1
    assert [times[last] - times[last - index] for index in range(rows + 2)] == list(range(rows + 2))
    # the second token's lists follow right behind those of the first
    assert times[last + 1] - times[last] <= 2
