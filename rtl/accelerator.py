"""The whole accelerator: packets in, packets out."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib.wiring import Component, In, Out, connect

from golden.spec import WORD_BITS, Spec
from rtl.array import SpikingArray
from rtl.encoder import Encoder
from rtl.neuron import Neurons
from rtl.queue import BlockQueue, StreamQueue
from rtl.reader import PacketReader
from rtl.readout import make_readout
from rtl.sequencer import Sequencer
from rtl.shapes import code_layout, run_layout
from rtl.writer import PacketWriter

RUNS_WAITING = 4
"""Runs that wait for the one under way."""

RESULTS_WAITING = 512
"""Results that may wait for the writer: a block RAM's rows."""

HOLD_CYCLES = 5
"""From a result that comes in to the neurons' hold, and one to spare."""


class Accelerator(Component):
    """One AXI4-Stream of packets in, one out; ``rtl.shapes`` says what the packets are.

    While one token's spikes run, the next one's codes are sorted, the previous phase's charges reach the membranes,
    and results leave. What waits: the end of a phase for the phase before it, a score for the runs of its buffer
    and a run for the score that is being made in its buffer, and a change of weights or constants for all runs
    before it.

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
        """Reader, encoder, sequencer, array, neurons, read-out, writer; and what waits for what between them."""
        m = Module()
        m.submodules.reader = reader = PacketReader(self.spec)
        m.submodules.encoder = encoder = Encoder(self.spec)
        m.submodules.runs = runs = StreamQueue(run_layout(self.spec), depth=RUNS_WAITING)
        m.submodules.sequencer = sequencer = Sequencer(self.spec)
        m.submodules.array = array = SpikingArray(self.spec)
        m.submodules.neurons = neurons = Neurons(self.spec)
        m.submodules.readout = readout = make_readout(self.spec)
        m.submodules.results = results = BlockQueue(code_layout(self.spec), depth=RESULTS_WAITING)
        m.submodules.writer = writer = PacketWriter(self.spec)

        m.d.comb += [
            reader.i.payload.data.eq(self.s_axis_tdata),
            reader.i.payload.last.eq(self.s_axis_tlast),
            reader.i.valid.eq(self.s_axis_tvalid),
            self.s_axis_tready.eq(reader.i.ready),
            reader.sorting.eq(encoder.busy),
            reader.sorting_buffer.eq(encoder.buffer),
            array.write.eq(reader.weights),
            array.write_enable.eq(reader.weights_enable),
            neurons.write.eq(reader.neuron),
            neurons.write_enable.eq(reader.neuron_enable),
        ]
        m.d.sync += reader.idle.eq(~reader.runs.valid & ~runs.o.valid & sequencer.idle & ~neurons.busy)
        connect(m, reader.codes, encoder.i)
        connect(m, reader.runs, runs.i)
        connect(m, runs.o, sequencer.runs)

        # runs of each buffer that have not read all of their scores
        sent = reader.runs.valid & reader.runs.ready
        pending = []
        for buffer in range(2):
            count = Signal(range(RUNS_WAITING + 3), name=f"pending_{buffer}")
            arrives = sent & (reader.runs.payload.address[-1] == buffer)
            leaves = sequencer.done & (sequencer.done_buffer == buffer)
            m.d.sync += count.eq(count + arrives - leaves)
            held = Signal(name=f"held_{buffer}")
            m.d.sync += held.eq(count.any() | (reader.runs.valid & (reader.runs.payload.address[-1] == buffer)))
            pending.append(held)
        m.d.comb += [
            encoder.hold.eq(Mux(reader.codes.payload.header.buffer, pending[1], pending[0])),
            sequencer.write.eq(encoder.write),
            sequencer.write_enable.eq(encoder.write_enable),
            sequencer.neurons_busy.eq(neurons.busy),
            array.cycle.eq(sequencer.cycle),
            neurons.accept.eq(sequencer.ended),
            neurons.phase.eq(sequencer.phase),
            neurons.reference.eq(array.reference),
        ]
        connect(m, array.charges, neurons.charges)
        connect(m, results.o, writer.i)
        on_the_way = Neurons.latency(self.spec) + readout.latency(self.spec) + HOLD_CYCLES
        m.d.comb += [
            readout.i_valid.eq(neurons.o_valid),
            readout.i.eq(neurons.o),
            results.i_valid.eq(readout.o_valid),
            results.i.eq(readout.o),
        ]
        m.d.sync += readout.room.eq(results.stored < RESULTS_WAITING - on_the_way)
        m.d.comb += neurons.hold.eq(~readout.room | readout.hold)

        beats = Signal(WORD_BITS)
        spikes = Signal(WORD_BITS)
        malformed = Signal()
        stepped = Signal()
        fired = Signal(range(self.spec.lanes + 1))
        m.d.sync += [
            stepped.eq(sequencer.cycle.step.as_value().any()),
            fired.eq(sum(sequencer.cycle.fire)),
            beats.eq(beats + stepped),
            spikes.eq(spikes + fired),
        ]
        faults = Signal(4)
        m.d.sync += [
            faults.eq(Cat(reader.malformed, encoder.refused, sequencer.strayed, sequencer.cut)),
            malformed.eq(malformed | faults.any()),
        ]
        m.d.comb += [
            writer.beats.eq(beats),
            writer.spikes.eq(spikes),
            writer.malformed.eq(malformed),
            self.m_axis_tdata.eq(writer.o.payload.data),
            self.m_axis_tlast.eq(writer.o.payload.last),
            self.m_axis_tvalid.eq(writer.o.valid),
            writer.o.ready.eq(self.m_axis_tready),
            self.busy.eq(
                ~reader.waiting
                | encoder.busy
                | runs.o.valid
                | ~sequencer.idle
                | neurons.busy
                | neurons.o_valid
                | readout.busy
                | readout.o_valid
                | ~results.empty
                | ~writer.idle
            ),
        ]
        return m
