"""The whole twin: a dense array of multipliers that runs the accelerator's packets."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib.wiring import connect

from spikequant.benchmarks.twin.arithmetic import dense_spec
from spikequant.benchmarks.twin.array import MacArray
from spikequant.benchmarks.twin.packer import LevelPacker
from spikequant.benchmarks.twin.readout import Dequantizer
from spikequant.benchmarks.twin.sequencer import MacSequencer
from spikequant.golden.layer.spec import Spec
from spikequant.rtl.accelerator import RUNS_WAITING
from spikequant.rtl.fabric.queue import StreamQueue
from spikequant.rtl.neurons.output_stage import Backend
from spikequant.rtl.packet_component import PacketComponent
from spikequant.rtl.reader import PacketReader
from spikequant.rtl.result_queue import packets_waiting
from spikequant.rtl.shapes import packet_layout, phase_layout, run_layout
from spikequant.rtl.writer import PacketWriter


class MacTwin(PacketComponent):
    """The baseline of the accelerator: an array of multipliers and accumulators of the same shape.

    It takes the accelerator's packets, with a multiplier and a shift from ``mac_vectors`` in place of theta, and sends
    the accelerator's packets, with the same membranes. Weight memory, neurons, reader
    and writer are the accelerator's own. Codes are stored as signed levels in the order in which they come, and every
    row of them takes a cycle, silent or not; beats count those cycles, and spikes the levels in them that are not 0.
    A code that breaks the rules counts as silent.

    Throughput: a stream word a cycle in and out, a row of levels a cycle.
    """

    def __init__(self, spec: Spec) -> None:
        super().__init__(dense_spec(spec))

    def elaborate(self, _platform: object) -> Module:
        """Reader, packer, sequencer, array, output stage, writer, and the hazards between them."""
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

        # charges of a phase are on their way to the membranes; the queue of RESULT packets is full
        draining, full = Signal(), Signal()
        phase = Signal(phase_layout(self.spec))
        self._join_input(m, reader)
        m.d.comb += [
            reader.sorting.eq(packer.taking),
            reader.sorting_buffer.eq(packer.buffer),
        ]
        connect(m, reader.weights, array.write)
        connect(m, reader.neuron, backend.write)
        m.d.sync += reader.idle.eq(~reader.runs.valid & ~runs.o.valid & sequencer.idle & ~draining & ~packets.o.valid)
        connect(m, reader.codes, packer.i)
        connect(m, reader.runs, runs.i)
        connect(m, runs.o, sequencer.runs)

        # runs of each buffer that have not read all of their rows
        sent = reader.runs.valid & reader.runs.ready
        pending = []
        for buffer in range(2):
            count = Signal(range(2 * RUNS_WAITING + 3), name=f"pending_{buffer}")
            arrives = sent & (reader.runs.payload.address[-1] == buffer)
            leaves = sequencer.done.active & (sequencer.done.buffer == buffer)
            m.d.sync += count.eq(count + arrives - leaves)
            held = Signal(name=f"held_{buffer}")
            m.d.sync += held.eq(count.any() | (reader.runs.valid & (reader.runs.payload.address[-1] == buffer)))
            pending.append(held)
        m.d.comb += [
            packer.hold.eq(Mux(reader.codes.payload.header.buffer, pending[1], pending[0])),
        ]
        connect(m, packer.write, sequencer.write)
        connect(m, packer.listed, sequencer.listed)
        connect(m, packer.token, sequencer.token)
        m.d.comb += [
            sequencer.neurons_busy.eq(draining | full),
            array.feed.eq(sequencer.feed),
            array.charges.ready.eq(1),
            backend.i.valid.eq(array.charges.valid),
            backend.i.value.charge.eq(array.charges.payload),
            backend.i.value.reference.eq(array.reference),
            backend.i.value.phase.eq(phase),
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
        self._announce(m, packets, writer)

        fed = Signal()
        loud = Signal(range(self.spec.lanes + 1))
        m.d.sync += [
            fed.eq(sequencer.fed),
            loud.eq(sum(level.any() for level in sequencer.feed.levels)),
        ]
        faults = Cat(reader.malformed, packer.refused, sequencer.strayed)
        self._report(m, writer, stepped=fed, fired=loud, faults=faults)
        self._join_output(m, writer)
        m.d.comb += self.busy.eq(
            ~reader.waiting
            | packer.taking
            | runs.o.valid
            | ~sequencer.idle
            | draining
            | packets.o.valid
            | writer.o.valid
        )
        return m
