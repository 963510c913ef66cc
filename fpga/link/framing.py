"""Frames in hardware: bytes to words and words to bytes, as in ``fpga.link.codec``."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream
from amaranth.lib.crc.catalog import CRC32_ETHERNET
from amaranth.lib.wiring import Component, In, Out

from spikequant.fpga.link.codec import BYTES_PER_WORD, END, ESCAPE, ESCAPED_END, ESCAPED_ESCAPE
from spikequant.fpga.link.protocol import CONTROL_WORDS, Control
from spikequant.fpga.link.uart import ReceivedByte
from spikequant.golden.layer.spec import WORD_BITS
from spikequant.rtl.shapes import PacketWord


class FrameDecoder(Component):
    """Decoder from bytes of the line to words; the hardware of ``decode_frame``.

    Payload words are output before the frame's check is known, so they are valid only after ``over`` with ``whole``.
    A byte other than END opens a frame; two successive ENDs are no frame.

    Latency: two cycles from the fourth word after a payload word, or from the END.

    Attributes:
        i: bytes, at most one in four cycles.
        word, word_valid: a payload word of the current frame.
        over: pulses at a frame's end, together with the last payload word of a whole frame.
        whole: qualifies ``over``: the check is right, and there are control words.
        control: qualifies ``over``: the control words.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "i": In(stream.Signature(ReceivedByte, always_ready=True)),
                "word": Out(WORD_BITS),
                "word_valid": Out(1),
                "over": Out(1),
                "whole": Out(1),
                "control": Out(Control),
            }
        )

    def elaborate(self, _platform: object) -> Module:
        """Unescape, assemble words, and delay them by four: payload, two of control, and the check."""
        m = Module()
        m.submodules.crc = crc = CRC32_ETHERNET(data_width=8).create()

        plain = Signal(8)
        is_plain, is_end, is_bad = Signal(), Signal(), Signal()
        self._unescape(m, plain=plain, is_plain=is_plain, is_end=is_end, is_bad=is_bad)

        gathered = Signal(WORD_BITS - 8)
        byte_index = Signal(range(BYTES_PER_WORD))
        # the newest first
        held = [Signal(WORD_BITS, name=f"held_{age}") for age in range(CONTROL_WORDS + 2)]
        count = Signal(range(len(held) + 1))
        occupied, broken, matches = Signal(), Signal(), Signal()
        m.d.comb += [
            crc.data.eq(plain),
            crc.valid.eq(is_plain),
            crc.start.eq(is_end),
            Cat(self.control).eq(Cat(*reversed(held[1 : CONTROL_WORDS + 1]))),
        ]
        m.d.sync += [matches.eq(crc.match_detected), self.word_valid.eq(0), self.over.eq(0)]
        with m.If(is_plain):
            m.d.sync += [occupied.eq(1), byte_index.eq(byte_index + 1), gathered.eq(Cat(gathered[8:], plain))]
            with m.If(byte_index == BYTES_PER_WORD - 1):
                m.d.sync += [
                    Cat(*held).eq(Cat(gathered, plain, *held[:-1])),
                    count.eq(Mux(count == len(held), count, count + 1)),
                    self.word.eq(held[-1]),
                    self.word_valid.eq(count == len(held)),
                ]
        with m.If(is_bad):
            m.d.sync += [occupied.eq(1), broken.eq(1)]
        with m.If(is_end):
            whole = ~broken & ~is_bad & (byte_index == 0) & matches & (count > CONTROL_WORDS)
            m.d.sync += [
                self.word.eq(held[-1]),
                self.word_valid.eq(whole & (count == len(held))),
                self.whole.eq(whole),
                self.over.eq(occupied | is_bad),
                *(signal.eq(0) for signal in (occupied, broken, byte_index, count)),
            ]
        return m

    def _unescape(self, m: Module, *, plain: Signal, is_plain: Signal, is_end: Signal, is_bad: Signal) -> None:
        """Mark each byte, a cycle later, as plain, as END, or (alone or with either) as invalid."""
        byte = self.i.payload.data
        escaped = Signal()
        m.d.sync += [is_plain.eq(0), is_end.eq(0), is_bad.eq(0)]
        with m.If(self.i.valid):
            m.d.sync += escaped.eq(0)
            # a byte without a stop bit is not even an END
            with m.If(self.i.payload.broken):
                m.d.sync += is_bad.eq(1)
            with m.Elif(byte == END):
                m.d.sync += [is_end.eq(1), is_bad.eq(escaped)]
            with m.Elif(byte == ESCAPE):
                m.d.sync += [escaped.eq(1), is_bad.eq(escaped)]
            with m.Elif(escaped):
                m.d.sync += [
                    plain.eq(Mux(byte == ESCAPED_END, END, ESCAPE)),
                    is_plain.eq(1),
                    is_bad.eq((byte != ESCAPED_END) & (byte != ESCAPED_ESCAPE)),
                ]
            with m.Else():
                m.d.sync += [plain.eq(byte), is_plain.eq(1)]


class FrameEncoder(Component):
    """Encoder from words to bytes for the line; the hardware of ``encode_frame``.

    Attributes:
        i: payload and control words; ``last`` marks the last word of a frame. A word may change until it is accepted.
        o: bytes.
    """

    def __init__(self) -> None:
        super().__init__({"i": In(stream.Signature(PacketWord)), "o": Out(stream.Signature(8))})

    def elaborate(self, _platform: object) -> Module:
        """Send END, the bytes of the words and of the check, and END; an escaped byte takes two transfers."""
        m = Module()
        m.submodules.crc = crc = CRC32_ETHERNET(data_width=8).create()
        shifter = Signal(WORD_BITS)
        byte_index = Signal(range(BYTES_PER_WORD))
        last, is_check = Signal(), Signal()
        plain = shifter[:8]
        special, second_turn, taken = Signal(), Signal(), Signal()
        m.d.comb += [special.eq((plain == END) | (plain == ESCAPE)), crc.data.eq(plain)]

        with m.FSM():
            with m.State("OPEN"):
                m.d.comb += [self.o.valid.eq(self.i.valid), self.o.payload.eq(END), crc.start.eq(1)]
                with m.If(self.i.valid & self.o.ready):
                    m.next = "LOAD_WORD"
            with m.State("LOAD_WORD"):
                m.d.comb += self.i.ready.eq(1)
                m.d.sync += [shifter.eq(self.i.payload.data), last.eq(self.i.payload.last), is_check.eq(0)]
                with m.If(self.i.valid):
                    m.next = "BYTES"
            with m.State("LOAD_CHECK"):
                m.d.sync += [shifter.eq(crc.crc), is_check.eq(1)]
                m.next = "BYTES"
            with m.State("BYTES"):
                m.d.comb += self.o.valid.eq(1)
                with m.If(second_turn):
                    m.d.comb += self.o.payload.eq(Mux(plain == END, ESCAPED_END, ESCAPED_ESCAPE))
                with m.Else():
                    m.d.comb += self.o.payload.eq(Mux(special, ESCAPE, plain))
                m.d.comb += [taken.eq(self.o.ready & (second_turn | ~special)), crc.valid.eq(taken)]
                with m.If(self.o.ready):
                    m.d.sync += second_turn.eq(special & ~second_turn)
                with m.If(taken):
                    m.d.sync += [shifter.eq(shifter >> 8), byte_index.eq(byte_index + 1)]
                    with m.If(byte_index == BYTES_PER_WORD - 1):
                        with m.If(is_check):
                            m.next = "CLOSE"
                        with m.Elif(last):
                            m.next = "LOAD_CHECK"
                        with m.Else():
                            m.next = "LOAD_WORD"
            with m.State("CLOSE"):
                m.d.comb += [self.o.valid.eq(1), self.o.payload.eq(END)]
                with m.If(self.o.ready):
                    m.next = "OPEN"
        return m
