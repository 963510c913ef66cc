"""Scores and runs of one buffer in the order of their packets."""

from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter
from random import Random
from typing import Any

import pytest

from spikequant.rtl.hazards import SCORES_IN_THE_MAKING, BufferHazards

MOST_RUNS = 6

APART = 4
"""Cycles between two packets at least."""


@dataclass
class Packet:
    """Codes of a score that is made, or a run that is read; ``behind`` is what it was told when it came."""

    run: bool
    buffer: int
    earlier: list["Packet"]
    started: bool = False
    done: bool = False
    behind: int = 0

    @property
    def waits(self) -> bool:
        """Something of the other kind that came before it in its buffer is not done."""
        return any(not one.done for one in self.earlier if one.run != self.run and one.buffer == self.buffer)


class Traffic:
    """What reader, encoder and sequencer do with packets in order, as slowly as they like."""

    def __init__(self, random: Random, share: float) -> None:
        self._random = random
        self._packets: list[Packet] = []
        for _ in range(150):
            self._packets.append(Packet(random.random() < share, random.randrange(2), list(self._packets)))
        self._arrived = 0
        self._quiet = 0

    def _undone(self, *, run: bool) -> list[Packet]:
        return [one for one in self._packets[: self._arrived] if one.run == run and not one.done]

    @property
    def over(self) -> bool:
        return all(one.done for one in self._packets)

    def waiting(self) -> dict[str, Any]:
        """The next run."""
        return {"waiting_buffer": run.buffer, "waiting_behind": run.behind} if (run := self._next_run) else {}

    @property
    def _next_run(self) -> Packet | None:
        return next(iter(self._undone(run=True)), None)

    def come(self) -> tuple[Packet | None, dict[str, Any]]:
        """The next packet, if there is room for it: a token comes in when the one before has left the lists."""
        self._quiet += 1
        if self._arrived == len(self._packets) or self._quiet < APART or self._random.random() < 0.5:
            return None, {}
        packet = self._packets[self._arrived]
        scores = self._undone(run=False)
        in_lists = len(scores) == SCORES_IN_THE_MAKING or any(not one.started for one in scores)
        if len(self._undone(run=True)) == MOST_RUNS if packet.run else in_lists:
            return None, {}
        self._arrived += 1
        self._quiet = 0
        name = "sent" if packet.run else "begins"
        return packet, {f"{name}.active": 1, f"{name}.buffer": packet.buffer}

    def make(self, *, held: bool) -> dict[str, Any]:
        """Scores go on: the last one from its lists on, if it is not held, and the first one to its end."""
        scores = self._undone(run=False)
        if scores and not scores[-1].started and self._quiet >= APART - 1 and not held:
            assert not scores[-1].waits
            scores[-1].started = True
        if not scores or not scores[0].started or self._random.random() < 0.7:
            return {}
        scores[0].done = True
        return {"made.active": 1, "made.buffer": scores[0].buffer}

    def read(self, *, ready: bool) -> dict[str, Any]:
        """The next run, if it may."""
        run = self._next_run
        if run is None or not ready:
            return {}
        assert not run.waits
        if self._random.random() < 0.7:
            return {}
        run.done = True
        return {"read.active": 1, "read.buffer": run.buffer}


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("share", [0.3, 0.6])
def test_everything_waits_for_what_came_before_and_for_nothing_else(
    simulate: Callable[..., None], seed: int, share: float
) -> None:
    hazards = BufferHazards(most_runs=MOST_RUNS)
    traffic = Traffic(Random(seed), share)

    async def testbench(ctx: Any) -> None:
        def put(inputs: dict[str, Any]) -> None:
            for name, value in inputs.items():
                ctx.set(attrgetter(name)(hazards), value)

        for _ in range(6000):
            put(dict.fromkeys(("begins.active", "sent.active", "made.active", "read.active"), 0) | traffic.waiting())
            ready, held = bool(ctx.get(hazards.ready)), bool(ctx.get(hazards.held))
            put(traffic.make(held=held) | traffic.read(ready=ready))
            packet, comes = traffic.come()
            put(comes)
            if packet is not None:
                packet.behind = ctx.get(hazards.behind)
            await ctx.tick()
            if traffic.over:
                return
        pytest.fail("nothing goes on")

    simulate(hazards, testbench)
