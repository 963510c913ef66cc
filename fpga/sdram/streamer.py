"""Stream of packets to the accelerator: packets for the memory are removed, and packets from the memory inserted."""

from amaranth.hdl import Array, Module, Mux, Signal
from amaranth.lib import data, stream
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import Component, In, Out

from spikequant.fpga.sdram.packets import STREAM_WORDS, MemoryOperation, SelectHeader, StoreHeader, StreamHeader
from spikequant.fpga.sdram.selection import RowSelector
from spikequant.fpga.sdram.shapes import ADDRESS_BITS, RequestLayout, WordLayout
from spikequant.golden.layer.spec import WORD_BITS
from spikequant.rtl.shapes import PacketWord

SCRIPT_WORDS = 512
"""Depth of the script in entries, one block RAM; rows of later packets are requested in advance."""

ScriptLayout = data.StructLayout({"data": WORD_BITS, "last": 1, "streamed": 1})
"""A word to send; if ``streamed``, words from the memory follow, up to one with ``last``."""


class WeightStreamer(Component):
    """Turns packets of ``spikequant.fpga.sdram.packets`` into requests, and passes all others in order.

    Rows of a STREAM packet are requested while earlier packets are still being sent. A malformed packet for the memory
    is replaced by one that is invalid for the accelerator, which then reports an error in its next RESULT packet.

    Latency: three cycles for a word that passes.

    Attributes:
        i: packets from the host.
        o: packets for the accelerator.
        requests: requests to the memory.
        words: words from the memory.
        busy: a packet is inside.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "i": In(stream.Signature(PacketWord)),
                "o": Out(stream.Signature(PacketWord)),
                "requests": Out(stream.Signature(RequestLayout)),
                "words": In(stream.Signature(WordLayout)),
                "busy": Out(1),
            }
        )

    def elaborate(self, _platform: object) -> Module:
        """One state machine writes a script of the words to send, and another one executes it."""
        m = Module()
        m.submodules.script = script = SyncFIFOBuffered(width=ScriptLayout.size, depth=SCRIPT_WORDS)
        m.submodules.selector = selector = RowSelector()
        waiting = self._decode(m, script, selector)
        sending = self._send(m, script)
        m.d.comb += self.busy.eq(~waiting | (script.level != 0) | sending)
        return m

    def _decode(self, m: Module, script: SyncFIFOBuffered, selector: RowSelector) -> Signal:
        """Decode packets into script and requests; returns whether it is waiting for a packet."""
        word, taken = self.i.payload, Signal()
        store, select = data.View(StoreHeader, word.data), data.View(SelectHeader, word.data)
        header, index = Signal(StreamHeader, reset_less=True), Signal(range(STREAM_WORDS))
        header_words = Array(header.as_value().word_select(number, WORD_BITS) for number in range(STREAM_WORDS))
        address = Signal(ADDRESS_BITS, reset_less=True)
        written, requests = Signal(ScriptLayout), self.requests
        m.d.comb += [
            taken.eq(self.i.valid & self.i.ready),
            script.w_data.eq(written),
            written.data.eq(word.data),
            written.last.eq(word.last),
            selector.mask_word.eq(word.data),
            *(selector.i.payload[name].eq(header[name]) for name in ("selected", "address", "rows", "row_words")),
            selector.i.payload.place.eq(header.place),
            requests.payload.eq(selector.requests.payload),
            requests.valid.eq(selector.requests.valid),
            selector.requests.ready.eq(requests.ready),
        ]

        def ended(then: str) -> None:
            with m.If(taken & word.last):
                m.next = then

        def pass_on() -> None:
            m.d.comb += [script.w_en.eq(self.i.valid), self.i.ready.eq(script.w_rdy)]

        with m.FSM() as states:
            with m.State("header"):
                m.d.sync += [header_words[0].eq(word.data), index.eq(1), address.eq(store.address)]
                with m.Switch(store.operation):
                    for operation, state in (
                        (MemoryOperation.STORE, "store"),
                        (MemoryOperation.SELECT, "select"),
                        (MemoryOperation.STREAM, "stream"),
                    ):
                        with m.Case(operation):
                            m.d.comb += self.i.ready.eq(1)
                            if operation is MemoryOperation.SELECT:
                                m.d.sync += address.eq(select.place)
                            with m.If(self.i.valid):
                                m.next = state
                            ended("refuse")
                    with m.Default():
                        pass_on()
                        with m.If(taken & ~word.last):
                            m.next = "pass"
            with m.State("pass"):
                pass_on()
                ended("header")
            with m.State("store"):
                m.d.comb += [
                    requests.payload.write.eq(1),
                    requests.payload.address.eq(address),
                    requests.payload.payload.eq(word.data),
                    requests.valid.eq(self.i.valid),
                    self.i.ready.eq(requests.ready),
                ]
                m.d.sync += address.eq(address + taken)
                ended("header")
            with m.State("select"):
                m.d.comb += [
                    self.i.ready.eq(1),
                    selector.mask_place.eq(address),
                    selector.mask_write.eq(self.i.valid),
                ]
                m.d.sync += address.eq(address + taken)
                ended("header")
            with m.State("stream"):
                m.d.comb += self.i.ready.eq(1)
                with m.If(taken):
                    m.d.sync += [header_words[index].eq(word.data), index.eq(index + 1)]
                    with m.If(index == STREAM_WORDS - 1):
                        m.next = "ask"
                        with m.If(~word.last):
                            m.next = "drop"
                    with m.Elif(word.last):
                        m.next = "refuse"
            with m.State("drop"):
                m.d.comb += self.i.ready.eq(1)
                ended("refuse")
            with m.State("ask"):
                m.d.comb += selector.i.valid.eq(header.row_words != 0)
                m.next = "open"
                with m.If(header.row_words == 0):
                    m.next = "refuse"
            with m.State("open"):
                m.d.comb += [written.data.eq(header.opening), written.last.eq(0), written.streamed.eq(1)]
                with m.If(selector.some):
                    m.d.comb += script.w_en.eq(1)
                    with m.If(script.w_rdy):
                        m.next = "select rows"
                with m.Elif(selector.idle):
                    m.next = "refuse"
            with m.State("select rows"), m.If(selector.idle):
                m.next = "header"
            with m.State("refuse"):
                # a packet of one word is invalid for the accelerator
                m.d.comb += [written.data.eq(0), written.last.eq(1), script.w_en.eq(1)]
                with m.If(script.w_rdy):
                    m.next = "header"
        waiting = Signal()
        m.d.comb += waiting.eq(states.ongoing("header") & ~self.i.valid)
        return waiting

    def _send(self, m: Module, script: SyncFIFOBuffered) -> Signal:
        """Execute the script; returns whether words from the memory are being sent."""
        step = data.View(ScriptLayout, script.r_data)
        streaming = Signal()
        m.d.comb += [
            self.o.valid.eq(Mux(streaming, self.words.valid, script.r_rdy)),
            self.o.payload.data.eq(Mux(streaming, self.words.payload.data, step.data)),
            self.o.payload.last.eq(Mux(streaming, self.words.payload.last, step.last)),
            self.words.ready.eq(streaming & self.o.ready),
            script.r_en.eq(~streaming & self.o.ready),
        ]
        with m.If(self.o.valid & self.o.ready):
            with m.If(streaming):
                m.d.sync += streaming.eq(~self.words.payload.last)
            with m.Else():
                m.d.sync += streaming.eq(step.streamed)
        return streaming
