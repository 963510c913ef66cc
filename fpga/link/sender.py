"""Frames from the board: their order and contents."""

from amaranth.hdl import Array, Module, Signal
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out, connect, flipped

from spikequant.fpga.link.framing import FrameEncoder
from spikequant.fpga.link.protocol import (
    CONTROL_WORDS,
    HELLO_WORDS,
    MAX_SIZE,
    POSITION_BITS,
    Control,
    Hello,
    Kind,
)
from spikequant.golden.layer.spec import WORD_BITS
from spikequant.rtl.shapes import PacketWord

TELL_SHARE = 4
"""New room is reported to the host when it is 1/4 of the buffer."""


class FrameSender(Component):
    """Scheduler of frames, with priorities HELLO, DATA, STATE; DATA reports the state, too.

    Each request is served once, with the state at the time when the control words are sent.

    Attributes:
        hello_due, state_due, again_due, rewind_due: pulses that request a HELLO, the state, a report of a gap in the
            state, and that words are resent.
        restart: a new session begins, and requests other than the HELLO are dropped.
        session: number of the session.
        size: binary logarithm of the most payload words of a frame.
        hello: payload of a HELLO.
        received, limit: positions to report.
        word, word_valid, take, next, empty, behind, rewind: connections to the ``Outbox``.
        o: bytes.
    """

    def __init__(self, *, buffer_words: int) -> None:
        self._buffer_words = buffer_words
        super().__init__(
            {
                "hello_due": In(1),
                "state_due": In(1),
                "again_due": In(1),
                "rewind_due": In(1),
                "restart": In(1),
                "session": In(16),
                "size": In(4),
                "hello": In(Hello),
                "received": In(POSITION_BITS),
                "limit": In(POSITION_BITS),
                "word": In(PacketWord),
                "word_valid": In(1),
                "take": Out(1),
                "next": In(POSITION_BITS),
                "empty": In(1),
                "behind": In(1),
                "rewind": Out(1),
                "o": Out(stream.Signature(8)),
            }
        )

    def elaborate(self, _platform: object) -> Module:
        """Send the payload, then the control words."""
        m = Module()
        m.submodules.encoder = encoder = FrameEncoder()
        connect(m, encoder.o, flipped(self.o))
        hello, state, again, rewind = (Signal(name=name) for name in ("hello_waits", "state", "again", "rewind_waits"))
        kind = Signal(Kind, init=Kind.STATE)
        # session and position at the beginning of the frame, since they may change during it
        begun_in, begun_at = Signal(16), Signal(POSITION_BITS)
        last = Signal()
        count = Signal(range(max(2**MAX_SIZE, HELLO_WORDS)))
        told, room = Signal(POSITION_BITS), Signal()
        control = Signal(Control)
        m.d.comb += [
            room.eq(self.session.any() & ((self.limit - told)[:POSITION_BITS] >= self._buffer_words // TELL_SHARE)),
            control.kind.eq(kind),
            control.last.eq(last),
            control.again.eq(again),
            control.sequence.eq(begun_at),
            control.acknowledge.eq(self.received),
            control.limit.eq(self.limit),
            control.session.eq(begun_in),
        ]
        hello_words = Array(self.hello.as_value().word_select(index, WORD_BITS) for index in range(HELLO_WORDS))
        control_words = Array(control.as_value().word_select(index, WORD_BITS) for index in range(CONTROL_WORDS))
        offer, taken = encoder.i, Signal()
        m.d.comb += taken.eq(offer.valid & offer.ready)
        with m.FSM():
            with m.State("idle"):
                m.d.sync += [begun_in.eq(self.session), begun_at.eq(self.next), last.eq(0), count.eq(0)]
                with m.If(self.restart):
                    # the positions of the new session begin in the next cycle
                    pass
                with m.Elif(rewind | self.behind):
                    m.d.comb += self.rewind.eq(1)
                    m.d.sync += rewind.eq(0)
                with m.Elif(hello):
                    m.d.sync += [kind.eq(Kind.HELLO), hello.eq(0)]
                    m.next = "hello"
                with m.Elif(self.word_valid):
                    m.d.sync += kind.eq(Kind.DATA)
                    m.next = "data"
                with m.Elif(self.empty & (state | room)):
                    m.d.sync += kind.eq(Kind.STATE)
                    m.next = "control"
            with m.State("hello"):
                m.d.comb += [offer.valid.eq(1), offer.payload.data.eq(hello_words[count])]
                with m.If(taken):
                    m.d.sync += count.eq(count + 1)
                    with m.If(count == HELLO_WORDS - 1):
                        m.d.sync += count.eq(0)
                        m.next = "control"
            with m.State("data"):
                m.d.comb += [
                    offer.valid.eq(self.word_valid),
                    offer.payload.data.eq(self.word.data),
                    self.take.eq(taken),
                ]
                with m.If(taken):
                    m.d.sync += [count.eq(count + 1), last.eq(self.word.last)]
                    with m.If(self.word.last | (count + 1).bit_select(self.size, 1)):
                        m.d.sync += count.eq(0)
                        m.next = "control"
                with m.Elif(self.empty):
                    m.d.sync += count.eq(0)
                    m.next = "control"
            with m.State("control"):
                m.d.comb += [offer.valid.eq(1), offer.payload.data.eq(control_words[count])]
                with m.If(taken):
                    m.d.sync += count.eq(count + 1)
                    with m.If(count == 0):
                        m.d.sync += [state.eq(0), again.eq(0)]
                    with m.If(count == CONTROL_WORDS - 1):
                        m.d.comb += offer.payload.last.eq(1)
                        m.d.sync += told.eq(self.limit)
                        m.next = "idle"

        # last, so that a request in the cycle in which an earlier one is served is kept
        with m.If(self.restart):
            m.d.sync += [waiting.eq(0) for waiting in (state, again, rewind)]
        for due, waiting in (
            (self.hello_due, hello),
            (self.state_due, state),
            (self.again_due, again),
            (self.rewind_due, rewind),
        ):
            with m.If(due):
                m.d.sync += waiting.eq(1)
        return m
