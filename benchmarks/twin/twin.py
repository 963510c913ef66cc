"""The whole twin: the accelerator's packets, run by a dense array of multipliers."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib.wiring import Component, In, Out, connect

from spikequant.benchmarks.twin.arithmetic import dense_spec
from spikequant.benchmarks.twin.array import MacArray
from spikequant.benchmarks.twin.packer import LevelPacker
from spikequant.benchmarks.twin.readout import Dequantizer
from spikequant.benchmarks.twin.sequencer import MacSequencer
from spikequant.golden.layer.spec import WORD_BITS, Spec
from spikequant.rtl.accelerator import RUNS_WAITING
from spikequant.rtl.fabric.queue import RegisterStage, StreamQueue
from spikequant.rtl.neurons.output_stage import Backend
from spikequant.rtl.reader import PacketReader
from spikequant.rtl.result_queue import packets_waiting
from spikequant.rtl.shapes import packet_layout, phase_layout, run_layout, word_layout
from spikequant.rtl.writer import PacketWriter


class MacTwin(Component):
    """What the accelerator is compared with: an array of multipliers and accumulators of the same shape.

    It takes the accelerator's packets, but for theta, whose place holds a multiplier and a shift as
    ``mac_vectors`` has them, and gives its packets, with the same membranes. Weight memory, neurons, reader
    and writer are the accelerator's own. Codes are kept as signed levels in the order in which they come, and every
    row of them takes a cycle, silent or not; beats count those cycles, and spikes the levels in them that are not 0.
    A code that breaks the rules counts as silent.

    Attributes:
        s_axis_*: packets in.
        m_axis_*: packets out. Once valid, a word holds until it is taken.
        busy: something is on its way inside.
    """

    def __init__(self, spec: Spec) -> None:
        self.spec = dense_spec(spec)
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
        m.submodules.backend = backend = Backend(
            self.spec, Dequantizer(self.spec), readout_cycles=Dequantizer.latency(self.spec)
        )
        m.submodules.packets = packets = StreamQueue(packet_layout(self.spec), depth=packets_waiting(self.spec))
        m.submodules.writer = writer = PacketWriter(self.spec)
        m.submodules.outgoing = outgoing = RegisterStage(word_layout())

        # charges of a phase are on their way to the membranes, and what becomes of them
        draining, full = Signal(), Signal()
        phase = Signal(phase_layout(self.spec))
        m.d.comb += [
            reader.i.payload.data.eq(self.s_axis_tdata),
            reader.i.payload.last.eq(self.s_axis_tlast),
            reader.i.valid.eq(self.s_axis_tvalid),
            self.s_axis_tready.eq(reader.i.ready),
            reader.sorting.eq(packer.taking),
            reader.sorting_buffer.eq(packer.buffer),
        ]
        m.d.sync += reader.idle.eq(~reader.runs.valid & ~runs.o.valid & sequencer.idle & ~draining & ~packets.o.valid)
        connect(m, writer.o, outgoing.i)
        connect(m, reader.weights, array.write)
        connect(m, reader.neuron, backend.write)
        connect(m, packer.write, sequencer.write)
        connect(m, packer.listed, sequencer.listed)
        connect(m, packer.token, sequencer.token)
        connect(m, reader.codes, packer.i)
        connect(m, reader.runs, runs.i)
        connect(m, runs.o, sequencer.runs)

        # runs of each buffer that have not read all of their rows
        sent = reader.runs.valid & reader.runs.ready
        pending = []
        for buffer in range(2):
            count = Signal(range(2 * RUNS_WAITING + 3), name=f"pending_{buffer}")
            arrives = sent & (reader.runs.payload.address[-1] == buffer)
            leaves = sequencer.done.pulse & (sequencer.done.buffer == buffer)
            m.d.sync += count.eq(count + arrives - leaves)
            held = Signal(name=f"held_{buffer}")
            m.d.sync += held.eq(count.any() | (reader.runs.valid & (reader.runs.payload.address[-1] == buffer)))
            pending.append(held)
        m.d.comb += [
            packer.hold.eq(Mux(reader.codes.payload.header.buffer, pending[1], pending[0])),
            sequencer.neurons_busy.eq(draining | full),
            array.feed.eq(sequencer.feed),
            array.charges.ready.eq(1),
            backend.i.valid.eq(array.charges.valid),
            backend.i.payload.charge.eq(array.charges.payload),
            backend.i.payload.reference.eq(array.reference),
            backend.i.payload.phase.eq(phase),
            packets.i.valid.eq(sequencer.ended & sequencer.phase.last),
            packets.i.payload.slot.eq(sequencer.phase.slot),
            packets.i.payload.brief.eq(sequencer.phase.brief),
        ]
        m.d.sync += full.eq(~packets.i.ready)
        with m.If(backend.done):
            m.d.sync += draining.eq(0)
        with m.If(sequencer.ended):
            m.d.sync += [draining.eq(1), phase.eq(sequencer.phase)]
        connect(m, backend.words, writer.words[0])
        # known from registers, a cycle late
        m.d.sync += [
            writer.packets.valid.eq(packets.o.valid & ~packets.o.ready),
            writer.packets.payload.eq(packets.o.payload),
        ]
        m.d.comb += packets.o.ready.eq(writer.packets.ready)

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
        faults = Signal(3)
        m.d.sync += [
            faults.eq(Cat(reader.malformed, packer.refused, sequencer.strayed)),
            malformed.eq(malformed | faults.any()),
        ]
        m.d.comb += [
            writer.beats.eq(beats),
            writer.spikes.eq(spikes),
            writer.malformed.eq(malformed),
            self.m_axis_tdata.eq(outgoing.o.payload.data),
            self.m_axis_tlast.eq(outgoing.o.payload.last),
            self.m_axis_tvalid.eq(outgoing.o.valid),
            outgoing.o.ready.eq(self.m_axis_tready),
            self.busy.eq(
                ~reader.waiting
                | packer.taking
                | runs.o.valid
                | ~sequencer.idle
                | draining
                | packets.o.valid
                | writer.o.valid
                | outgoing.o.valid
            ),
        ]
        return m
