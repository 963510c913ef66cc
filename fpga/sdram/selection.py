"""Selection of the rows whose bits are set in a mask."""

from amaranth.hdl import Module, Signal
from amaranth.lib import data, stream
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Component, In, Out

from spikequant.fpga.sdram.packets import MASK_WORDS
from spikequant.fpga.sdram.shapes import ADDRESS_BITS, ReadLayout, RequestLayout
from spikequant.golden.layer.spec import WORD_BITS

PLACE_BITS = (MASK_WORDS - 1).bit_length()

RowsLayout = data.StructLayout(
    {"selected": 1, "address": ADDRESS_BITS, "rows": 16, "row_words": 16, "place": PLACE_BITS}
)
"""Rows of equal length; fields as in ``spikequant.fpga.sdram.packets.StreamHeader``."""


class RowSelector(Component):
    """Makes a read request for each selected row; the last request is marked.

    Latency: four cycles to the first row. Throughput: one row a cycle, selected or not, less two cycles in 34.

    Attributes:
        i: rows to select from; accepted when idle.
        requests: read requests.
        some: at least one row has been selected.
        idle: all requests have been made.
        mask_place, mask_word, mask_write: writes a word of the mask, when idle.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "i": In(stream.Signature(RowsLayout)),
                "requests": Out(stream.Signature(RequestLayout)),
                "some": Out(1),
                "idle": Out(1),
                "mask_place": In(PLACE_BITS),
                "mask_word": In(WORD_BITS),
                "mask_write": In(1),
            }
        )

    def elaborate(self, _platform: object) -> Module:
        """Hold each selected row until the next one is found, or the end, so that the last one can be marked."""
        m = Module()
        m.submodules.mask = mask = Memory(shape=WORD_BITS, depth=MASK_WORDS, init=[])
        store, fetch = mask.write_port(), mask.read_port()
        rows = Signal(RowsLayout, reset_less=True)
        bits, bits_left = Signal(WORD_BITS, reset_less=True), Signal(range(WORD_BITS), reset_less=True)
        found = Signal(ADDRESS_BITS, reset_less=True)
        stuck = Signal()
        read = data.View(ReadLayout, self.requests.payload.payload[: ReadLayout.size])
        m.d.comb += [
            store.addr.eq(self.mask_place),
            store.data.eq(self.mask_word),
            store.en.eq(self.mask_write),
            fetch.addr.eq(rows.place),
            self.requests.payload.address.eq(found),
            read.count.eq(rows.row_words),
            stuck.eq(self.requests.valid & ~self.requests.ready),
        ]
        with m.FSM():
            with m.State("idle"):
                m.d.comb += [self.i.ready.eq(1), self.idle.eq(1)]
                with m.If(self.i.valid):
                    m.d.sync += [rows.eq(self.i.payload), self.some.eq(0)]
                    m.next = "fetch"
            with m.State("fetch"):
                m.next = "take"
            with m.State("take"):
                m.d.sync += [
                    bits.eq(fetch.data | (~rows.selected).replicate(WORD_BITS)),
                    bits_left.eq(WORD_BITS - 1),
                    rows.place.eq(rows.place + 1),
                ]
                m.next = "go through"
            with m.State("go through"):
                m.d.comb += self.requests.valid.eq((rows.rows != 0) & bits[0] & self.some)
                with m.If(rows.rows == 0):
                    m.next = "end"
                with m.Elif(~stuck):
                    m.d.sync += [
                        bits.eq(bits >> 1),
                        bits_left.eq(bits_left - 1),
                        rows.rows.eq(rows.rows - 1),
                        rows.address.eq(rows.address + rows.row_words),
                    ]
                    with m.If(bits[0]):
                        m.d.sync += [found.eq(rows.address), self.some.eq(1)]
                    with m.If(bits_left == 0):
                        m.next = "fetch"
            with m.State("end"):
                m.d.comb += [self.requests.valid.eq(self.some), read.last.eq(1)]
                with m.If(~stuck):
                    m.next = "idle"
        return m
