"""Ports and totals that the accelerator and its benchmark twin have in common."""

from amaranth.hdl import Module, Signal, Value
from amaranth.lib.wiring import Component, In, Out

from spikequant.golden.layer.spec import WORD_BITS, Spec
from spikequant.rtl.fabric.queue import StreamQueue
from spikequant.rtl.reader import PacketReader
from spikequant.rtl.writer import PacketWriter


class PacketComponent(Component):
    """A component with one AXI4-Stream of packets in and one out; ``spikequant.rtl.shapes`` defines the packets.

    Attributes:
        spec: what it was generated from.
        s_axis_*: packets in.
        m_axis_*: packets out. Once valid, a word holds until it is taken.
        busy: some packet, or work that a packet asked for, is inside.
    """

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        super().__init__(
            {
                "s_axis_tdata": In(WORD_BITS),
                "s_axis_tvalid": In(1),
                "s_axis_tready": Out(1),
                "s_axis_tlast": In(1),
                "m_axis_tdata": Out(WORD_BITS),
                "m_axis_tvalid": Out(1),
                "m_axis_tready": In(1),
                "m_axis_tlast": Out(1),
                "busy": Out(1),
            }
        )

    def _join_input(self, m: Module, reader: PacketReader) -> None:
        """Join ``s_axis_*`` with the reader."""
        m.d.comb += [
            reader.i.payload.data.eq(self.s_axis_tdata),
            reader.i.payload.last.eq(self.s_axis_tlast),
            reader.i.valid.eq(self.s_axis_tvalid),
            self.s_axis_tready.eq(reader.i.ready),
        ]

    def _join_output(self, m: Module, writer: PacketWriter) -> None:
        """Join the writer with ``m_axis_*``."""
        m.d.comb += [
            self.m_axis_tdata.eq(writer.o.payload.data),
            self.m_axis_tlast.eq(writer.o.payload.last),
            self.m_axis_tvalid.eq(writer.o.valid),
            writer.o.ready.eq(self.m_axis_tready),
        ]

    @staticmethod
    def _announce(m: Module, packets: StreamQueue, writer: PacketWriter) -> None:
        """Show the writer the next RESULT packet, from registers, so one cycle late."""
        m.d.sync += [
            writer.packets.valid.eq(packets.o.valid & ~packets.o.ready),
            writer.packets.payload.eq(packets.o.payload),
        ]
        m.d.comb += packets.o.ready.eq(writer.packets.ready)

    @staticmethod
    def _report(m: Module, writer: PacketWriter, *, stepped: Value, fired: Value, faults: Value) -> None:
        """Count since reset what the trailer of a RESULT packet reports.

        Args:
            m: the module.
            writer: sends the totals.
            stepped: whether the array took a beat.
            fired: spikes in it.
            faults: whether packets broke the rules, a bit for each component that notices.
        """
        beats = Signal(WORD_BITS)
        spikes = Signal(WORD_BITS)
        held = Signal(len(faults), name="faults")
        malformed = Signal()
        m.d.sync += [beats.eq(beats + stepped), spikes.eq(spikes + fired)]
        m.d.sync += [held.eq(faults), malformed.eq(malformed | held.any())]
        m.d.comb += [writer.beats.eq(beats), writer.spikes.eq(spikes), writer.malformed.eq(malformed)]
