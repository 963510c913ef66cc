"""Streams that hold payloads: some in distributed RAM, or many in block RAM."""

from amaranth.hdl import Module, Shape, ShapeLike, Signal
from amaranth.lib import stream
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import Component, In, Out

from rtl.memory import BlockMemory


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

    Latency: five cycles. Throughput: a payload in each cycle, one out every second.

    Attributes:
        i_valid, i: a payload in; only while fewer than ``depth - 1`` are inside.
        o: payloads out.
        stored: payloads in the memory two cycles ago, without those that are on their way out.
        empty: nothing is inside.
    """

    def __init__(self, shape: ShapeLike, *, depth: int) -> None:
        if depth & (depth - 1):
            raise ValueError(f"depth: {depth} is no power of two")
        self._depth = depth
        super().__init__(
            {
                "i_valid": In(1),
                "i": In(shape),
                "o": Out(stream.Signature(shape)),
                "stored": Out(range(depth)),
                "empty": Out(1),
            }
        )

    def elaborate(self, _platform: object) -> Module:
        """A memory, and the valid bits of its two output stages."""
        m = Module()
        m.submodules.memory = memory = BlockMemory(shape=self.o.payload.shape(), depth=self._depth)
        written, taken = (Signal(range(self._depth), name=name) for name in ("written", "taken"))
        some, left, leaving, reads = Signal(), Signal(), Signal(), Signal()
        m.d.comb += [
            memory.write_address.eq(written),
            memory.write_data.eq(self.i),
            memory.write_enable.eq(self.i_valid),
            memory.address.eq(taken),
            memory.advance.eq(~self.o.valid | self.o.ready),
            memory.read.eq(~leaving | memory.advance),
            # after a read, it takes a cycle to know whether there is more
            reads.eq(memory.read & some & ~left),
            self.o.payload.eq(memory.output),
            self.empty.eq((written == taken) & ~leaving & ~self.o.valid),
        ]
        m.d.sync += [some.eq(written != taken), left.eq(reads), self.stored.eq(written - taken)]
        with m.If(self.i_valid):
            m.d.sync += written.eq(written + 1)
        with m.If(reads):
            m.d.sync += taken.eq(taken + 1)
        with m.If(memory.read):
            m.d.sync += leaving.eq(reads)
        with m.If(memory.advance):
            m.d.sync += self.o.valid.eq(leaving)
        return m
