"""Splitter of requests into bursts that stay within one row of one bank."""

from amaranth.hdl import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, stream
from amaranth.lib.wiring import Component, In, Out

from spikequant.fpga.sdram.shapes import BANK_BITS, ReadLayout, RequestLayout, burst_layout
from spikequant.fpga.sdram.timing import SdramChip


class RequestSplitter(Component):
    """Splits requests into bursts.

    Consecutive words are in one row, then in the same row of the next bank, then in the next row. So a request that
    crosses the end of a row continues in another bank, which can be opened in advance.

    Latency: three cycles. Throughput: a burst in three cycles.

    Attributes:
        i: requests.
        o: bursts.
        end: the burst is the last one of its request.
        last: the burst is the last one of a request with ``last``.
    """

    def __init__(self, chip: SdramChip) -> None:
        self._chip = chip
        super().__init__(
            {
                "i": In(stream.Signature(RequestLayout)),
                "o": Out(stream.Signature(burst_layout(chip))),
                "end": Out(1),
                "last": Out(1),
            }
        )

    def elaborate(self, _platform: object) -> Module:
        """Take a request, output the part of it that fits the row, and repeat with the rest."""
        m = Module()
        chip = self._chip
        place_bits = chip.column_bits - 1
        request = Signal(RequestLayout, reset_less=True)
        read = data.View(ReadLayout, request.payload[: ReadLayout.size])
        count = Signal(ReadLayout["count"].width, reset_less=True)
        place, bank, row = (
            request.address[:place_bits],
            request.address[place_bits : place_bits + BANK_BITS],
            request.address[place_bits + BANK_BITS : place_bits + BANK_BITS + chip.row_bits],
        )
        to_page_end = Signal(unsigned(chip.column_bits), reset_less=True)
        burst = self.o.payload
        with m.FSM():
            with m.State("take"):
                m.d.comb += self.i.ready.eq(1)
                incoming = data.View(ReadLayout, self.i.payload.payload[: ReadLayout.size])
                m.d.sync += [request.eq(self.i.payload), count.eq(Mux(self.i.payload.write, 1, incoming.count))]
                with m.If(self.i.valid):
                    m.next = "measure"
            with m.State("measure"):
                m.d.sync += to_page_end.eq(chip.page_words - place)
                m.next = "cut"
            with m.State("cut"):
                over = Signal()
                m.d.comb += over.eq(count > to_page_end)
                m.d.sync += [
                    burst.write.eq(request.write),
                    burst.row.eq(row),
                    burst.bank.eq(bank),
                    burst.place.eq(place),
                    burst.count.eq(Mux(over, to_page_end, count)),
                    burst.payload.eq(request.payload),
                    self.end.eq(~over),
                    self.last.eq(read.last & ~over),
                    # the rest begins at the first word of the next row
                    count.eq(count - to_page_end),
                    Cat(place, bank, row).eq(Cat(place, bank, row) + to_page_end),
                    self.o.valid.eq(1),
                ]
                m.next = "offer"
                with m.If(over):
                    m.next = "offer more"
            for state, successor in (("offer", "take"), ("offer more", "measure")):
                with m.State(state), m.If(self.o.ready):
                    m.d.sync += self.o.valid.eq(0)
                    m.next = successor
        return m
