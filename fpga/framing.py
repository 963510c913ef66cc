"""Packets of 32-bit words as frames of bytes on a serial line.

A frame is a packet's words, low byte first, then their CRC-32 (that of Ethernet and zlib, low byte first),
escaped and set between two END bytes as SLIP does (RFC 1055). The length need not be known ahead, a lost byte
costs one frame, and no damaged frame passes for a whole one.

A frame without words asks the board to start afresh; a damaged frame makes it do so. Whenever the board starts,
it sends a frame without words. So a host that sees one where it waits for results knows that they are lost, and
nothing is ever wrong in silence.
"""

import zlib
from collections.abc import Iterable, Iterator

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream
from amaranth.lib.crc.catalog import CRC32_ETHERNET
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import Component, In, Out

from fpga.uart import ReceivedByte
from golden.spec import WORD_BITS

END, ESCAPE, ESCAPED_END, ESCAPED_ESCAPE = 0xC0, 0xDB, 0xDC, 0xDD
"""The special bytes of RFC 1055."""

BYTES_PER_WORD = WORD_BITS // 8

PacketWord = data.StructLayout({"data": WORD_BITS, "last": 1})
"""A word of a packet, and whether it is the last."""


def encode_frame(words: Iterable[int]) -> bytes:
    """The frame of one packet of words, each in 0..2**32 - 1; no words make the frame that starts the board afresh."""
    body = b"".join(word.to_bytes(BYTES_PER_WORD, "little") for word in words)
    body += zlib.crc32(body).to_bytes(BYTES_PER_WORD, "little")
    body = body.replace(bytes([ESCAPE]), bytes([ESCAPE, ESCAPED_ESCAPE]))
    body = body.replace(bytes([END]), bytes([ESCAPE, ESCAPED_END]))
    return bytes([END]) + body + bytes([END])


def decode_frame(body: bytes) -> list[int] | None:
    """The words of what stood between two END bytes, or None when it is damaged."""
    specials = {ESCAPED_END: END, ESCAPED_ESCAPE: ESCAPE}
    plain = bytearray()
    escaped = False
    for byte in body:
        if escaped and byte not in specials:
            return None
        if escaped or byte != ESCAPE:
            plain.append(specials[byte] if escaped else byte)
        escaped = not escaped and byte == ESCAPE
    if escaped or not plain or len(plain) % BYTES_PER_WORD:
        return None
    words = [int.from_bytes(plain[k : k + BYTES_PER_WORD], "little") for k in range(0, len(plain), BYTES_PER_WORD)]
    return words[:-1] if words[-1] == zlib.crc32(plain[:-BYTES_PER_WORD]) else None


def decode_stream(received: bytes) -> Iterator[list[int] | None]:
    """Each complete frame of a stream of bytes as its words, or None for a damaged one."""
    for body in received.split(bytes([END]))[:-1]:
        if body:
            yield decode_frame(body)


class FrameDecoder(Component):
    """Bytes off the line become packets; what ``decode_frame`` does, as they arrive.

    Words are passed on before their frame is complete, the last one only once the check has held. A damaged
    frame, one without words, and one whose words found the buffer full therefore end in ``restart`` in place of
    a last word, and whoever took the words before it must be reset.

    Latency: a word is passed on when the second word after it, or the END, has arrived.

    Attributes:
        i: bytes, at most one in four cycles.
        o: words, from a buffer of ``buffer_words`` and a register.
        restart: pulses at the end of a frame that is no packet.
        damaged: qualifies ``restart``: the frame was not the one without words, but a broken one.
    """

    def __init__(self, *, buffer_words: int) -> None:
        self._buffer_words = buffer_words
        super().__init__(
            {
                "i": In(stream.Signature(ReceivedByte, always_ready=True)),
                "o": Out(stream.Signature(PacketWord)),
                "restart": Out(1),
                "damaged": Out(1),
            }
        )

    def elaborate(self, _platform: object) -> Module:
        """Unescape, gather words, hold two of them back: the last is the check, the one before it the packet's last."""
        m = Module()
        m.submodules.fifo = fifo = SyncFIFOBuffered(width=PacketWord.size, depth=self._buffer_words)
        m.submodules.crc = crc = CRC32_ETHERNET(data_width=8).create()

        plain = Signal(8)
        is_plain, is_end, is_bad = Signal(), Signal(), Signal()
        self._unescape(m, plain=plain, is_plain=is_plain, is_end=is_end, is_bad=is_bad)

        gathered = Signal(WORD_BITS - 8)
        byte_index = Signal(range(BYTES_PER_WORD))
        check, previous = Signal(WORD_BITS), Signal(WORD_BITS)
        held = Signal(range(3))
        occupied, broken, matches, lost = Signal(), Signal(), Signal(), Signal()
        word = Signal(PacketWord)
        m.d.comb += [
            crc.data.eq(plain),
            crc.valid.eq(is_plain),
            crc.start.eq(is_end),
            word.data.eq(previous),
            word.last.eq(is_end),
            fifo.w_data.eq(word),
            lost.eq(fifo.w_en & ~fifo.w_rdy),
        ]
        m.d.sync += matches.eq(crc.match_detected)
        with m.If(is_plain):
            m.d.sync += [occupied.eq(1), byte_index.eq(byte_index + 1), gathered.eq(Cat(gathered[8:], plain))]
            with m.If(byte_index == BYTES_PER_WORD - 1):
                m.d.comb += fifo.w_en.eq(held == 2)
                m.d.sync += [check.eq(Cat(gathered, plain)), previous.eq(check), held.eq(Mux(held == 0, 1, 2))]
        with m.If(is_bad | lost):
            m.d.sync += [occupied.eq(1), broken.eq(1)]
        with m.If(is_end):
            whole = ~broken & ~is_bad & (byte_index == 0) & matches
            m.d.comb += [
                fifo.w_en.eq(whole & (held == 2)),
                self.damaged.eq(~whole | lost),
                self.restart.eq((occupied | is_bad) & (self.damaged | (held == 1))),
            ]
            m.d.sync += [occupied.eq(0), broken.eq(0), byte_index.eq(0), held.eq(0)]

        # the block RAM's output is late, so a register takes it
        m.d.comb += fifo.r_en.eq(~self.o.valid | self.o.ready)
        with m.If(fifo.r_en):
            m.d.sync += [self.o.valid.eq(fifo.r_rdy), self.o.payload.eq(fifo.r_data)]
        return m

    def _unescape(self, m: Module, *, plain: Signal, is_plain: Signal, is_end: Signal, is_bad: Signal) -> None:
        """A cycle after each byte: a plain byte or an END; ``is_bad``, with either or alone, for what no frame has."""
        byte = self.i.payload.data
        escaped = Signal()
        m.d.sync += [is_plain.eq(0), is_end.eq(0), is_bad.eq(0)]
        with m.If(self.i.valid):
            m.d.sync += escaped.eq(0)
            # a byte whose stop bit is missing says nothing, not even that it is an END
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
    """Packets become bytes for the line; what ``encode_frame`` does. A frame without words leaves first, after reset.

    Attributes:
        i: words.
        o: bytes.
    """

    def __init__(self) -> None:
        super().__init__({"i": In(stream.Signature(PacketWord)), "o": Out(stream.Signature(8))})

    def elaborate(self, _platform: object) -> Module:
        """END, the words' bytes, the check's bytes, END; an escaped byte takes two turns."""
        m = Module()
        m.submodules.crc = crc = CRC32_ETHERNET(data_width=8).create()
        shifter = Signal(WORD_BITS)
        byte_index = Signal(range(BYTES_PER_WORD))
        last, is_check = Signal(), Signal()
        plain = shifter[:8]
        special, second_turn, taken = Signal(), Signal(), Signal()
        m.d.comb += [special.eq((plain == END) | (plain == ESCAPE)), crc.data.eq(plain)]

        with m.FSM(init="OPEN_EMPTY"):
            with m.State("OPEN_EMPTY"):
                m.d.comb += [self.o.valid.eq(1), self.o.payload.eq(END)]
                with m.If(self.o.ready):
                    m.next = "LOAD_CHECK"
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
