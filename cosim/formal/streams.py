"""Properties of streams: by AXI4-Stream's rules, a payload stays valid and unchanged until it is accepted."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from amaranth.hdl import Cat, Fragment, Module, Mux, Signal, Value, ValueLike

from spikequant.cosim.formal.circuit import around
from spikequant.cosim.formal.harness import (
    Harness,
    anything,
    before,
    check,
    in_state,
    inner,
    is_some_state,
    suppose,
    total,
)
from spikequant.cosim.formal.property import Induction, Property, Reachable
from spikequant.golden.layer.spec import PRESETS, WORD_BITS, Spec
from spikequant.rtl.accelerator import Accelerator
from spikequant.rtl.fabric.queue import BlockQueue, RegisterStage, StreamQueue
from spikequant.rtl.reader import PacketReader
from spikequant.rtl.writer import PacketWriter

TINY = PRESETS["tiny"]
TWO_CLUSTERS = Spec(neurons=16, clusters=2, lanes=2, depth=64, membrane_slots=2, score_words=64)


def waits(m: Module, valid: ValueLike, ready: ValueLike, payload: ValueLike, name: str) -> Value:
    """Return whether a stream follows the rules: a payload that was not accepted is offered again."""
    held = before(m, Value.cast(valid) & ~Value.cast(ready), f"{name}_held")
    offered = before(m, payload, f"{name}_offered")
    return ~held | (Value.cast(valid) & (offered == Value.cast(payload)))


def feed(m: Module, stream: Any, name: str) -> None:
    """Offer any payload at any time on an input stream, by the rules."""
    m.d.comb += [
        stream.valid.eq(anything(m, 1, f"{name}_valid")),
        Value.cast(stream.payload).eq(anything(m, len(Value.cast(stream.payload)), f"{name}_payload")),
    ]
    suppose(m, waits(m, stream.valid, stream.ready, stream.payload, name))


def drain(m: Module, stream: Any, name: str) -> None:
    """Accept payloads of an output stream at any time, and check the rules."""
    m.d.comb += stream.ready.eq(anything(m, 1, f"{name}_ready"))
    check(m, waits(m, stream.valid, stream.ready, stream.payload, name), f"{name} holds until it is accepted")


class OneStream(Harness):
    """A component with one input and one output stream."""

    def __init__(self, component: Callable[[], Any]) -> None:
        self._component = component

    def describe(self, m: Module) -> None:
        """Offer and accept payloads at any time."""
        component = self._component()
        m.submodules.component = fragment = Fragment.get(component, None)
        feed(m, component.i, "i")
        drain(m, component.o, "o")
        self.invariants(m, component, fragment)

    def invariants(self, m: Module, component: Any, fragment: Fragment) -> None:
        """Add invariants of the component's registers."""


class Queue(OneStream):
    """A queue with consistent counters."""

    def __init__(self, depth: int) -> None:
        self._depth = depth
        super().__init__(lambda: StreamQueue(4, depth=depth))

    def invariants(self, m: Module, _component: Any, fragment: Fragment) -> None:
        """Check that the distance from read to write position is the number of payloads."""
        level, produce, consume = (inner(fragment, f"queue.{name}") for name in ("level", "produce", "consume"))
        ahead = consume + level
        wrapped = Mux(ahead >= self._depth, ahead - self._depth, ahead)
        check(m, (level <= self._depth) & (consume < self._depth) & (produce == wrapped), "the counters agree")


class InOrder(OneStream):
    """A component that keeps the order of payloads; any one of them is followed until it leaves."""

    def invariants(self, m: Module, component: Any, _fragment: Fragment) -> None:
        """Compare the followed payload with the one that leaves after all that were ahead of it."""
        enters = component.i.valid & component.i.ready
        leaves = component.o.valid & component.o.ready
        inside, ahead = (Signal(3, name=name) for name in ("inside", "ahead"))
        following = Signal()
        payload = Signal.like(component.i.payload)
        m.d.sync += inside.eq(inside + enters - leaves)
        with m.If(leaves):
            m.d.sync += [ahead.eq(ahead - 1), following.eq(following & ahead.any())]
        with m.If(enters & ~following & anything(m, 1, "follow")):
            m.d.sync += [following.eq(1), payload.eq(component.i.payload), ahead.eq(inside - leaves)]
        check(m, ~component.o.valid | inside.any(), "nothing leaves that has not entered")
        arrives = component.o.valid & following & ~ahead.any()
        check(m, ~arrives | (component.o.payload == payload), "payloads keep their order")


class OneBlockQueue(Harness):
    """A queue in block RAM, whose user must leave room."""

    def describe(self, m: Module) -> None:
        """Write any payload at any time: the rules must hold even without room."""
        m.submodules.component = queue = BlockQueue(4, depth=8)
        m.d.comb += [queue.i.valid.eq(anything(m, 1, "i_valid")), queue.i.value.eq(anything(m, 4, "i"))]
        drain(m, queue.o, "o")


def reader_states(m: Module, reader: PacketReader, fragment: Fragment) -> None:
    """Check that a reader's registers agree with its state."""
    waits_now = total(in_state(fragment, name) for name in ("weights waits", "neurons waits", "run waits"))
    codes = in_state(fragment, "codes")
    check(m, inner(fragment, "takes") == ~(waits_now.any() | codes), "a register shows which state takes every word")
    check(m, inner(fragment, "delivers") == codes, "a register shows which state takes codes")
    check(m, ~in_state(fragment, "run") | ~reader.runs.valid, "the previous run is gone")
    check(m, is_some_state(fragment), "there is such a state")


class Reader(Harness):
    """A packet reader with arbitrary surroundings."""

    def describe(self, m: Module) -> None:
        """Check both of its output streams."""
        reader = PacketReader(TINY)
        m.submodules.component = fragment = Fragment.get(reader, None)
        feed(m, reader.i, "i")
        for name in ("idle", "sorting", "sorting_buffer"):
            m.d.comb += getattr(reader, name).eq(anything(m, 1, name))
        drain(m, reader.codes, "codes")
        drain(m, reader.runs, "runs")
        reader_states(m, reader, fragment)


class Writer(Harness):
    """A packet writer with words of every cluster."""

    def describe(self, m: Module) -> None:
        """Change totals at any time."""
        m.submodules.component = writer = PacketWriter(TWO_CLUSTERS)
        feed(m, writer.packets, "packets")
        for number, words in enumerate(writer.words):
            feed(m, words, f"words_{number}")
        for name in ("beats", "spikes", "malformed"):
            port = getattr(writer, name)
            m.d.comb += port.eq(anything(m, len(port), name))
        drain(m, writer.o, "o")


class Whole(Harness):
    """The accelerator between its two streams."""

    def describe(self, m: Module) -> None:
        """Assume the rules at the input, and check them at the output."""
        m.submodules.component = device = Accelerator(TINY)
        offered = Cat(device.s_axis_tdata, device.s_axis_tlast)
        m.d.comb += [
            device.s_axis_tvalid.eq(anything(m, 1, "tvalid")),
            device.s_axis_tdata.eq(anything(m, WORD_BITS, "tdata")),
            device.s_axis_tlast.eq(anything(m, 1, "tlast")),
            device.m_axis_tready.eq(anything(m, 1, "tready")),
        ]
        suppose(m, waits(m, device.s_axis_tvalid, device.s_axis_tready, offered, "s_axis"))
        given = Cat(device.m_axis_tdata, device.m_axis_tlast)
        check(m, waits(m, device.m_axis_tvalid, device.m_axis_tready, given, "m_axis"), "m_axis holds until accepted")


def properties() -> Iterator[Property]:
    """Return properties of the accelerator's streams, and of those inside it."""

    def rules(name: str, component: str, harness: Callable[[], Harness], k: int) -> Property:
        return Property(
            name=f"stream.{name}",
            component=component,
            specification="valid and payload hold until ready",
            method=Induction(k),
            circuit=partial(around, harness),
        )

    yield rules("register-stage", "RegisterStage", partial(OneStream, partial(RegisterStage, 4)), 8)
    for depth in (4, 5):
        yield rules(f"queue-{depth}", f"StreamQueue of {depth}", partial(Queue, depth), 8)
    yield rules("block-queue", "BlockQueue of 8", OneBlockQueue, 10)
    for name, component in (("register-stage", partial(RegisterStage, 4)), ("queue", partial(StreamQueue, 4, depth=3))):
        yield Property(
            name=f"stream.order.{name}",
            component="RegisterStage" if name == "register-stage" else "StreamQueue of 3",
            specification="payloads keep their order, without loss and duplication",
            method=Reachable(),
            circuit=partial(around, partial(InOrder, component)),
            solver="abc",
        )
    yield rules("reader", "PacketReader, tiny: codes and runs", Reader, 10)
    yield rules("writer", "PacketWriter, 2 x 8 neurons", Writer, 6)
    yield rules("accelerator", "Accelerator, tiny: m_axis", Whole, 2)
