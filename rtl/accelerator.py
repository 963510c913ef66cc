"""The whole accelerator: packets in, packets out."""

from amaranth.hdl import Module, Signal
from amaranth.lib.wiring import Component, In, Out, connect

from golden.spec import WORD_BITS, Spec
from rtl.array import SpikingArray
from rtl.encoder import Encoder
from rtl.neuron import Neurons
from rtl.reader import PacketReader
from rtl.readout import make_readout
from rtl.writer import PacketWriter


class Accelerator(Component):
    """One AXI4-Stream of packets in, one out; ``rtl.shapes`` says what the packets are.

    While one token's spikes run, the next one's codes are sorted, the previous phase's charges reach
    the membranes, and results leave. Only two things wait: the end of a phase for the phase before it,
    and a change of weights or constants for all tokens before it.

    Attributes:
        s_axis_*: packets in.
        m_axis_*: packets out. Once valid, a word holds until it is taken.
        busy: something is on its way inside.
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

    def elaborate(self, _platform: object) -> Module:
        """Reader, encoder, array, neurons, read-out, writer; and the gate between encoder and array."""
        m = Module()
        m.submodules.reader = reader = PacketReader(self.spec)
        m.submodules.encoder = encoder = Encoder(self.spec)
        m.submodules.array = array = SpikingArray(self.spec)
        m.submodules.neurons = neurons = Neurons(self.spec)
        m.submodules.readout = readout = make_readout(self.spec)
        m.submodules.writer = writer = PacketWriter(self.spec)

        m.d.comb += [
            reader.i.payload.data.eq(self.s_axis_tdata),
            reader.i.payload.last.eq(self.s_axis_tlast),
            reader.i.valid.eq(self.s_axis_tvalid),
            self.s_axis_tready.eq(reader.i.ready),
            reader.idle.eq(encoder.idle & ~neurons.busy),
            array.write.eq(reader.weights),
            array.write_enable.eq(reader.weights_enable),
            neurons.write.eq(reader.neuron),
            neurons.write_enable.eq(reader.neuron_enable),
        ]
        connect(m, reader.codes, encoder.i)

        beat = encoder.o.payload
        taken = Signal()
        m.d.comb += [
            encoder.o.ready.eq(~beat.end | ~neurons.busy),
            taken.eq(encoder.o.valid & encoder.o.ready),
            array.beat.eq(beat),
            array.enable.eq(taken),
            neurons.accept.eq(taken & beat.end),
            neurons.phase.eq(beat.phase),
            neurons.loaded.eq(array.loaded),
            neurons.charge.eq(array.charge),
            neurons.population.eq(array.population),
            array.shift.eq(neurons.shift),
        ]
        connect(m, neurons.o, readout.i)
        connect(m, readout.o, writer.i)

        beats = Signal(WORD_BITS)
        spikes = Signal(WORD_BITS)
        malformed = Signal()
        with m.If(taken & ~beat.end):
            m.d.sync += [beats.eq(beats + 1), spikes.eq(spikes + sum(beat.fire))]
        with m.If(reader.malformed | encoder.refused):
            m.d.sync += malformed.eq(1)
        m.d.comb += [
            writer.beats.eq(beats),
            writer.spikes.eq(spikes),
            writer.malformed.eq(malformed),
            self.m_axis_tdata.eq(writer.o.payload.data),
            self.m_axis_tlast.eq(writer.o.payload.last),
            self.m_axis_tvalid.eq(writer.o.valid),
            writer.o.ready.eq(self.m_axis_tready),
            self.busy.eq(
                ~reader.waiting | ~encoder.idle | neurons.busy | neurons.o.valid | readout.busy | ~writer.idle
            ),
        ]
        return m
