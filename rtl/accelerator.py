"""The whole accelerator: packets in, packets out."""

from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib import data
from amaranth.lib.wiring import Component, In, Out, connect

from spikequant.golden.layer.spec import WORD_BITS, Spec
from spikequant.rtl.charge_buffer import PHASES
from spikequant.rtl.cluster import Cluster
from spikequant.rtl.encoder.encoder import Encoder
from spikequant.rtl.fabric.queue import RegisterStage, StreamQueue
from spikequant.rtl.hazards import NUMBER_BITS, BufferTurns
from spikequant.rtl.reader import PacketReader
from spikequant.rtl.result_queue import packets_waiting
from spikequant.rtl.sequencer import ADDRESS_CYCLES, Sequencer
from spikequant.rtl.shapes import packet_layout, phase_layout, run_layout, word_layout
from spikequant.rtl.writer import PacketWriter

RUNS_WAITING = 4
"""Runs that wait for the one under way."""


class Accelerator(Component):
    """One AXI4-Stream of packets in, one out; ``spikequant.rtl.shapes`` says what the packets are.

    While one token's spikes run, the next one's codes are sorted, the previous phase's charges reach the membranes,
    and results leave. What waits: the end of a phase until the charges of the one before have left the array and
    until there is room for its results, the writing of a score for the runs of its buffer that came before it and a
    run for the scores of its buffer that did, and a change of weights or constants for all runs before it and their
    results.

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
        """Reader, encoder, sequencer, clusters of neurons, writer; and what waits for what between them."""
        m = Module()
        m.submodules.reader = reader = PacketReader(self.spec)
        m.submodules.encoder = encoder = Encoder(self.spec)
        waiting_run = data.StructLayout({"run": run_layout(self.spec), "behind": NUMBER_BITS})
        m.submodules.runs = runs = StreamQueue(waiting_run, depth=RUNS_WAITING)
        m.submodules.turns = turns = BufferTurns(most_runs=RUNS_WAITING + 2)
        m.submodules.sequencer = sequencer = Sequencer(self.spec)
        clusters = [Cluster(self.spec, number) for number in range(self.spec.clusters)]
        # RESULT packets on their way, from the end of their last phase to their last word
        m.submodules.packets = packets = StreamQueue(packet_layout(self.spec), depth=packets_waiting(self.spec))
        m.submodules.writer = writer = PacketWriter(self.spec)
        m.submodules.outgoing = outgoing = RegisterStage(word_layout())

        m.d.comb += [
            reader.i.payload.data.eq(self.s_axis_tdata),
            reader.i.payload.last.eq(self.s_axis_tlast),
            reader.i.valid.eq(self.s_axis_tvalid),
            self.s_axis_tready.eq(reader.i.ready),
        ]
        settling = self._end_phases(m, sequencer, packets, clusters[0].read)
        # weights and constants take a few cycles to their memories, and so does a token to where it needs them
        m.d.sync += reader.idle.eq(~reader.runs.valid & ~runs.o.valid & sequencer.idle & ~settling & ~packets.o.valid)
        connect(m, writer.o, outgoing.i)
        connect(m, reader.codes, encoder.i)
        connect(m, encoder.begins, turns.begins)
        connect(m, encoder.made, turns.made)
        connect(m, encoder.write, sequencer.write)
        connect(m, sequencer.done, turns.read)
        m.d.comb += [
            runs.i.payload.run.eq(reader.runs.payload),
            runs.i.payload.behind.eq(turns.behind),
            runs.i.valid.eq(reader.runs.valid),
            reader.runs.ready.eq(runs.i.ready),
            # it is offered only where there is room
            turns.sent.pulse.eq(reader.runs.valid),
            turns.sent.buffer.eq(reader.runs.payload.address[-1]),
            turns.waiting_buffer.eq(runs.o.payload.run.address[-1]),
            turns.waiting_behind.eq(runs.o.payload.behind),
            encoder.held.eq(turns.held),
        ]
        may_start, starts = Signal(), Signal()
        m.d.sync += may_start.eq(runs.o.valid & turns.ready & ~starts)
        m.d.comb += [
            starts.eq(may_start & sequencer.runs.ready),
            sequencer.runs.payload.eq(runs.o.payload.run),
            sequencer.runs.valid.eq(may_start),
            runs.o.ready.eq(starts),
        ]
        phase: data.View = sequencer.phase
        for stage in range(ADDRESS_CYCLES):
            delayed = Signal(phase_layout(self.spec), name=f"phase_{stage + 1}", reset_less=True)
            m.d.sync += delayed.eq(phase)
            phase = delayed
        for number, cluster in enumerate(clusters):
            m.submodules[f"cluster_{number}"] = cluster
            m.d.comb += [
                cluster.cycle.eq(sequencer.cycle),
                cluster.phase.eq(phase),
            ]
            connect(m, reader.weights, cluster.write)
            connect(m, reader.neuron, cluster.constants)
            connect(m, cluster.words, writer.words[number])
        # known from registers, a cycle late
        m.d.sync += [
            writer.packets.valid.eq(packets.o.valid & ~packets.o.ready),
            writer.packets.payload.eq(packets.o.payload),
        ]
        m.d.comb += packets.o.ready.eq(writer.packets.ready)

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
        was_waiting, was_inside = Signal(init=1), Signal()
        faults = Signal(4)
        m.d.sync += [
            faults.eq(Cat(reader.malformed, encoder.refused, sequencer.strayed, sequencer.cut)),
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
            self.busy.eq(~reader.waiting | ~was_waiting | was_inside | writer.o.valid | outgoing.o.valid),
        ]
        # what has come in is known a cycle later, since none of it leaves at once
        m.d.sync += [
            was_waiting.eq(reader.waiting),
            was_inside.eq(encoder.busy | runs.o.valid | ~sequencer.idle | settling | packets.o.valid),
        ]
        return m

    def _end_phases(self, m: Module, sequencer: Sequencer, packets: StreamQueue, read: Value) -> Value:
        """Lets a phase end when there is room for its charges and for its results.

        Returns:
            Whether charges of a phase are on their way to the membranes.
        """
        spec = self.spec
        # cycles in which the charges of the last phase still leave the array
        draining, left = Signal(), Signal(range(spec.drain_cycles))
        # phases whose charges are on their way or in the buffers, and cycles until the membranes are stored behind them
        unread, unsettled = Signal(range(PHASES + 1)), Signal(range(Cluster.settling_cycles(spec) + 1))
        blocked = Signal()
        # all but the next end itself may know of an end a cycle later
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
