"""LiteX module around the accelerator in ``spikequant.v``; ``packets.json`` describes the words of its streams."""

from pathlib import Path
from typing import Any

from litex.gen import LiteXModule
from litex.soc.interconnect import stream
from litex.soc.interconnect.csr import CSRField, CSRStatus, CSRStorage
from migen import ClockSignal, Instance, Mux, ResetSignal, Signal

WORD = [("data", 32)]


class SpikeQuant(LiteXModule):
    """Accelerator with a stream of packets in and one of results out; ``last`` marks the last word of a packet.

    Connect the endpoints to other cores, such as ``WishboneDMAReader`` and ``WishboneDMAWriter``, or call ``add_csr``.

    Attributes:
        sink: packets.
        source: results.
        busy: some packet, or work that a packet asked for, is inside.
    """

    def __init__(self, platform: Any) -> None:
        self.sink = stream.Endpoint(WORD)
        self.source = stream.Endpoint(WORD)
        self.busy = Signal()
        platform.add_source(str(Path(__file__).with_name("spikequant.v")))
        self.specials += Instance(
            "spikequant",
            i_clk=ClockSignal(),
            i_rst=ResetSignal(),
            i_s_axis_tdata=self.sink.data,
            i_s_axis_tvalid=self.sink.valid,
            o_s_axis_tready=self.sink.ready,
            i_s_axis_tlast=self.sink.last,
            o_m_axis_tdata=self.source.data,
            o_m_axis_tvalid=self.source.valid,
            i_m_axis_tready=self.source.ready,
            o_m_axis_tlast=self.source.last,
            o_busy=self.busy,
        )

    def add_csr(self, depth: int = 64) -> None:
        """Join both streams with CSRs, through FIFOs of ``depth`` words."""
        self.fifo_in = stream.SyncFIFO(WORD, depth, buffered=True)
        self.fifo_out = stream.SyncFIFO(WORD, depth, buffered=True)
        self.push = CSRStorage(32, description="Send a word that is not the last one of its packet.")
        self.push_last = CSRStorage(32, description="Send the last word of a packet.")
        self.pop = CSRStatus(32, description="Oldest word of the results; reading removes it.")
        self.status = CSRStatus(
            fields=[
                CSRField("writable", description="There is room for a word; without it, a word sent is lost."),
                CSRField("readable", description="There is a word of results."),
                CSRField("last", description="It is the last word of its packet."),
                CSRField("busy", description="Some packet is in progress."),
            ]
        )
        incoming, outgoing = self.fifo_in.sink, self.fifo_out.source
        self.comb += [
            incoming.valid.eq(self.push.re | self.push_last.re),
            incoming.data.eq(Mux(self.push_last.re, self.push_last.storage, self.push.storage)),
            incoming.last.eq(self.push_last.re),
            self.fifo_in.source.connect(self.sink),
            self.source.connect(self.fifo_out.sink),
            self.pop.status.eq(outgoing.data),
            outgoing.ready.eq(self.pop.we),
            self.status.fields.writable.eq(incoming.ready),
            self.status.fields.readable.eq(outgoing.valid),
            self.status.fields.last.eq(outgoing.last),
            self.status.fields.busy.eq(self.busy | self.fifo_in.source.valid),
        ]
