"""The whole accelerator: packets in, packets out."""

from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib import data
from amaranth.lib.wiring import Component, In, Out, connect

from golden.spec import WORD_BITS, Spec
from rtl.backend import packets_waiting
from rtl.cluster import Cluster
from rtl.encoder import Encoder
from rtl.queue import RegisterStage, StreamQueue
from rtl.reader import PacketReader
from rtl.sequencer import ADDRESS_CYCLES, Sequencer
from rtl.shapes import packet_layout, phase_layout, run_layout, word_layout
from rtl.writer import PacketWriter

RUNS_WAITING = 4
"""Runs that wait for the one under way."""


class Accelerator(Component):
    """One AXI4-Stream of packets in, one out; ``rtl.shapes`` says what the packets are.

    While one token's spikes run, the next one's codes are sorted, the previous phase's charges reach the membranes,
    and results leave. What waits: the end of a phase until the charges of the one before have left the array and
    until there is room for its results, a score for the runs of its buffer and a run for the score that is being made
    in its buffer, and a change of weights or constants for all runs before it and their results.

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
        m.submodules.incoming = incoming = RegisterStage(word_layout())
        m.submodules.reader = reader = PacketReader(self.spec)
        m.submodules.encoder = encoder = Encoder(self.spec)
        m.submodules.runs = runs = StreamQueue(run_layout(self.spec), depth=RUNS_WAITING)
        m.submodules.sequencer = sequencer = Sequencer(self.spec)
        clusters = [Cluster(self.spec, number) for number in range(self.spec.clusters)]
        # RESULT packets on their way, from the end of their last phase to their last word
        m.submodules.packets = packets = StreamQueue(packet_layout(self.spec), depth=packets_waiting(self.spec))
        m.submodules.writer = writer = PacketWriter(self.spec)

        m.d.comb += [
            incoming.i.payload.data.eq(self.s_axis_tdata),
            incoming.i.payload.last.eq(self.s_axis_tlast),
            incoming.i.valid.eq(self.s_axis_tvalid),
            self.s_axis_tready.eq(incoming.i.ready),
        ]
        settling = self._end_phases(m, sequencer, packets)
        # weights and constants take a few cycles to their memories, and so does a token to where it needs them
        m.d.sync += reader.idle.eq(~reader.runs.valid & ~runs.o.valid & sequencer.idle & ~settling & ~packets.o.valid)
        connect(m, incoming.o, reader.i)
        connect(m, reader.codes, encoder.i)
        connect(m, reader.runs, runs.i)
        # a run waits for the scores that are being made in its buffer, while the next codes come in behind it
        made, starts = Signal(), Signal()
        m.d.sync += made.eq(runs.o.valid & ~encoder.busy.bit_select(runs.o.payload.address[-1], 1) & ~starts)
        m.d.comb += [
            starts.eq(made & sequencer.runs.ready),
            sequencer.runs.payload.eq(runs.o.payload),
            sequencer.runs.valid.eq(made),
            runs.o.ready.eq(starts),
        ]

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
            encoder.hold.eq(Cat(pending)),
            sequencer.write.eq(encoder.write),
            sequencer.write_enable.eq(encoder.write_enable),
        ]
        phase: data.View = sequencer.phase
        for stage in range(ADDRESS_CYCLES):
            delayed = Signal(phase_layout(self.spec), name=f"phase_{stage + 1}", reset_less=True)
            m.d.sync += delayed.eq(phase)
            phase = delayed
        for number, cluster in enumerate(clusters):
            m.submodules[f"cluster_{number}"] = cluster
            m.d.comb += [
                cluster.write.eq(reader.weights),
                cluster.write_enable.eq(reader.weights_enable),
                cluster.constants.eq(reader.neuron),
                cluster.constants_enable.eq(reader.neuron_enable),
                cluster.cycle.eq(sequencer.cycle),
                cluster.phase.eq(phase),
            ]
            connect(m, cluster.words, writer.words[number])
        # known from a register, a cycle late
        known = Signal()
        m.d.sync += known.eq(packets.o.valid & ~packets.o.ready)
        m.d.comb += [
            writer.packets.valid.eq(known),
            writer.packets.payload.eq(packets.o.payload),
            packets.o.ready.eq(writer.packets.ready),
        ]

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
                incoming.o.valid
                | ~reader.waiting
                | encoder.busy.any()
                | runs.o.valid
                | ~sequencer.idle
                | settling
                | packets.o.valid
                | writer.o.valid
            ),
        ]
        return m

    def _end_phases(self, m: Module, sequencer: Sequencer, packets: StreamQueue) -> Value:
        """Lets a phase end when the charges of the one before have left, and there is room for its results.

        Returns:
            Whether charges of a phase are on their way to the membranes.
        """
        spec = self.spec
        # cycles since the end of a phase, counted down
        settled = ADDRESS_CYCLES + Cluster.latency(spec)
        left = Signal(range(settled + 1))
        settling, draining, blocked = Signal(), Signal(), Signal()
        # all but the next end itself may know of an end a cycle later
        ended = Signal()
        phase = Signal(phase_layout(spec), reset_less=True)
        m.d.sync += [ended.eq(sequencer.ended), phase.eq(sequencer.phase)]
        with m.If(settling):
            m.d.sync += [left.eq(left - 1), settling.eq(left != 1)]
        with m.If(left == settled - spec.drain_cycles + 4):
            m.d.sync += draining.eq(0)
        with m.If(ended):
            m.d.sync += [left.eq(settled), settling.eq(1), draining.eq(1)]
        m.d.sync += blocked.eq(sequencer.ended | ended | draining | ~packets.i.ready)
        m.d.comb += [
            packets.i.valid.eq(ended & phase.last),
            packets.i.payload.slot.eq(phase.slot),
            packets.i.payload.brief.eq(phase.brief),
            sequencer.neurons_busy.eq(blocked),
        ]
        return ended | settling
