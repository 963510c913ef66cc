"""Test stands: a block runs in Amaranth's own simulator as an ordinary function, with stalls on its streams."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest
from amaranth.hdl import ShapeCastable
from amaranth.lib.wiring import Component
from amaranth.sim import Simulator

CLOCK_PERIOD = 1e-6


def simulate(component: Component, testbench: Callable[..., Any], *, limit: int = 50_000) -> None:
    """Run a testbench to its end; one that takes more than ``limit`` cycles fails."""
    simulator = Simulator(component)
    simulator.add_clock(CLOCK_PERIOD)
    simulator.add_testbench(testbench)

    async def watchdog(ctx: Any) -> None:
        await ctx.delay(limit * CLOCK_PERIOD)
        raise AssertionError(f"no end after {limit} cycles")

    simulator.add_testbench(watchdog, background=True)
    simulator.run()


def play(component: Component, frames: Sequence[Mapping[str, Any]], samples: Sequence[str]) -> list[tuple[Any, ...]]:
    """Play inputs cycle by cycle, and sample outputs at the end of each cycle, in the order of ``samples``.

    A frame holds the inputs of one cycle by name; those that it leaves out are 0.
    """
    sampled: list[tuple[Any, ...]] = []

    async def testbench(ctx: Any) -> None:
        previous: set[str] = set()
        for frame in frames:
            for name in previous - set(frame):
                ctx.set(_as_value(getattr(component, name)), 0)
            for name, value in frame.items():
                ctx.set(getattr(component, name), value)
            previous = set(frame)
            _, _, *values = await ctx.tick().sample(*(getattr(component, name) for name in samples))
            sampled.append(tuple(values))

    simulate(component, testbench, limit=len(frames) + 1)
    return sampled


def _as_value(signal: Any) -> Any:
    return signal.as_value() if hasattr(signal, "as_value") else signal


def _pauses(random: Random, probability: float) -> Iterator[bool]:
    """An endless pattern of pauses, in runs, so that both long stalls and long bursts happen."""
    while True:
        paused = random.random() < probability
        for _ in range(random.choice((1, 1, 1, 2, 5, 20))):
            yield paused


@dataclass(frozen=True)
class Transfer:
    """A payload that was taken in ``cycle``."""

    cycle: int
    payload: Any


@dataclass
class StreamRun:
    """What happened on a block's streams.

    Attributes:
        sent: transfers into the block, by the stream's name.
        received: transfers out of it.
        watched: watched signals, a value a cycle.
        cycles: how long it took.
    """

    sent: dict[str, list[Transfer]]
    received: dict[str, list[Transfer]]
    watched: dict[str, list[int]]
    cycles: int = 0

    def payloads(self, name: str) -> list[Any]:
        return [transfer.payload for transfer in self.received[name]]


@dataclass
class _Feed:
    """Puts payloads on a stream; an offered one stays until it is taken."""

    name: str
    port: Any
    payloads: list[Any]
    pauses: Iterator[bool]
    offering: bool = False

    def offer(self, ctx: Any, sent: int) -> None:
        if not self.offering and sent < len(self.payloads) and not next(self.pauses):
            ctx.set(self.port.payload, self.payloads[sent])
            self.offering = True
        ctx.set(self.port.valid, self.offering)


@dataclass
class _Take:
    """Takes payloads from a stream, and checks that an offered one stays as it is until it is taken."""

    name: str
    port: Any
    pauses: Iterator[bool]
    refused: int | None = field(default=None)

    def check(self, valid: int, bits: int, *, taken: bool) -> None:
        if self.refused is not None:
            assert valid, f"{self.name}: offer withdrawn"
            assert bits == self.refused, f"{self.name}: payload {self.refused:#x} became {bits:#x} before it was taken"
        self.refused = bits if valid and not taken else None


def run_streams(
    component: Component,
    feeds: Mapping[str, Sequence[Any]],
    takes: Sequence[str],
    *,
    until: Callable[[StreamRun], bool],
    stall: float | Mapping[str, float] = 0.0,
    seed: int = 0,
    settings: Mapping[str, Callable[[int], int]] | None = None,
    watch: Sequence[str] = (),
    extra_cycles: int = 30,
    limit: int = 50_000,
) -> StreamRun:
    """Feed a block's input streams and take from its output streams.

    Args:
        component: the block.
        feeds: payloads by the input stream's name.
        takes: names of the output streams.
        until: the run is over, but for the extra cycles.
        stall: share of cycles in which each stream pauses, or some do by name, on our side of them.
        seed: of the pauses.
        settings: other inputs by name, as functions of the cycle.
        watch: names of signals to record.
        extra_cycles: run on so long, so that nothing superfluous goes unseen.
        limit: cycles after which the run fails.
    """

    def pauses(name: str) -> Iterator[bool]:
        probability = stall if isinstance(stall, float) else stall.get(name, 0.0)
        return _pauses(Random(f"{seed} {name}"), probability)

    inputs = [_Feed(name, getattr(component, name), list(p), pauses(name)) for name, p in feeds.items()]
    outputs = [_Take(name, getattr(component, name), pauses(name)) for name in takes]
    run = StreamRun({feed.name: [] for feed in inputs}, {take.name: [] for take in outputs}, {n: [] for n in watch})
    sampled: list[Any] = [feed.port.ready for feed in inputs]
    for take in outputs:
        sampled += [take.port.valid, _as_value(take.port.payload)]
    sampled += [getattr(component, name) for name in watch]

    async def testbench(ctx: Any) -> None:
        left = extra_cycles
        while left:
            for name, setting in (settings or {}).items():
                ctx.set(getattr(component, name), setting(run.cycles))
            for feed in inputs:
                feed.offer(ctx, len(run.sent[feed.name]))
            ready = [not next(take.pauses) for take in outputs]
            for take, value in zip(outputs, ready, strict=True):
                ctx.set(take.port.ready, value)
            _, _, *values = await ctx.tick().sample(*sampled)
            rest = iter(values)
            for feed in inputs:
                if next(rest) and feed.offering:
                    feed.offering = False
                    run.sent[feed.name].append(Transfer(run.cycles, feed.payloads[len(run.sent[feed.name])]))
            for take, is_ready in zip(outputs, ready, strict=True):
                valid, bits = next(rest), next(rest)
                take.check(valid, bits, taken=is_ready)
                if valid and is_ready:
                    run.received[take.name].append(Transfer(run.cycles, _payload(take.port, bits)))
            for name in watch:
                run.watched[name].append(next(rest))
            run.cycles += 1
            left = left - 1 if until(run) else extra_cycles

    simulate(component, testbench, limit=limit)
    return run


def _payload(port: Any, bits: int) -> Any:
    shape = port.payload.shape()
    return shape.from_bits(bits) if isinstance(shape, ShapeCastable) else bits


@pytest.fixture(scope="session", name="simulate")
def simulate_fixture() -> Callable[..., None]:
    return simulate


@pytest.fixture(scope="session", name="play")
def play_fixture() -> Callable[..., list[tuple[Any, ...]]]:
    return play


@pytest.fixture(scope="session", name="run_streams")
def run_streams_fixture() -> Callable[..., StreamRun]:
    return run_streams
