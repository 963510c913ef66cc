"""Board's end of the protocol, between the bytes of the line and the accelerator."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out, connect, flipped

from spikequant.fpga.link.buffers import Inbox, Outbox
from spikequant.fpga.link.framing import FrameDecoder
from spikequant.fpga.link.protocol import (
    BUFFER_WORDS,
    KILOCYCLE,
    MAGIC,
    MAX_SIZE,
    POSITION_BITS,
    VERSION,
    Identity,
    Kind,
)
from spikequant.fpga.link.sender import FrameSender
from spikequant.fpga.link.uart import ReceivedByte
from spikequant.rtl.shapes import PacketWord


class Link(Component):
    """Reliable transport of packets to and from the accelerator: every word once and in order.

    A frame is accepted only if it is whole, of this session, the next in sequence, and the buffer holds it; a gap is
    reported to the host. The board has no timers: it answers every whole frame, sends each word once, and resends
    from where the host asks; timeouts are up to the host.

    Attributes:
        i: bytes from the line, at most one in four cycles.
        o: bytes for the line.
        sink: words for the accelerator.
        source: words from the accelerator.
        restart: pulses at the beginning of a session, to reset the accelerator.
        damaged: a damaged frame was received in this session.
    """

    def __init__(self, identity: Identity, *, buffer_words: int = BUFFER_WORDS) -> None:
        self._identity = identity
        self._buffer_words = buffer_words
        super().__init__(
            {
                "i": In(stream.Signature(ReceivedByte, always_ready=True)),
                "o": Out(stream.Signature(8)),
                "sink": Out(stream.Signature(PacketWord)),
                "source": In(stream.Signature(PacketWord)),
                "restart": Out(1),
                "damaged": Out(1),
            }
        )

    def elaborate(self, _platform: object) -> Module:
        """Buffers both ways; a frame is checked a cycle after its end, when its last word is written."""
        m = Module()
        m.submodules.decoder = decoder = FrameDecoder()
        m.submodules.inbox = inbox = Inbox(self._buffer_words)
        m.submodules.outbox = outbox = Outbox(self._buffer_words)
        m.submodules.sender = sender = FrameSender(buffer_words=self._buffer_words)
        connect(m, sender.o, flipped(self.o))
        control = decoder.control
        session, size = Signal(16), Signal(4)
        mine = Signal()
        ahead = Signal(POSITION_BITS)
        m.d.comb += [
            decoder.i.payload.eq(self.i.payload),
            decoder.i.valid.eq(self.i.valid),
            inbox.i.data.eq(decoder.word),
            inbox.i.last.eq(decoder.over & control.last),
            inbox.write.eq(decoder.word_valid),
            inbox.clear.eq(self.restart),
            self.sink.payload.eq(inbox.o.payload),
            self.sink.valid.eq(inbox.o.valid & ~self.restart),
            inbox.o.ready.eq(self.sink.ready),
            outbox.i.payload.eq(self.source.payload),
            outbox.i.valid.eq(self.source.valid & ~self.restart),
            self.source.ready.eq(outbox.i.ready),
            outbox.acknowledge.eq(control.acknowledge),
            outbox.clear.eq(self.restart),
            outbox.take.eq(sender.take),
            outbox.rewind.eq(sender.rewind),
            *(getattr(sender, name).eq(getattr(outbox, name)) for name in ("word", "word_valid", "next")),
            *(getattr(sender, name).eq(getattr(outbox, name)) for name in ("empty", "behind")),
            sender.restart.eq(self.restart),
            sender.session.eq(session),
            sender.size.eq(size),
            sender.received.eq(inbox.received),
            sender.limit.eq(inbox.limit),
            mine.eq((control.session == session) & session.any()),
            ahead.eq(control.sequence - inbox.received),
        ]

        damaged, refused, overruns = (Signal(32, name=name) for name in ("damaged_frames", "refused", "overruns"))
        over, whole = Signal(), Signal()
        m.d.sync += [over.eq(decoder.over), whole.eq(decoder.whole), self.restart.eq(0)]
        with m.If(over):
            m.d.comb += inbox.drop.eq(~inbox.keep)
            with m.If(~whole):
                m.d.comb += [sender.state_due.eq(session.any()), sender.again_due.eq(1)]
                m.d.sync += [damaged.eq(damaged + 1), self.damaged.eq(1)]
            with m.Elif((control.kind == Kind.HELLO) & control.session.any()):
                m.d.comb += sender.hello_due.eq(1)
                with m.If(~mine):
                    m.d.sync += [
                        self.restart.eq(1),
                        self.damaged.eq(0),
                        session.eq(control.session),
                        size.eq(MAX_SIZE),
                    ]
            with m.Elif(mine & ((control.kind == Kind.DATA) | (control.kind == Kind.STATE))):
                m.d.comb += [
                    outbox.acknowledged.eq(1),
                    sender.state_due.eq(1),
                    sender.rewind_due.eq(control.again),
                ]
                m.d.sync += size.eq(Mux(control.size > MAX_SIZE, MAX_SIZE, control.size))
                with m.If(control.kind == Kind.DATA):
                    with m.If((ahead == 0) & inbox.filled & ~inbox.lost):
                        m.d.comb += inbox.keep.eq(1)
                    with m.Else():
                        # earlier words leave no gap
                        m.d.comb += sender.again_due.eq(~ahead[-1])
                        m.d.sync += [refused.eq(refused + 1), overruns.eq(overruns + inbox.lost)]
            with m.Else():
                m.d.comb += sender.state_due.eq(1)
                m.d.sync += refused.eq(refused + 1)

        cycles, kilocycles = Signal(range(KILOCYCLE)), Signal(32)
        m.d.sync += [cycles.eq(cycles + 1), kilocycles.eq(kilocycles + cycles.all())]
        with m.If(self.restart):
            m.d.sync += [cycles.eq(0), kilocycles.eq(0)]
        hello = sender.hello
        m.d.comb += [
            hello.magic.eq(MAGIC),
            hello.version.eq(VERSION),
            hello.name.eq(self._identity.name_bits),
            hello.digest.eq(self._identity.digest),
            hello.buffer_words.eq(self._buffer_words),
            hello.damaged.eq(damaged),
            hello.refused.eq(refused),
            hello.overruns.eq(overruns),
            hello.kilocycles.eq(kilocycles),
        ]
        return m
