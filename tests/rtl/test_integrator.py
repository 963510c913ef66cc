"""An integrator against the sum of its weights times their levels."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from random import Random
from typing import Any

import pytest

from golden.spec import Spec
from rtl.integrator import Integrator


@dataclass(frozen=True)
class Beat:
    """Signed spikes by lane, each a stored weight and its sign; and whether the beat ticks, or ends the phase."""

    spikes: dict[int, tuple[int, int]]
    tick: bool = False
    end: bool = False


END = Beat({}, end=True)


def frame(spec: Spec, beat: Beat, random: Random) -> dict[str, Any]:
    # weights and signs of lanes that do not fire are noise
    weights = [random.randint(0, spec.max_weight_code) for _ in range(spec.lanes)]
    signs = random.getrandbits(spec.lanes)
    fire = 0
    for lane, (code, sign) in beat.spikes.items():
        weights[lane] = code
        fire |= 1 << lane
        signs = signs & ~(1 << lane) | (sign < 0) << lane
    return {"weights": weights, "fire": fire, "sign": signs, "tick": beat.tick, "end": beat.end}


def charges(spec: Spec, beats: list[Beat]) -> list[int]:
    """The charge of each phase: a current that gathers spikes, added to the charge by ticks."""
    found = []
    current = charge = 0
    for beat in beats:
        current += sum(sign * (code - spec.weight_offset) for code, sign in beat.spikes.values())
        charge += current if beat.tick else 0
        if beat.end:
            found.append(charge)
            current = charge = 0
    return found


@pytest.fixture(scope="session")
def rtl_integrate(play: Callable[..., Any]) -> Callable[..., list[int]]:
    """Beats, one a cycle without a gap; the snapshots behind each ``loaded``."""

    def run(spec: Spec, beats: list[Beat], *, seed: int = 0) -> list[int]:
        random = Random(seed)
        frames = [frame(spec, beat, random) for beat in beats] + [frame(spec, Beat({}), random)] * 6
        sampled = play(Integrator(spec), frames, ["loaded", "snapshot"])
        return [snapshot for (loaded, _), (_, snapshot) in pairwise(sampled) if loaded]

    return run


def random_beats(spec: Spec, random: Random, *, phases: int) -> list[Beat]:
    beats = []
    for _ in range(phases):
        for _ in range(random.randint(0, 12)):
            lanes = random.sample(range(spec.lanes), random.randint(0, spec.lanes))
            spikes = {lane: (random.randint(0, spec.max_weight_code), random.choice((-1, 1))) for lane in lanes}
            beats.append(Beat(spikes, tick=random.random() < 0.7))
        beats.append(END)
    return beats


@pytest.mark.parametrize("weight_bits", [2, 4, 8])
@pytest.mark.parametrize("lanes", [1, 2, 8])
def test_charges_of_random_phases(rtl_integrate: Callable[..., Any], weight_bits: int, lanes: int) -> None:
    spec = Spec(neurons=16, lanes=lanes, depth=128, weight_bits=weight_bits)
    beats = random_beats(spec, Random(lanes), phases=30)
    assert rtl_integrate(spec, beats) == charges(spec, beats)


@pytest.mark.parametrize(("code", "sign"), [(0, 1), (0, -1), (15, 1), (15, -1)])
@pytest.mark.parametrize(("lanes", "depth"), [(1, 2), (4, 16), (16, 48)])
def test_nothing_overflows_at_the_bounds(
    rtl_integrate: Callable[..., Any], code: int, sign: int, lanes: int, depth: int
) -> None:
    # every input at the largest level, with the largest weight of either sign
    spec = Spec(neurons=8, lanes=lanes, depth=depth, salient_bits=7)
    spikes = Beat(dict.fromkeys(range(lanes), (code, sign)))
    phase = [spikes] * spec.rows + [Beat({}, tick=True)] * spec.max_level + [END]
    expected = sign * (code - 8) * depth * 127
    assert rtl_integrate(spec, phase * 2) == [expected] * 2
    assert -(2 ** (spec.charge_bits - 1)) <= expected < 2 ** (spec.charge_bits - 1)


def test_a_spike_on_the_tick_counts_at_once_and_one_behind_it_does_not(rtl_integrate: Callable[..., Any]) -> None:
    spec = Spec(neurons=8, lanes=1, depth=8)
    spike = {0: (11, 1)}
    assert rtl_integrate(spec, [Beat(spike, tick=True), END, Beat({}, tick=True), Beat(spike), END]) == [3, 0]


def test_snapshots_shift_along_the_chain(play: Callable[..., Any]) -> None:
    spec = Spec(neurons=8, lanes=1, depth=8)
    random = Random(0)
    beats = [Beat({0: (15, 1)}, tick=True), END, *[Beat({})] * 8]
    frames = [frame(spec, beat, random) | {"chain": -5} for beat in beats]
    frames[6] |= {"shift": 1, "chain": -123}
    sampled = play(Integrator(spec), frames, ["loaded", "snapshot"])
    assert [loaded for loaded, _ in sampled] == [0, 0, 0, 1] + [0] * 6
    assert [snapshot for _, snapshot in sampled[4:]] == [7] * 3 + [-123] * 3
