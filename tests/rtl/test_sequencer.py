"""Scores become cycles: what the array's accumulators make of them is what the scores say."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikequant.golden.layer.spec import Spec
from spikequant.rtl.sequencer import Sequencer
from spikequant.rtl.shapes import Behind, Half, idle_place

Charge = Counter[tuple[int, int]]
"""By pair and row, how often its weight has been added, less how often subtracted; without zeros."""

Score = list[dict[str, Any]]
"""Beats."""


def nonzero(charge: Charge) -> dict[tuple[int, int], int]:
    return {place: count for place, count in charge.items() if count}


def plus(charge: Charge, other: Charge, times: int = 1) -> Charge:
    total = Counter(charge)
    for place, count in other.items():
        total[place] += times * count
    return total


@dataclass(frozen=True)
class Placed:
    """A run of a score, and where the score is."""

    score: Score
    buffer: int
    address: int
    run: dict[str, Any]

    def writes(self, spec: Spec) -> list[dict[str, Any]]:
        start = self.buffer * spec.score_words + self.address
        beats = self.score[: spec.score_words - self.address]
        return [{"address": start + index, "beat": beat} for index, beat in enumerate(beats)]

    def payload(self, spec: Spec) -> dict[str, Any]:
        return self.run | {"address": self.buffer * spec.score_words + self.address}


@dataclass
class Ended:
    """What a phase leaves: its charge, and what becomes of it."""

    charge: dict[tuple[int, int], int]
    phase: dict[str, int]


@dataclass
class Played:
    """What came out of the sequencer."""

    ended: list[Ended] = field(default_factory=list)
    active: list[int] = field(default_factory=list)
    done: list[int] = field(default_factory=list)
    strayed: int = 0
    cut: int = 0


def expected_of(spec: Spec, placed: Placed) -> Played:
    """A score as its documentation says: spikes, then ticks; and a phase's last tick is in its end."""
    out = Played(done=[placed.buffer])
    run = placed.run
    current: Charge = Counter()
    charge: Charge = Counter()
    started, cycles = False, 0
    beats = placed.score[: spec.score_words - placed.address]
    for number, beat in enumerate(beats):
        behind = beat["behind"]
        if number == spec.score_words - placed.address - 1 and behind != Behind.END:
            behind, out.cut = Behind.END, 1
        if not beat["double"]:
            strays = 0
            for lane, spike in enumerate(beat["spikes"]):
                row = spike["place"] + run["first_row"]
                if spike["place"] != idle_place(spec) and row <= spec.pair_rows:
                    current[lane // spec.pair_lanes, row] += -1 if spike["sign"] else 1
                elif spike["place"] != idle_place(spec):
                    strays = 1
            out.strayed += strays
        added, times = (charge, 2 ** beat["ticks"] - 1) if beat["double"] else (current, beat["ticks"])
        charge = plus(charge, added, times)
        # the first doubling shares the cycle of its beat, and the last tick that of the next beat
        alone = behind == Behind.NEXT and beat["ticks"] > 0
        cycles += 1 + beat["ticks"] - bool(alone or beat["double"])
        if behind == Behind.DOUBLE:
            current = Counter()
        if behind in (Behind.END, Behind.SHIFTED):
            shifted = behind == Behind.SHIFTED
            shift = (spec.weight_bits if run["half"] == Half.HIGH else 0) + (run["shift"] if shifted else 0)
            phase = {
                "slot": run["slot"],
                "shift": shift,
                "first": int(run["first"] and not started),
                "last": int(run["last"] and not shifted),
                "low": int(run["half"] == Half.LOW),
            }
            out.ended.append(Ended(nonzero(plus(charge, current)), phase))
            current, charge, started = Counter(), Counter(), True
            cycles += 1
        if behind == Behind.END:
            break
    out.active = [1] * cycles
    return out


@dataclass
class Accumulators:
    """The array's part: what its steps say, by name."""

    spec: Spec
    current: Charge = field(default_factory=Counter)
    charge: Charge = field(default_factory=Counter)
    finished: list[dict[tuple[int, int], int]] = field(default_factory=list)

    def act(self, cycle: Any) -> None:
        step = cycle.step
        spikes: Charge = Counter()
        for lane in range(self.spec.lanes):
            if cycle.fire >> lane & 1:
                assert 1 <= cycle.row[lane] <= self.spec.pair_rows
                spikes[lane // self.spec.pair_lanes, cycle.row[lane]] += -1 if cycle.sign >> lane & 1 else 1
            else:
                assert (cycle.row[lane], cycle.sign >> lane & 1) == (0, 0)
        assert step.as_bits() or not cycle.fire
        assert step.keep_current or not cycle.fire
        assert step.keep_charge or not step.double
        if step.keep_charge:
            self.charge = plus(self.charge, self.charge if step.double else self.current)
        if step.keep_current:
            self.current = plus(self.current, spikes)
        if step.clear:
            self.current = Counter()
        if step.finish:
            assert step.keep_charge
            assert not step.double
            self.finished.append(nonzero(self.charge))
            self.charge = Counter()


@pytest.fixture(scope="session")
def rtl_runs(simulate: Callable[..., None]) -> Callable[..., Played]:
    """Store the scores, then run them, with pauses between runs and neurons that are busy behind every phase."""

    def run(
        spec: Spec, placed: list[Placed], *, stall: float = 0.0, busy: int = 0, extra: int = 40, seed: int = 0
    ) -> Played:
        sequencer = Sequencer(spec)
        random = Random(seed)
        out = Played()
        array = Accumulators(spec)
        phases: list[dict[str, int]] = []

        async def testbench(ctx: Any) -> None:
            ctx.set(sequencer.write.enable, 1)
            for write in (write for one in placed for write in one.writes(spec)):
                ctx.set(sequencer.write.data, write)
                await ctx.tick()
            ctx.set(sequencer.write.enable, 0)
            assert ctx.get(sequencer.idle)
            todo, left, wait, offering = list(placed), extra, 0, False
            while left:
                # a run that is offered is offered until it is taken
                offering = offering or (bool(todo) and random.random() >= stall)
                ctx.set(sequencer.runs.valid, offering)
                if offering:
                    ctx.set(sequencer.runs.payload, todo[0].payload(spec))
                ctx.set(sequencer.neurons_busy, wait > 0)
                wait = max(0, wait - 1)
                _, _, ready, cycle, ended, phase, done, buffer, idle, strayed, cut = await ctx.tick().sample(
                    *(sequencer.runs.ready, sequencer.cycle, sequencer.ended, sequencer.phase),
                    *(sequencer.done.active, sequencer.done.buffer, sequencer.idle, sequencer.strayed, sequencer.cut),
                )
                array.act(cycle)
                out.active.append(int(cycle.step.as_bits() != 0))
                if ended:
                    assert ctx.get(sequencer.neurons_busy) == 0
                    phases.append({name: getattr(phase, name) for name in ("slot", "shift", "first", "last", "low")})
                    wait = random.randint(0, busy)
                out.done += [buffer] * done
                out.strayed += strayed
                out.cut += cut
                if offering and ready:
                    todo.pop(0)
                    offering = False
                complete = not todo and len(out.done) == len(placed) and bool(idle)
                left = left - 1 if complete else extra

        simulate(sequencer, testbench)
        out.ended = [Ended(*pair) for pair in zip(array.finished, phases, strict=True)]
        return out

    return run


def check(spec: Spec, placed: list[Placed], played: Played) -> None:
    expected = [expected_of(spec, one) for one in placed]
    assert played.ended == [ended for one in expected for ended in one.ended]
    assert played.done == [one.buffer for one in placed]
    assert sum(played.active) == sum(sum(one.active) for one in expected)
    assert played.strayed == sum(one.strayed for one in expected)
    assert played.cut == sum(one.cut for one in expected)


def spikes_of(spec: Spec, random: Random, rows: int) -> list[dict[str, int]]:
    idle = {"place": idle_place(spec), "sign": 0}
    return [
        {"place": random.randrange(rows), "sign": random.randrange(2)} if random.random() < 0.7 else idle
        for _ in range(spec.lanes)
    ]


def random_score(spec: Spec, random: Random, *, rows: int, beats: int = 6) -> Score:
    """A score of one or two phases, or of one with doublings in it."""

    def phase(behind: Behind) -> Score:
        score = [
            {
                "spikes": spikes_of(spec, random, rows),
                "double": 0,
                "ticks": random.choice((0, 0, 1, 2, random.randint(0, spec.ramp))),
                "behind": Behind.NEXT,
            }
            for _ in range(random.randint(1, beats))
        ]
        score[-1]["behind"] = behind
        if behind == Behind.DOUBLE:
            score[-1]["ticks"] = random.choice((1, spec.ramp))
        return score

    kind = random.choice((Behind.NEXT, Behind.SHIFTED, Behind.DOUBLE))
    score = phase(kind) if kind != Behind.NEXT else []
    if kind == Behind.DOUBLE:
        nothing = [{"place": idle_place(spec), "sign": 0}] * spec.lanes
        score += [
            {"spikes": nothing, "double": 1, "ticks": random.choice((1, 2)), "behind": Behind.NEXT}
            for _ in range(random.randint(1, 4))
        ]
    return score + phase(Behind.END)


def random_run(spec: Spec, random: Random, *, first_row: int) -> dict[str, Any]:
    return {
        "first_row": first_row,
        "first": random.randrange(2),
        "last": random.randrange(2),
        "half": random.choice(list(Half)),
        "shift": random.randint(0, spec.max_salient_shift),
        "slot": random.randrange(spec.membrane_slots),
    }


def side_by_side(spec: Spec, random: Random, *, runs: int, beats: int = 6) -> list[Placed]:
    """Scores behind each other in both buffers, some of them run more than once."""
    placed: list[Placed] = []
    free = [0, 0]
    while len(placed) < runs:
        first_row = random.randint(1, spec.pair_rows)
        # some spikes lie beyond the memory
        rows = spec.pair_rows if random.random() < 0.2 else spec.pair_rows - first_row + 1
        score, buffer = random_score(spec, random, rows=rows, beats=beats), random.randrange(2)
        if free[buffer] + len(score) > spec.score_words:
            return placed
        for _ in range(random.choice((1, 1, 2))):
            placed.append(Placed(score, buffer, free[buffer], random_run(spec, random, first_row=first_row)))
        free[buffer] += len(score)
    return placed


@st.composite
def specs(draw: st.DrawFn) -> Spec:
    lanes = draw(st.sampled_from([1, 2, 4, 8]))
    return Spec(
        neurons=8,
        lanes=lanes,
        depth=lanes * draw(st.integers(2, 9)),
        weight_bits=draw(st.sampled_from([4, 8])),
        max_salient_shift=draw(st.integers(0, 15)),
        membrane_slots=draw(st.sampled_from([1, 3, 256])),
        ramp=draw(st.sampled_from([4, 8, 16])),
        score_words=64,
    )


@settings(max_examples=25)
@given(
    spec=specs(), stall=st.sampled_from([0.0, 0.5, 0.95]), busy=st.sampled_from([0, 3, 30]), seed=st.integers(0, 999)
)
def test_any_scores(rtl_runs: Callable[..., Played], spec: Spec, stall: float, busy: int, seed: int) -> None:
    placed = side_by_side(spec, Random(seed), runs=12)
    check(spec, placed, rtl_runs(spec, placed, stall=stall, busy=busy, seed=seed))


SMALL = Spec(neurons=8, lanes=2, depth=32, score_words=64, membrane_slots=3)


@pytest.mark.parametrize(
    ("ticks", "gap"), [([1], 0), ([8] + [0] * 14, 0), ([2, 0, 0], 0)], ids=["alike", "in front", "now and then"]
)
def test_runs_follow_each_other_closely(rtl_runs: Callable[..., Played], ticks: list[int], gap: int) -> None:
    random = Random(1)
    score = [
        {"spikes": spikes_of(SMALL, random, 16), "double": 0, "ticks": ticks[index % len(ticks)], "behind": Behind.NEXT}
        for index in range(30)
    ]
    score[-1]["behind"] = Behind.END
    placed = [Placed(score, buffer, 0, random_run(SMALL, random, first_row=1)) for buffer in (0, 1, 1, 0)]
    played = rtl_runs(SMALL, placed)
    check(SMALL, placed, played)
    one = sum(played.active) // len(placed)
    first = played.active.index(1)
    assert played.active[first:] == ([1] * one + [0] * gap) * len(placed) + [0] * (
        len(played.active) - first - (one + gap) * len(placed)
    )


@pytest.mark.parametrize("behind", [Behind.NEXT, Behind.SHIFTED, Behind.DOUBLE])
@pytest.mark.parametrize(("address", "beats"), [(0, 64), (63, 1), (60, 4), (60, 9)])
def test_a_run_ends_with_its_buffer(rtl_runs: Callable[..., Played], behind: Behind, address: int, beats: int) -> None:
    random = Random(beats)
    score = [
        {"spikes": spikes_of(SMALL, random, 32), "double": 0, "ticks": 1, "behind": Behind.NEXT} for _ in range(beats)
    ]
    score[-1]["behind"] = behind
    good = Placed(random_score(SMALL, random, rows=32), 1, 0, random_run(SMALL, random, first_row=1))
    placed = [Placed(score, 0, address, random_run(SMALL, random, first_row=1)), good]
    played = rtl_runs(SMALL, placed)
    check(SMALL, placed, played)
    assert played.cut == 1


def test_a_score_may_end_with_its_buffer(rtl_runs: Callable[..., Played]) -> None:
    random = Random(4)
    score = random_score(SMALL, random, rows=32)
    placed = [Placed(score, buffer, 64 - len(score), random_run(SMALL, random, first_row=1)) for buffer in (0, 1, 0)]
    played = rtl_runs(SMALL, placed)
    check(SMALL, placed, played)
    assert played.cut == 0


@pytest.mark.parametrize("first_row", [1, 2, 16, 31, 32])
def test_spikes_beyond_the_memory_are_dropped(rtl_runs: Callable[..., Played], first_row: int) -> None:
    score = [
        {"spikes": [{"place": place, "sign": 0}, {"place": 31 - place, "sign": 1}], "double": 0}
        | {"ticks": 1, "behind": Behind.NEXT if place < 31 else Behind.END}
        for place in range(32)
    ]
    placed = [Placed(score, 0, 0, random_run(SMALL, Random(1), first_row=first_row))]
    played = rtl_runs(SMALL, placed)
    check(SMALL, placed, played)
    assert (played.strayed > 0) == (first_row > 1)
