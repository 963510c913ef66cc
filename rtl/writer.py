"""Outgoing packets: results with a header and the totals behind them."""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out

from golden.spec import WORD_BITS, Spec
from rtl.shapes import Operation, Result, ResultHeader, code_layout, word_layout


class PacketWriter(Component):
    """Puts the results of one token and tile into a RESULT packet.

    Latency: a header word, two words a result, two words of totals; ``i`` waits while they go out.

    Attributes:
        i: results in the order of the neurons.
        beats, spikes: running totals, sent as they are when the last result is taken.
        malformed: sent in the header, as it is before the packet begins.
        o: stream words.
        idle: no packet is half way out.
    """

    def __init__(self, spec: Spec) -> None:
        super().__init__(
            {
                "i": In(stream.Signature(code_layout(spec))),
                "beats": In(WORD_BITS),
                "spikes": In(WORD_BITS),
                "malformed": In(1),
                "o": Out(stream.Signature(word_layout())),
                "idle": Out(1),
            }
        )

    def elaborate(self, _platform: object) -> Module:
        """One state for each kind of word."""
        m = Module()
        header = Signal(ResultHeader)
        result = Signal(Result)
        # copies, because a word on offer must not change
        malformed = Signal()
        beats = Signal(WORD_BITS)
        spikes = Signal(WORD_BITS)
        with m.If(~self.o.valid | self.o.ready):
            m.d.sync += malformed.eq(self.malformed)
        m.d.comb += [
            header.operation.eq(Operation.RESULT),
            header.malformed.eq(malformed),
            header.slot.eq(self.i.payload.slot),
            result.membrane.eq(self.i.payload.membrane),
            result.code.eq(self.i.payload.code),
            result.saturated.eq(self.i.payload.saturated),
        ]
        low, high = result.as_value()[:WORD_BITS], result.as_value()[WORD_BITS:]
        output = self.o.payload
        with m.FSM():
            with m.State("header"):
                m.d.comb += [self.idle.eq(~self.i.valid), self.o.valid.eq(self.i.valid), output.data.eq(header)]
                with m.If(self.i.valid & self.o.ready):
                    m.next = "low"
            with m.State("low"):
                m.d.comb += [self.o.valid.eq(self.i.valid), output.data.eq(low)]
                with m.If(self.i.valid & self.o.ready):
                    m.next = "high"
            with m.State("high"):
                m.d.comb += [self.o.valid.eq(1), output.data.eq(high), self.i.ready.eq(self.o.ready)]
                m.d.sync += [beats.eq(self.beats), spikes.eq(self.spikes)]
                with m.If(self.o.ready):
                    m.next = "low"
                    with m.If(self.i.payload.final):
                        m.next = "beats"
            with m.State("beats"):
                m.d.comb += [self.o.valid.eq(1), output.data.eq(beats)]
                with m.If(self.o.ready):
                    m.next = "spikes"
            with m.State("spikes"):
                m.d.comb += [self.o.valid.eq(1), output.data.eq(spikes), output.last.eq(1)]
                with m.If(self.o.ready):
                    m.next = "header"
        return m
