"""A queue in distributed RAM with a registered ``valid``."""

from amaranth.hdl import Module, Shape, ShapeLike, Signal, unsigned
from amaranth.lib import stream
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Component, In, Out

from spikequant.rtl.interfaces import Flow


class RowQueue(Component):
    """A queue of payloads in distributed RAM; ``o.valid`` is a register, for a long path.

    Latency: one cycle. Throughput: a payload a cycle.
    Handshake: ``o`` is a stream; payloads that come in are never refused.

    Args:
        shape: shape of a payload.
        depth: most payloads inside, a power of two.

    Attributes:
        i: payloads in; only while fewer than ``depth`` are inside.
        o: payloads out.
    """

    def __init__(self, shape: ShapeLike, *, depth: int) -> None:
        self._depth = depth
        super().__init__({"i": In(Flow(shape)), "o": Out(stream.Signature(shape))})

    def elaborate(self, _platform: object) -> Module:
        """Two pointers, and a count that is compared one cycle ahead."""
        m = Module()
        bits = Shape.cast(self.o.payload.shape()).width
        m.submodules.rows = rows = Memory(shape=unsigned(bits), depth=self._depth, init=[])
        write, read = rows.write_port(), rows.read_port(domain="comb")
        inside = Signal(range(self._depth + 1))
        leaves = Signal()
        m.d.comb += [
            write.data.eq(self.i.value),
            write.en.eq(self.i.valid),
            self.o.payload.eq(read.data),
            leaves.eq(self.o.valid & self.o.ready),
        ]
        m.d.sync += [write.addr.eq(write.addr + self.i.valid), read.addr.eq(read.addr + leaves)]
        with m.If(self.i.valid & ~leaves):
            m.d.sync += inside.eq(inside + 1)
        with m.If(~self.i.valid & leaves):
            m.d.sync += inside.eq(inside - 1)
        m.d.sync += self.o.valid.eq(self.i.valid | (inside[1:].any()) | (inside[0] & ~leaves))
        return m
