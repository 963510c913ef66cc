"""The sequencer replays scores: beats of sorted tokens become the operations of the array, cycle by cycle."""

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import data, stream
from amaranth.lib.wiring import Component, In, Out

from spikequant.golden.layer.spec import Spec
from spikequant.rtl.fabric.carry import exceeds
from spikequant.rtl.fabric.memory import BlockMemory
from spikequant.rtl.fabric.queue import BlockQueue
from spikequant.rtl.interfaces import BufferEvent, Write
from spikequant.rtl.shapes import (
    Behind,
    Half,
    beat_layout,
    bits_for_index,
    cycle_layout,
    idle_place,
    phase_layout,
    run_layout,
    score_address_bits,
    step_layout,
)

AHEAD = 16
"""Beats that may be read ahead of the array, enough to hide the latency to the next score."""

FETCH_CYCLES = 3
"""Cycles from a score's address to its beat."""

RESTART_CYCLES = 2
"""Cycles between the last beat of a run and the first beat of the next one in which no beat is read."""

STALE_CYCLES = 2
"""Lag of the count of queued beats, in cycles."""

MOST_STORED = AHEAD - 2 - FETCH_CYCLES - STALE_CYCLES
"""Most queued beats with which another one may be read, so that it fits with those still being read."""

ADDRESS_CYCLES = 3
"""Cycles from a beat that is taken to the rows of its spikes."""


def score_write_layout(spec: Spec) -> data.StructLayout:
    """A beat and its address."""
    return data.StructLayout({"address": score_address_bits(spec), "beat": beat_layout(spec)})


class Sequencer(Component):
    """Stores scores, and runs them in order.

    A beat takes one cycle for its spikes and one for each tick, of which the last one shares the next beat's cycle.
    Beats that double have their first doubling in their own cycle. The last tick of a phase, which finishes the charge,
    and the last one before a doubling have a cycle of their own, in which the current is cleared. The end of a phase
    stalls until the neurons can take it.

    Latency: eleven cycles from a run to its first spikes; none if the previous run is still in progress and takes at
    least ``RESTART_CYCLES`` more than it has beats.
    Throughput: a beat and a tick a cycle.
    Handshake: ``runs`` is a stream; writes are never refused; ``neurons_busy`` stalls the end of a phase.

    Attributes:
        write: a beat to store.
        runs: scores to run, in order.
        cycle: operation of the array.
        neurons_busy: no phase may end yet.
        ended, phase: a phase ends, and where its charges go.
        done: all beats of a run have been read from that buffer.
        idle: no run is queued or in progress.
        strayed: pulses when a spike lies beyond the synapse memory; it is dropped.
        cut: pulses when a run goes beyond its buffer; it ends there.
    """

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        super().__init__(
            {
                "write": In(Write(score_write_layout(spec))),
                "runs": In(stream.Signature(run_layout(spec))),
                "cycle": Out(cycle_layout(spec)),
                "neurons_busy": In(1),
                "ended": Out(1),
                "phase": Out(phase_layout(spec)),
                "done": Out(BufferEvent()),
                "idle": Out(1),
                "strayed": Out(1),
                "cut": Out(1),
            }
        )

    def elaborate(self, _platform: object) -> Module:
        """A fetcher that reads ahead, a queue, the executor, and the translation from places to rows."""
        m = Module()
        m.submodules.queue = queue = BlockQueue(beat_layout(self._spec), depth=AHEAD, distributed=True)
        fetched = Signal(run_layout(self._spec))
        fetching = Signal()
        waiting = Signal()
        running = Signal()
        self._fetch(m, queue, fetched, fetching=fetching, waiting=waiting)
        self._execute(m, queue, fetched, waiting=waiting, running=running)
        m.d.comb += self.idle.eq(~self.runs.valid & ~fetching & ~waiting & ~running)
        return m

    def _fetch(self, m: Module, queue: BlockQueue, fetched: data.View, *, fetching: Signal, waiting: Signal) -> None:
        """Read a score up to its end; ``waiting`` until the executor has taken the run."""
        spec = self._spec
        m.submodules.scores = scores = BlockMemory(shape=beat_layout(spec), depth=2 * spec.score_words)
        m.d.comb += [
            scores.write.address.eq(self.write.data.address),
            scores.write.data.eq(self.write.data.beat),
            scores.write.enable.eq(self.write.enable),
        ]
        # a run is found to end too late in its cycle to change much: the next one is taken in the cycle after
        takes = Signal()
        begins = Signal()
        counted = Signal(score_address_bits(spec))
        address = Signal.like(counted)
        valid = Signal(FETCH_CYCLES)
        room = Signal()
        m.d.sync += room.eq(queue.stored <= MOST_STORED)
        found = valid[-1]
        # a run ends at its buffer's last word in any case
        at_last = Signal(FETCH_CYCLES)
        m.d.sync += at_last.eq((at_last << 1) | address[:-1].all())
        word = Signal(beat_layout(spec))
        read = Signal(beat_layout(spec), reset_less=True)
        m.d.sync += read.eq(scores.output)
        cut = at_last[-1] & (read.behind != Behind.END)
        # a cycle before the last beat is found, so that the next run follows closely
        ends = valid[-2] & (at_last[-2] | (scores.output.behind == Behind.END))
        m.d.comb += [
            takes.eq(self.runs.valid & (~fetching | ends) & ~waiting & ~begins),
            self.runs.ready.eq(begins),
            address.eq(Mux(begins, self.runs.payload.address, counted)),
            scores.address.eq(address),
            scores.advance.eq(1),
            word.eq(read),
            queue.i.value.eq(word),
            queue.i.valid.eq(found),
        ]
        # registers, as the end comes late in its cycle
        m.d.sync += [self.done.active.eq(ends), self.done.buffer.eq(fetched.address[-1])]
        with m.If(cut):
            m.d.comb += [word.behind.eq(Behind.END), self.cut.eq(found)]
        m.d.sync += valid.eq((valid << 1) | (fetching & room))
        m.d.sync += [counted.eq(address + (fetching & room)), begins.eq(takes)]
        with m.If(ends):
            # discard what was read beyond the end
            m.d.sync += [fetching.eq(0), valid.eq(1 << (FETCH_CYCLES - 1))]
        with m.If(takes):
            m.d.sync += fetching.eq(1)
        with m.If(begins):
            m.d.sync += [fetched.eq(self.runs.payload), waiting.eq(1)]

    def _execute(self, m: Module, queue: BlockQueue, fetched: data.View, *, waiting: Signal, running: Signal) -> None:
        """Execute beats in order: spikes, ticks, and the end of a phase."""
        spec = self._spec
        run = Signal(run_layout(spec))
        ending = Signal()
        with m.If(waiting & (~running | ending)):
            m.d.sync += [run.eq(fetched), running.eq(1), waiting.eq(0)]
        with m.Elif(ending):
            m.d.sync += running.eq(0)

        # the next beat, decoded
        coming = queue.o.payload
        beat = Signal(beat_layout(spec), reset_less=True)
        ready = Signal()
        # ticks that follow the beat's own cycle, and whether the next beat waits for more than that cycle
        following = Signal.like(beat.ticks)
        some_follow = Signal()
        one_follows = Signal()
        finishes = Signal()
        stays = Signal()
        take = Signal()
        comes_last = (coming.behind == Behind.END) | (coming.behind == Behind.SHIFTED)
        # whether a beat may be taken; a register, since it drives the queue's memory in the same cycle
        open_ = Signal(name="open")
        m.d.comb += [take.eq(ready & open_), queue.o.ready.eq(~ready | open_)]
        with m.If(queue.o.ready):
            m.d.sync += [
                ready.eq(queue.o.valid),
                beat.eq(coming),
                following.eq(coming.ticks - coming.double),
                some_follow.eq(Mux(coming.double, coming.ticks > 1, coming.ticks.any())),
                one_follows.eq(coming.ticks == Mux(coming.double, 2, 1)),
                finishes.eq(comes_last),
                stays.eq(comes_last | (coming.ticks > 1) | ((coming.behind == Behind.DOUBLE) & coming.ticks.any())),
            ]

        ticks = Signal(spec.ramp.bit_length())
        ticking = Signal()
        last_tick = Signal()
        # the current is cleared with the last tick; ticks double the charge; the last tick leaves room for a beat
        clears = Signal()
        doubling = Signal()
        shares = Signal()
        # the current beat is its phase's last one; only the end of the phase is left
        finishing = Signal()
        at_end = Signal()
        shifted = Signal()
        started = Signal()
        step = Signal(step_layout())
        doubles = beat.behind == Behind.DOUBLE
        with m.If(at_end), m.If(~self.neurons_busy):
            m.d.comb += [
                step.keep_charge.eq(1),
                step.finish.eq(1),
                step.clear.eq(1),
                self.ended.eq(1),
                ending.eq(~shifted),
            ]
            m.d.sync += [started.eq(shifted), at_end.eq(0), open_.eq(shifted | waiting)]
        with m.Elif(ticking):
            m.d.comb += [step.keep_charge.eq(1), step.double.eq(doubling), step.clear.eq(last_tick & clears)]
            m.d.sync += [
                ticks.eq(ticks - 1),
                ticking.eq(~last_tick),
                last_tick.eq(ticks == 2),
                at_end.eq(last_tick & finishing),
                open_.eq(~finishing & Mux(shares, ticks <= 2, last_tick)),
            ]
        with m.Else():
            m.d.sync += open_.eq(running | waiting)
        with m.If(take):
            with m.If(beat.double):
                m.d.comb += [step.keep_charge.eq(1), step.double.eq(1)]
            with m.Else():
                m.d.comb += step.keep_current.eq(1)
            with m.If(doubles & ~some_follow):
                m.d.comb += step.clear.eq(1)
            m.d.sync += [
                ticks.eq(following),
                ticking.eq(some_follow),
                last_tick.eq(one_follows),
                clears.eq(doubles),
                doubling.eq(beat.double),
                shares.eq(~beat.double & ~doubles),
                finishing.eq(finishes),
                at_end.eq(finishes & ~some_follow),
                shifted.eq(beat.behind == Behind.SHIFTED),
                open_.eq(~stays),
            ]

        high = Mux(run.half == Half.HIGH, spec.weight_bits, 0)
        m.d.comb += [
            self.phase.slot.eq(run.slot),
            self.phase.shift.eq(high + Mux(shifted, run.shift, 0)),
            self.phase.first.eq(run.first & ~started),
            self.phase.last.eq(run.last & ~shifted),
            self.phase.low.eq(run.half == Half.LOW),
            self.phase.brief.eq(run.brief),
        ]
        self._address(m, beat, step, run.first_row, take)

    def _address(self, m: Module, beat: data.View, step: data.View, first_row: Value, take: Value) -> None:
        """Rows of the spikes that fire, in three stages: the sum, its check, and the choice."""
        spec = self._spec
        stages = [Signal(step_layout(), name=f"step_{stage}") for stage in range(1, ADDRESS_CYCLES)]
        for now, after in zip((step, *stages), (*stages, self.cycle.step), strict=True):
            m.d.sync += after.eq(now)
        strays = Signal(spec.lanes)
        for lane, spike in enumerate(beat.spikes):
            row = Signal(range(2 * spec.memory_rows), name=f"row_{lane}", reset_less=True)
            checked = Signal(bits_for_index(spec.memory_rows), name=f"checked_row_{lane}", reset_less=True)
            fires, sign, stays, checked_sign = (
                Signal(name=f"{name}_{lane}") for name in ("fires", "sign", "stays", "checked_sign")
            )
            m.d.sync += [
                row.eq(spike.place + first_row),
                fires.eq(take & ~beat.double & (spike.place != idle_place(spec))),
                sign.eq(spike.sign),
                checked.eq(row),
                checked_sign.eq(sign),
                stays.eq(fires & ~exceeds(row, spec.pair_rows)),
                strays[lane].eq(fires & exceeds(row, spec.pair_rows)),
                self.cycle.fire[lane].eq(stays),
                self.cycle.row[lane].eq(checked),
                self.cycle.sign[lane].eq(checked_sign),
            ]
            # cleared, which takes no lookup table
            with m.If(~stays):
                m.d.sync += [self.cycle.row[lane].eq(0), self.cycle.sign[lane].eq(0)]
        m.d.comb += self.strayed.eq(strays.any())
