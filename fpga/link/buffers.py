"""Buffers between the line and the accelerator, in block RAM.

Words pass at the speed of the line, about one in a hundred cycles, so three cycles a word are fast enough.
"""

from amaranth.hdl import Module, Signal, unsigned
from amaranth.lib import stream
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Component, In, Out

from spikequant.fpga.link.protocol import POSITION_BITS
from spikequant.rtl.shapes import PacketWord


def check_depth(depth: int) -> None:
    """Check the number of words of a buffer.

    Raises:
        ValueError: it is no power of two, or too large for unambiguous positions.
    """
    if depth & (depth - 1) or not 2 <= depth <= 2 ** (POSITION_BITS - 1):
        raise ValueError(f"depth: {depth}, expected a power of two in 2..{2 ** (POSITION_BITS - 1)}")


def _position(name: str) -> Signal:
    return Signal(POSITION_BITS, name=name)


class Inbox(Component):
    """Buffer of words from the line for the accelerator; a frame's words are valid only after ``keep``.

    Latency: three cycles from ``keep`` to ``o``. Throughput: a word in three cycles.

    Attributes:
        i, write: a word of the current frame.
        keep, drop: the frame ends: keep or discard its words.
        clear: start again from position 0.
        lost: a word of the current frame found no room.
        filled: the current frame has words.
        received: position after the last word kept.
        limit: position of the first word that there is no room for.
        o: words for the accelerator.
    """

    def __init__(self, depth: int) -> None:
        check_depth(depth)
        self._depth = depth
        super().__init__(
            {
                "i": In(PacketWord),
                "write": In(1),
                "keep": In(1),
                "drop": In(1),
                "clear": In(1),
                "lost": Out(1),
                "filled": Out(1),
                "received": Out(POSITION_BITS),
                "limit": Out(POSITION_BITS),
                "o": Out(stream.Signature(PacketWord)),
            }
        )

    def elaborate(self, _platform: object) -> Module:
        """Three positions: taken by the accelerator, received and kept, and written."""
        m = Module()
        m.submodules.rows = rows = Memory(shape=unsigned(PacketWord.size), depth=self._depth, init=[])
        store, fetch = rows.write_port(), rows.read_port()
        taken, written = _position("taken"), _position("written")
        full, some, moves = Signal(), Signal(), Signal()
        m.d.comb += [
            full.eq(written == self.limit),
            some.eq(taken != self.received),
            self.filled.eq(written != self.received),
            self.limit.eq(taken + self._depth),
            store.addr.eq(written),
            store.data.eq(self.i),
            store.en.eq(self.write & ~full),
            fetch.addr.eq(taken),
            self.o.payload.eq(fetch.data),
            moves.eq(self.o.valid & self.o.ready),
        ]
        # in the cycle after a transfer, the memory still outputs the old word
        m.d.sync += self.o.valid.eq(some & ~moves)
        with m.If(moves):
            m.d.sync += taken.eq(taken + 1)
        with m.If(self.write):
            with m.If(full):
                m.d.sync += self.lost.eq(1)
            with m.Else():
                m.d.sync += written.eq(written + 1)
        with m.If(self.keep):
            m.d.sync += self.received.eq(written)
        with m.If(self.drop):
            m.d.sync += written.eq(self.received)
        with m.If(self.keep | self.drop):
            m.d.sync += self.lost.eq(0)
        with m.If(self.clear):
            m.d.sync += [signal.eq(0) for signal in (taken, written, self.received, self.lost, self.o.valid)]
        return m


class Outbox(Component):
    """Buffer of words from the accelerator that are not sent yet, or sent but not acknowledged by the host.

    Latency: three cycles from ``i`` to ``word``.

    Attributes:
        i: words from the accelerator.
        word, word_valid, take: the next word to send, and its transfer.
        next: its position.
        empty: all words are sent.
        acknowledge, acknowledged: the host has the words before that position.
        rewind: continue with the first word that is not acknowledged.
        behind: the host has acknowledged words that were to be resent: a rewind then skips them.
        clear: start again from position 0.
    """

    def __init__(self, depth: int) -> None:
        check_depth(depth)
        self._depth = depth
        super().__init__(
            {
                "i": In(stream.Signature(PacketWord)),
                "word": Out(PacketWord),
                "word_valid": Out(1),
                "take": In(1),
                "next": Out(POSITION_BITS),
                "empty": Out(1),
                "acknowledge": In(POSITION_BITS),
                "acknowledged": In(1),
                "rewind": In(1),
                "behind": Out(1),
                "clear": In(1),
            }
        )

    def elaborate(self, _platform: object) -> Module:
        """Three positions: acknowledged by the host, next to send, and written."""
        m = Module()
        m.submodules.rows = rows = Memory(shape=unsigned(PacketWord.size), depth=self._depth, init=[])
        store, fetch = rows.write_port(), rows.read_port()
        base, written = _position("base"), _position("written")
        kept, unsent, claimed = _position("kept"), _position("unsent"), _position("claimed")
        m.d.comb += [
            kept.eq(written - base),
            unsent.eq(written - self.next),
            claimed.eq(self.acknowledge - base),
            self.i.ready.eq(kept != self._depth),
            store.addr.eq(written),
            store.data.eq(self.i.payload),
            store.en.eq(self.i.valid & self.i.ready),
            fetch.addr.eq(self.next),
            self.word.eq(fetch.data),
            self.empty.eq(unsent == 0),
            self.behind.eq(unsent > kept),
        ]
        m.d.sync += self.word_valid.eq(~self.empty & ~self.take & ~self.rewind)
        with m.If(store.en):
            m.d.sync += written.eq(written + 1)
        with m.If(self.take):
            m.d.sync += self.next.eq(self.next + 1)
        # ignore acknowledgements of words that do not exist
        with m.If(self.acknowledged & (claimed <= kept)):
            m.d.sync += base.eq(self.acknowledge)
        with m.If(self.rewind):
            m.d.sync += self.next.eq(base)
        with m.If(self.clear):
            m.d.sync += [signal.eq(0) for signal in (base, written, self.next, self.word_valid)]
        return m
