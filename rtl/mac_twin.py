"""The whole twin: the accelerator's packets, run by a dense array of multipliers."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib.wiring import Component, In, Out, connect

from golden.spec import WORD_BITS, Spec
from rtl.accelerator import HOLD_CYCLES, RESULTS_WAITING, RUNS_WAITING
from rtl.mac_array import MacArray
from rtl.mac_packer import LevelPacker
from rtl.mac_readout import Dequantizer
from rtl.mac_sequencer import MacSequencer
from rtl.neuron import Neurons
from rtl.queue import BlockQueue, StreamQueue
from rtl.reader import PacketReader
from rtl.shapes import code_layout, run_layout
from rtl.writer import PacketWriter


class MacTwin(Component):
    """What the accelerator is compared with: an array of multipliers and accumulators of the same shape.

    It takes the accelerator's packets, but for theta, whose place holds a multiplier and a shift as
    ``golden.mac.mac_vectors`` has them, and gives its packets, with the same membranes. Weight memory, neurons, reader
    and writer are the accelerator's own. Codes are kept as signed levels in the order in which they come, and every
    row of them takes a cycle, silent or not; beats count those cycles, and spikes the levels in them that are not 0.
    A code that breaks the rules counts as silent.

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
        """Reader, packer, sequencer, array, neurons, read-out, writer; and what waits for what between them."""
        m = Module()
        m.submodules.reader = reader = PacketReader(self.spec)
        m.submodules.packer = packer = LevelPacker(self.spec)
        m.submodules.runs = runs = StreamQueue(run_layout(self.spec), depth=RUNS_WAITING)
        m.submodules.sequencer = sequencer = MacSequencer(self.spec)
        m.submodules.array = array = MacArray(self.spec)
        m.submodules.neurons = neurons = Neurons(self.spec)
        m.submodules.readout = readout = Dequantizer(self.spec)
        m.submodules.results = results = BlockQueue(code_layout(self.spec), depth=RESULTS_WAITING)
        m.submodules.writer = writer = PacketWriter(self.spec)

        m.d.comb += [
            reader.i.payload.data.eq(self.s_axis_tdata),
            reader.i.payload.last.eq(self.s_axis_tlast),
            reader.i.valid.eq(self.s_axis_tvalid),
            self.s_axis_tready.eq(reader.i.ready),
            reader.idle.eq(~runs.o.valid & sequencer.idle & ~neurons.busy),
            # a run comes to the sequencer two cycles after the reader lets it in, when all is stored
            reader.sorting.eq(packer.taking),
            reader.sorting_buffer.eq(packer.buffer),
            array.write.eq(reader.weights),
            array.write_enable.eq(reader.weights_enable),
            neurons.write.eq(reader.neuron),
            neurons.write_enable.eq(reader.neuron_enable),
        ]
        connect(m, reader.codes, packer.i)
        connect(m, reader.runs, runs.i)
        connect(m, runs.o, sequencer.runs)

        # runs of each buffer that have not read all of their rows
        sent = reader.runs.valid & reader.runs.ready
        pending = []
        for buffer in range(2):
            count = Signal(range(2 * RUNS_WAITING + 3), name=f"pending_{buffer}")
            arrives = sent & (reader.runs.payload.address[-1] == buffer)
            leaves = sequencer.done & (sequencer.done_buffer == buffer)
            m.d.sync += count.eq(count + arrives - leaves)
            held = Signal(name=f"held_{buffer}")
            m.d.sync += held.eq(count.any() | (reader.runs.valid & (reader.runs.payload.address[-1] == buffer)))
            pending.append(held)
        m.d.comb += [
            packer.hold.eq(Mux(reader.codes.payload.header.buffer, pending[1], pending[0])),
            sequencer.write.eq(packer.write),
            sequencer.write_enable.eq(packer.write_enable),
            sequencer.listed.eq(packer.listed),
            sequencer.listed_enable.eq(packer.listed_enable),
            sequencer.packed.eq(packer.packed),
            sequencer.neurons_busy.eq(neurons.busy),
            array.feed.eq(sequencer.feed),
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
        m.d.sync += neurons.hold.eq(results.stored >= RESULTS_WAITING - on_the_way)

        beats = Signal(WORD_BITS)
        spikes = Signal(WORD_BITS)
        fed = Signal()
        loud = Signal(range(self.spec.lanes + 1))
        malformed = Signal()
        m.d.sync += [
            fed.eq(sequencer.fed),
            loud.eq(sum(level.any() for level in sequencer.feed.levels)),
            beats.eq(beats + fed),
            spikes.eq(spikes + loud),
        ]
        with m.If(reader.malformed | packer.refused | sequencer.strayed):
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
                ~reader.waiting
                | packer.busy
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
