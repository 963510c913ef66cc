"""Streams that hold payloads: two in registers, some in distributed RAM, or many in block RAM."""

from amaranth.hdl import Module, Mux, Shape, ShapeLike, Signal, Value
from amaranth.lib import stream
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import Component, In, Out

from spikequant.rtl.fabric.carry import unreset
from spikequant.rtl.fabric.memory import BlockMemory
from spikequant.rtl.interfaces import Flow


class StreamQueue(Component):
    """Holds up to ``depth`` payloads, in order.

    Latency: a cycle.

    Attributes:
        i: payloads in.
        o: payloads out.
        level: how many it holds.
    """

    def __init__(self, shape: ShapeLike, *, depth: int) -> None:
        self._depth = depth
        super().__init__(
            {"i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape)), "level": Out(range(depth + 1))}
        )

    def elaborate(self, _platform: object) -> Module:
        """A queue of bits."""
        m = Module()
        m.submodules.queue = queue = SyncFIFO(width=Shape.cast(self.i.payload.shape()).width, depth=self._depth)
        m.d.comb += [
            queue.w_data.eq(self.i.payload),
            queue.w_en.eq(self.i.valid),
            self.i.ready.eq(queue.w_rdy),
            self.o.payload.eq(queue.r_data),
            self.o.valid.eq(queue.r_rdy),
            queue.r_en.eq(self.o.ready),
            self.level.eq(queue.level),
        ]
        return m


class BlockQueue(Component):
    """Holds payloads in block RAM, in order; what comes in is never refused.

    Latency: three cycles. Throughput: a payload a cycle.

    Attributes:
        i_valid, i: a payload in; only while fewer than ``depth - 1`` are inside.
        o: payloads out.
        stored: payloads in the memory a cycle ago, without those that are on their way out.
        empty: nothing is inside.
    """

    def __init__(self, shape: ShapeLike, *, depth: int, distributed: bool = False) -> None:
        if depth & (depth - 1):
            raise ValueError(f"depth: {depth} is no power of two")
        self._depth = depth
        self._distributed = distributed
        super().__init__(
            {
                "i": In(Flow(shape)),
                "o": Out(stream.Signature(shape)),
                "stored": Out(range(depth)),
                "empty": Out(1),
            }
        )

    def elaborate(self, _platform: object) -> Module:
        """A memory, and the valid bits of its two output stages."""
        m = Module()
        shape = self.o.payload.shape()
        m.submodules.memory = memory = BlockMemory(shape=shape, depth=self._depth, distributed=self._distributed)
        written, taken = (Signal(range(self._depth), name=name) for name in ("written", "taken"))
        following = Signal.like(taken, init=1)
        some, leaving, reads = Signal(), Signal(), Signal()
        m.d.comb += [
            memory.write.address.eq(written),
            memory.write.data.eq(self.i.payload),
            memory.write.enable.eq(self.i.valid),
            memory.address.eq(taken),
            memory.advance.eq(~self.o.valid | self.o.ready),
            memory.read.eq(~leaving | memory.advance),
            reads.eq(memory.read & some),
            self.o.payload.eq(memory.output),
            self.empty.eq((written == taken) & ~leaving & ~self.o.valid),
        ]
        m.d.sync += [
            # whether there is anything to read in the next cycle
            some.eq(self.i.valid | ((written != taken) & ~(reads & (written == following)))),
            self.stored.eq(written - taken),
        ]
        with m.If(self.i.valid):
            m.d.sync += written.eq(written + 1)
        with m.If(reads):
            m.d.sync += [taken.eq(following), following.eq(following + 1)]
        with m.If(memory.read):
            m.d.sync += leaving.eq(reads)
        with m.If(memory.advance):
            m.d.sync += self.o.valid.eq(leaving)
        return m


class RegisterStage(Component):
    """Holds up to two payloads, so that nothing but registers drives either side: a stage on a long way.

    Latency: a cycle. Throughput: a payload a cycle.
    """

    def __init__(self, shape: ShapeLike) -> None:
        super().__init__({"i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape))})

    def elaborate(self, _platform: object) -> Module:
        """The register on offer, and one for what comes in while it is not taken."""
        m = Module()
        payload = unreset(m, self.o.payload, "payload")
        spare = Signal.like(self.i.payload, name="spare", reset_less=True)
        waiting = Signal()
        m.d.comb += self.i.ready.eq(~waiting)
        with m.If(~self.o.valid | self.o.ready):
            m.d.sync += [self.o.valid.eq(self.i.valid | waiting), waiting.eq(0)]
            m.d.sync += payload.eq(Mux(waiting, Value.cast(spare), Value.cast(self.i.payload)))
        with m.Elif(self.i.valid):
            m.d.sync += waiting.eq(1)
        with m.If(~waiting):
            m.d.sync += spare.eq(self.i.payload)
        return m
