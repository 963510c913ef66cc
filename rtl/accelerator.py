"""The whole accelerator: packets in, packets out."""

from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib import data
from amaranth.lib.wiring import connect

from spikequant.rtl.charge_buffer import PHASES
from spikequant.rtl.cluster import Cluster
from spikequant.rtl.encoder.encoder import Encoder
from spikequant.rtl.fabric.queue import RegisterStage, StreamQueue
from spikequant.rtl.hazards import NUMBER_BITS, BufferHazards
from spikequant.rtl.packet_component import PacketComponent
from spikequant.rtl.reader import PacketReader
from spikequant.rtl.result_queue import packets_waiting
from spikequant.rtl.sequencer import ADDRESS_CYCLES, Sequencer
from spikequant.rtl.shapes import packet_layout, phase_layout, run_layout
from spikequant.rtl.writer import PacketWriter

RUNS_GRANTED = 2
"""Runs that may start, and are queued while another one is in progress."""

RUNS_WAITING = 4 + RUNS_GRANTED
"""Runs that are queued while another one is in progress."""


class Accelerator(PacketComponent):
    """The spiking accelerator: encoder, clusters of neurons, and the packets that control them.

    While one token's spikes run, the encoder sorts the next token's codes, the previous phase's charges reach the
    membranes, and results leave. Four things stall: the end of a phase, until the previous phase's charges have left
    the array and there is room for its results; the writing of a score, until all earlier runs of its buffer have read
    theirs; a run, until all earlier scores of its buffer are written; and new weights or constants, until all earlier
    runs and their results are done.

    Throughput: a stream word a cycle in and out, a beat or a tick of the array a cycle.
    """

    def elaborate(self, _platform: object) -> Module:
        """Reader, encoder, sequencer, clusters of neurons, writer, and the hazards between them."""
        m = Module()
        m.submodules.reader = reader = PacketReader(self.spec)
        m.submodules.encoder = encoder = Encoder(self.spec)
        waiting_run = data.StructLayout({"run": run_layout(self.spec), "behind": NUMBER_BITS})
        m.submodules.runs = runs = StreamQueue(waiting_run, depth=RUNS_WAITING - RUNS_GRANTED)
        m.submodules.turns = hazards = BufferHazards(most_runs=RUNS_WAITING + 2)
        # RUNS_GRANTED runs
        m.submodules.granted = granted = RegisterStage(run_layout(self.spec))
        m.submodules.sequencer = sequencer = Sequencer(self.spec)
        clusters = [Cluster(self.spec, number) for number in range(self.spec.clusters)]
        # headers of RESULT packets, from the end of the last phase to the packet's last word
        m.submodules.packets = packets = StreamQueue(packet_layout(self.spec), depth=packets_waiting(self.spec))
        m.submodules.writer = writer = PacketWriter(self.spec)

        self._join_input(m, reader)
        settling = self._end_phases(m, sequencer, packets, clusters[0].read)
        # weights, constants and tokens take a few cycles to where they are needed, which hides this one
        m.d.sync += reader.idle.eq(~reader.runs.valid & ~runs.o.valid & sequencer.idle & ~settling & ~packets.o.valid)
        connect(m, reader.codes, encoder.i)
        m.d.comb += [
            runs.i.payload.run.eq(reader.runs.payload),
            runs.i.payload.behind.eq(hazards.behind),
            runs.i.valid.eq(reader.runs.valid),
            reader.runs.ready.eq(runs.i.ready),
        ]
        connect(m, encoder.begins, hazards.begins)
        connect(m, encoder.made, hazards.made)
        m.d.comb += [
            # the reader offers a run only where there is room for it
            hazards.sent.active.eq(reader.runs.valid),
            hazards.sent.buffer.eq(reader.runs.payload.address[-1]),
        ]
        connect(m, sequencer.done, hazards.read)
        m.d.comb += [
            hazards.waiting_buffer.eq(runs.o.payload.run.address[-1]),
            hazards.waiting_behind.eq(runs.o.payload.behind),
            encoder.held.eq(hazards.held),
        ]
        m.d.comb += [
            granted.i.payload.eq(runs.o.payload.run),
            granted.i.valid.eq(runs.o.valid & hazards.ready),
            runs.o.ready.eq(granted.i.ready & hazards.ready),
        ]
        connect(m, granted.o, sequencer.runs)
        connect(m, encoder.write, sequencer.write)
        phase: data.View = sequencer.phase
        for stage in range(ADDRESS_CYCLES):
            delayed = Signal(phase_layout(self.spec), name=f"phase_{stage + 1}", reset_less=True)
            m.d.sync += delayed.eq(phase)
            phase = delayed
        for number, cluster in enumerate(clusters):
            m.submodules[f"cluster_{number}"] = cluster
            connect(m, reader.weights, cluster.write)
            connect(m, reader.neuron, cluster.constants)
            m.d.comb += [cluster.cycle.eq(sequencer.cycle), cluster.phase.eq(phase)]
            connect(m, cluster.words, writer.words[number])
        self._announce(m, packets, writer)
        if self.spec.weight_parity:
            corrupted, found = Signal(), Signal(self.spec.clusters, name="corrupted_in")
            m.d.sync += [
                found.eq(Cat(cluster.corrupted for cluster in clusters)),
                corrupted.eq(corrupted | found.any()),
            ]
            m.d.comb += writer.corrupted.eq(corrupted)

        stepped = Signal()
        fired = Signal(range(self.spec.lanes + 1))
        m.d.sync += [stepped.eq(sequencer.cycle.step.as_value().any()), fired.eq(sum(sequencer.cycle.fire))]
        was_waiting = Signal(init=1)
        was_inside = Signal()
        faults = Cat(reader.malformed, encoder.refused, sequencer.strayed, sequencer.cut)
        self._report(m, writer, stepped=stepped, fired=fired, faults=faults)
        self._join_output(m, writer)
        m.d.comb += self.busy.eq(~reader.waiting | ~was_waiting | was_inside | writer.o.valid)
        # a cycle late, which is in time because nothing that comes in leaves at once
        m.d.sync += [
            was_waiting.eq(reader.waiting),
            was_inside.eq(encoder.busy | runs.o.valid | ~sequencer.idle | settling | packets.o.valid),
        ]
        return m

    def _end_phases(self, m: Module, sequencer: Sequencer, packets: StreamQueue, read: Value) -> Value:
        """Let a phase end when there is room for its charges and for its results.

        Returns:
            Whether charges of a phase are on their way to the membranes.
        """
        spec = self.spec
        # cycles in which the charges of the last phase still leave the array
        draining = Signal()
        left = Signal(range(spec.drain_cycles))
        # phases whose charges are in the array or its buffer; cycles until the membranes of a phase read are stored
        unread = Signal(range(PHASES + 1))
        unsettled = Signal(range(Cluster.settling_cycles(spec) + 1))
        blocked = Signal()
        # only the next end of a phase must depend on an end in the same cycle; the rest may lag by one
        ended = Signal()
        phase = Signal(phase_layout(spec), reset_less=True)
        m.d.sync += [
            ended.eq(sequencer.ended),
            phase.eq(sequencer.phase),
            unread.eq(unread + sequencer.ended - read),
            blocked.eq(sequencer.ended | ended | draining | (unread == PHASES) | ~packets.i.ready),
        ]
        with m.If(draining):
            m.d.sync += [left.eq(left - 1), draining.eq(left != 1)]
        with m.If(ended):
            m.d.sync += [left.eq(spec.drain_cycles - 3), draining.eq(1)]
        was_read = Signal()
        m.d.sync += was_read.eq(read)
        with m.If(was_read):
            m.d.sync += unsettled.eq(Cluster.settling_cycles(spec))
        with m.Elif(unsettled.any()):
            m.d.sync += unsettled.eq(unsettled - 1)
        m.d.comb += [
            packets.i.valid.eq(ended & phase.last),
            packets.i.payload.slot.eq(phase.slot),
            packets.i.payload.brief.eq(phase.brief),
            sequencer.neurons_busy.eq(blocked),
        ]
        return unread.any() | was_read | unsettled.any()
