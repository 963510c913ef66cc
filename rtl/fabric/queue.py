"""Queues between streams: two payloads in registers, some in distributed RAM, or many in block RAM."""

from amaranth.hdl import Module, Mux, Shape, ShapeLike, Signal, Value
from amaranth.lib import stream
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import Component, In, Out

from spikequant.rtl.fabric.memory import BlockMemory
from spikequant.rtl.fabric.registers import unreset
from spikequant.rtl.interfaces import Flow


class StreamQueue(Component):
    """A queue of up to ``depth`` payloads in distributed RAM.

    Latency: one cycle. Throughput: a payload a cycle. Handshake: streams.

    Attributes:
        i: payloads in.
        o: payloads out.
        level: number of payloads inside.
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
    """A queue of payloads in block RAM.

    Latency: three cycles. Throughput: a payload a cycle.
    Handshake: ``o`` is a stream; payloads that come in are never refused.

    Attributes:
        i: payloads in; only while fewer than ``depth - 1`` are inside.
        o: payloads out.
        stored: payloads in the memory one cycle ago, without those in the output stages.
        empty: nothing is inside.
    """

    def __init__(self, shape: ShapeLike, *, depth: int, distributed: bool = False) -> None:
        if depth & (depth - 1):
            raise ValueError(f"depth: {depth}, expected a power of two")
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
        some = Signal()
        leaving = Signal()
        reads = Signal()
        m.d.comb += [
            memory.write.address.eq(written),
            memory.write.data.eq(self.i.value),
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
    """A queue of two payloads whose outputs on both sides are registers, for a long path.

    Latency: one cycle. Throughput: a payload a cycle. Handshake: streams.
    """

    def __init__(self, shape: ShapeLike) -> None:
        super().__init__({"i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape))})

    def elaborate(self, _platform: object) -> Module:
        """An output register, and a spare one for a payload that comes in while the output is not taken."""
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
