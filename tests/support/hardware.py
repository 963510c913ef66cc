"""Test stands: a block runs in Amaranth's own simulator as an ordinary function, with stalls on its streams."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from random import Random
from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Module, ResetInserter, ShapeCastable
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out
from amaranth.sim import Simulator

from spikequant.rtl.driver.packets import Words
from spikequant.rtl.shapes import PacketWord

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
                ctx.set(_as_value(attrgetter(name)(component)), 0)
            for name, value in frame.items():
                ctx.set(attrgetter(name)(component), value)
            previous = set(frame)
            _, _, *values = await ctx.tick().sample(*(attrgetter(name)(component) for name in samples))
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

    def packets(self, name: str) -> list[Words]:
        """Those that a stream of words has brought."""
        return PacketStreams.packets(self.payloads(name))


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

    inputs = [_Feed(name, attrgetter(name)(component), list(p), pauses(name)) for name, p in feeds.items()]
    outputs = [_Take(name, attrgetter(name)(component), pauses(name)) for name in takes]
    run = StreamRun({feed.name: [] for feed in inputs}, {take.name: [] for take in outputs}, {n: [] for n in watch})
    sampled: list[Any] = [feed.port.ready for feed in inputs]
    for take in outputs:
        sampled += [take.port.valid, _as_value(take.port.payload)]
    sampled += [attrgetter(name)(component) for name in watch]

    async def testbench(ctx: Any) -> None:
        left = extra_cycles
        while left:
            for name, setting in (settings or {}).items():
                ctx.set(attrgetter(name)(component), setting(run.cycles))
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


class PacketStreams(Component):
    """An accelerator with its AXI4-Streams as Amaranth's streams, and a reset of its own."""

    def __init__(self, accelerator: Any) -> None:
        self._accelerator = accelerator
        super().__init__(
            {
                "i": In(stream.Signature(PacketWord)),
                "o": Out(stream.Signature(PacketWord)),
                "busy": Out(1),
                "reset": In(1),
            }
        )

    def elaborate(self, _platform: object) -> Module:
        m = Module()
        accelerator = self._accelerator
        m.submodules.accelerator = ResetInserter(self.reset)(accelerator)
        m.d.comb += [
            accelerator.s_axis_tdata.eq(self.i.payload.data),
            accelerator.s_axis_tlast.eq(self.i.payload.last),
            accelerator.s_axis_tvalid.eq(self.i.valid),
            self.i.ready.eq(accelerator.s_axis_tready),
            self.o.payload.data.eq(accelerator.m_axis_tdata),
            self.o.payload.last.eq(accelerator.m_axis_tlast),
            self.o.valid.eq(accelerator.m_axis_tvalid),
            accelerator.m_axis_tready.eq(self.o.ready),
            self.busy.eq(accelerator.busy),
        ]
        return m

    @staticmethod
    def words(packets: Sequence[Words]) -> list[dict[str, int]]:
        return [
            {"data": int(word), "last": index == len(packet) - 1}
            for packet in packets
            for index, word in enumerate(packet)
        ]

    @staticmethod
    def packets(words: Sequence[Any]) -> list[Words]:
        ends = [index + 1 for index, word in enumerate(words) if word.last]
        data = np.array([word.data for word in words], np.uint32)
        return np.split(data, ends)[:-1]


def play_packets(accelerator: Component, packets: Sequence[Words], *, results: int, **others: Any) -> StreamRun:
    """Play packets; the run ends when all words are in, ``results`` packets are out, and nothing is busy."""
    words = PacketStreams.words(packets)

    def over(run: StreamRun) -> bool:
        out = sum(word.payload.last for word in run.received["o"])
        return len(run.sent["i"]) == len(words) and out >= results and not run.watched["busy"][-1]

    return run_streams(PacketStreams(accelerator), {"i": words}, ["o"], until=over, watch=["busy"], **others)


def play_after_resets(
    accelerator: Component, before: Sequence[Words], packets: Sequence[Words], *, results: int, resets: Iterable[int]
) -> list[list[Words]]:
    """Packets that come out of one accelerator after each of several resets of one cycle.

    Args:
        accelerator: to play with.
        before: packets that a reset interrupts.
        packets: packets that are played after the reset.
        results: RESULT packets to wait for.
        resets: cycles of ``before`` until each reset.
    """
    dut = PacketStreams(accelerator)
    outputs = []

    async def play_some(ctx: Any, packets: Sequence[Words], *, cycles: int | None, results: int | None) -> list[Any]:
        words = PacketStreams.words(packets)
        sent, received, cycle = 0, [], 0
        ctx.set(dut.o.ready, 1)
        while cycle != cycles and sum(word.last for word in received) != results:
            ctx.set(dut.i.valid, sent < len(words))
            if sent < len(words):
                ctx.set(dut.i.payload, words[sent])
            _, _, ready, valid, word = await ctx.tick().sample(dut.i.ready, dut.o.valid, dut.o.payload)
            sent += ready
            received += [word] * valid
            cycle += 1
        return received

    async def testbench(ctx: Any) -> None:
        for cycles in resets:
            await play_some(ctx, before, cycles=cycles, results=None)
            ctx.set(dut.i.valid, 0)
            ctx.set(dut.reset, 1)
            await ctx.tick()
            ctx.set(dut.reset, 0)
            outputs.append(PacketStreams.packets(await play_some(ctx, packets, cycles=None, results=results)))

    simulate(dut, testbench)
    return outputs


@pytest.fixture(scope="session", name="packet_streams")
def packet_streams_fixture() -> type[PacketStreams]:
    return PacketStreams


@pytest.fixture(scope="session", name="play_packets")
def play_packets_fixture() -> Callable[..., StreamRun]:
    return play_packets


@pytest.fixture(scope="session", name="play_after_resets")
def play_after_resets_fixture() -> Callable[..., list[list[Words]]]:
    return play_after_resets


@pytest.fixture(scope="session", name="simulate")
def simulate_fixture() -> Callable[..., None]:
    return simulate


@pytest.fixture(scope="session", name="play")
def play_fixture() -> Callable[..., list[tuple[Any, ...]]]:
    return play


@pytest.fixture(scope="session", name="run_streams")
def run_streams_fixture() -> Callable[..., StreamRun]:
    return run_streams
