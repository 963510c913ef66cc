"""The sequencer feeds the multiply-accumulate array: a row of a token's levels a cycle, silent or not."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream
from amaranth.lib.wiring import Component, In, Out, connect, flipped

from spikequant.benchmarks.twin.arithmetic import level_bits, together
from spikequant.benchmarks.twin.array import feed_layout
from spikequant.benchmarks.twin.buffers import (
    levels_write_layout,
    listed_layout,
    place_bits,
    stored_layout,
    token_write_layout,
)
from spikequant.benchmarks.twin.planner import MacPlanner, segment_layout
from spikequant.benchmarks.twin.queue import RowQueue
from spikequant.golden.layer.spec import Spec
from spikequant.rtl.fabric.carry import exceeds
from spikequant.rtl.fabric.memory import BlockMemory
from spikequant.rtl.fabric.registers import Replica, registered
from spikequant.rtl.interfaces import BufferEvent, Write
from spikequant.rtl.shapes import bits_for_index, phase_layout, run_layout

AHEAD = 16
"""Rows read ahead of the array: those in the pipeline, and some more."""


def row_bits(spec: Spec) -> int:
    """Width of a row of the synapse memory, without the place of a lane in its pair."""
    return bits_for_index(2 * spec.lane_rows)


def ready_row_layout(spec: Spec) -> data.StructLayout:
    """A row of levels in the queue to the array.

    ``row``: of the weights. ``double``: double the charges instead. ``low``: do not count the levels for the zero
    points. ``twice``, ``thrice``: a level is too large for the multipliers, which take it in two parts, or three.
    ``ends``: a phase ends, and ``phase`` is the destination of its charges.
    """
    return data.StructLayout(
        {
            "levels": data.ArrayLayout(stored_layout(spec)["level"].shape, spec.lanes),
            "row": row_bits(spec),
            **dict.fromkeys(("double", "low", "twice", "thrice", "ends"), 1),
            "phase": phase_layout(spec),
        }
    )


class MacSequencer(Component):
    """Stores levels, and runs tokens in order without a cycle between them.

    All rows of a token are fed, one a cycle; ``MacPlanner`` selects listed rows to feed first. A row with a level too
    large for the multipliers is fed again with the remainder. The end of a phase stalls until the neurons have taken
    the previous phase. Rows are read ahead, so only the last one stalls.

    Latency: sixteen cycles from a run to its first row. Throughput: a row or a doubling a cycle.
    Handshake: ``runs`` is a stream; writes are never refused; ``neurons_busy`` stalls the end of a phase.

    Attributes:
        write, listed, token: writes of ``LevelPacker``.
        runs: tokens to run, in order.
        feed: operation of the array; ``fed`` if it is a row or a doubling.
        neurons_busy: no phase may end yet.
        ended, phase: a phase ends, and the destination of its charges.
        done: all rows of a run have been read from that buffer.
        idle: no run is queued or in progress.
        strayed: pulses when a level lies beyond the synapse memory, which is dropped.
    """

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        super().__init__(
            {
                "write": In(Write(levels_write_layout(spec))),
                "listed": In(Write(listed_layout(spec))),
                "token": In(Write(token_write_layout(spec))),
                "runs": In(stream.Signature(run_layout(spec))),
                "feed": Out(feed_layout(spec)),
                "fed": Out(1),
                "neurons_busy": In(1),
                "ended": Out(1),
                "phase": Out(phase_layout(spec)),
                "done": Out(BufferEvent()),
                "idle": Out(1),
                "strayed": Out(1),
            }
        )

    def elaborate(self, _platform: object) -> Module:
        """Segments become steps, steps become rows, and rows wait for the array."""
        m = Module()
        spec = self._spec
        m.submodules.planner = planner = MacPlanner(spec)
        m.submodules.queue = queue = RowQueue(ready_row_layout(spec), depth=AHEAD)
        connect(m, flipped(self.runs), planner.runs)
        connect(m, flipped(self.token), planner.write)
        room = Signal()
        step, valid, place, active = self._steps(m, planner, room)
        self._read(m, step, valid, place, queue)
        feeding = self._feed(m, queue)

        issued, taken = Signal(), Signal()
        ahead = Signal(range(AHEAD + 1))
        m.d.sync += [
            issued.eq(valid),
            taken.eq(queue.o.valid & queue.o.ready),
            # two more may follow from the previous cycles
            room.eq(ahead < AHEAD - 2),
        ]
        with m.If(issued ^ taken):
            m.d.sync += ahead.eq(ahead + Cat(Const(1, 1), taken.replicate(len(ahead) - 1)))
        m.d.comb += self.idle.eq(planner.idle & ~active & ~issued & ~ahead.any() & ~feeding)
        return m

    def _step_layout(self) -> data.StructLayout:
        """A row to read, or a doubling; ``index`` is the row's, or its place in the list where ``listed``."""
        spec = self._spec
        flags = dict.fromkeys(("listed", "salient", "normal", "low", "double", "ends", "done"), 1)
        return data.StructLayout(
            {
                **flags,
                "index": bits_for_index(spec.lane_rows),
                "place": place_bits(spec),
                "first_row": row_bits(spec),
                "phase": phase_layout(spec),
            }
        )

    def _steps(self, m: Module, planner: MacPlanner, room: Signal) -> tuple[data.View, Signal, Signal, Signal]:
        """One step a cycle, as long as there are segments and there is room for rows.

        Returns:
            The step, whether there is one, the place of its entry in the list, and whether a segment is under way.
        """
        spec = self._spec
        step = Signal(self._step_layout())
        segment = Signal(segment_layout(spec))
        active, valid, doubling = Signal(), Signal(), Signal()
        # known a cycle ahead: the step is the last one of its rows; of the segment; doublings follow the rows
        last, final, doubles, doubles_once = (
            Signal(name=name) for name in ("last_row", "final_step", "doubles", "doubles_once")
        )
        index = Signal(bits_for_index(spec.lane_rows))
        rows_left = Signal.like(index)
        place = Signal(place_bits(spec))
        left = Signal.like(segment.doublings)
        coming = planner.o.payload
        m.d.comb += [
            valid.eq(active & room),
            step.listed.eq(segment.listed),
            step.salient.eq(segment.salient),
            step.normal.eq(segment.normal),
            step.low.eq(segment.low),
            step.double.eq(doubling),
            step.ends.eq(segment.ends & last),
            step.done.eq(segment.done & last & ~doubling),
            step.index.eq(index),
            step.place.eq(segment.place),
            step.first_row.eq(segment.first_row >> (spec.pair_lanes - 1)),
            step.phase.eq(segment.phase),
            planner.o.ready.eq(~active | (room & final)),
        ]
        ends_rows = rows_left == 1
        with m.If(room):
            m.d.sync += [
                index.eq(index + 1),
                rows_left.eq(rows_left - 1),
                place.eq(place + 1),
                last.eq(last | ends_rows),
                final.eq(Mux(last, Mux(doubling, left == 2, doubles_once), ends_rows & ~doubles)),
                doubling.eq(last),
            ]
            with m.If(doubling):
                m.d.sync += left.eq(left - 1)
        with m.If(planner.o.ready):
            m.d.sync += [
                active.eq(planner.o.valid),
                segment.eq(coming),
                doubling.eq(0),
                last.eq(~coming.last.any()),
                doubles.eq(coming.doublings.any()),
                doubles_once.eq(coming.doublings == 1),
                final.eq(~coming.last.any() & ~coming.doublings.any()),
                left.eq(coming.doublings),
                index.eq(0),
                rows_left.eq(coming.last),
                place.eq(coming.place),
            ]
        return step, valid, place, active

    def _read(self, m: Module, step: data.View, valid: Signal, place: Signal, queue: RowQueue) -> None:
        """From steps to rows: the list, then the levels, of which those of the segment are kept."""
        spec = self._spec
        index_bits = bits_for_index(spec.lane_rows)
        steps, valids = [step], [valid]
        for number in range(1, 9):
            following = Signal(self._step_layout(), name=f"step_{number}", reset_less=True)
            valid = Signal(name=f"step_{number}_valid")
            m.d.sync += [following.eq(steps[-1]), valid.eq(valids[-1])]
            steps.append(following)
            valids.append(valid)

        m.submodules.list = listed = BlockMemory(shape=index_bits, depth=1 << place_bits(spec))
        m.d.comb += [
            listed.write.address.eq(self.listed.data.place),
            listed.write.data.eq(self.listed.data.row),
            listed.write.enable.eq(self.listed.enable),
            listed.address.eq(place),
        ]
        # at step 3, and from then on
        index = registered(m, Mux(steps[2].listed, listed.output, steps[2].index), "row_index")
        address = registered(m, (steps[3].place + index)[: place_bits(spec)], "row_place")
        row = registered(m, (steps[3].first_row + index)[: row_bits(spec)], "row_4")
        limit = spec.lane_rows - 1 if spec.pair_lanes == 2 else spec.lane_rows
        beyond = registered(m, exceeds(row, limit), "beyond_5")
        m.d.comb += [self.done.active.eq(valids[5] & steps[5].done), self.done.buffer.eq(steps[5].place[-1])]
        for number in range(5, 9):
            row = registered(m, row, f"row_{number}")
        beyond = registered(m, beyond, "beyond_6")
        beyond_later = registered(m, beyond, "beyond_7")

        now = steps[6]
        ready = Signal(ready_row_layout(spec))
        loud, twice, thrice = (Signal(spec.lanes, name=name) for name in ("loud", "twice", "thrice"))
        native = level_bits(spec)
        for lane, stored in enumerate(self._levels(m, address)):
            level = Signal.like(stored.level, name=f"level_{lane}", reset_less=True)
            chosen = valids[6] & ~now.double & Mux(stored.salient, now.salient, now.normal)
            m.d.sync += level.eq(stored.level)
            # cleared, which takes no lookup table
            with m.If(~chosen | beyond):
                m.d.sync += level.eq(0)
            m.d.sync += loud[lane].eq(chosen & stored.level.any())
            if len(level) > native:
                # of one bit more: the largest positive level alone leaves a third part
                m.d.comb += [
                    twice[lane].eq(level[-1] ^ level[-2]),
                    thrice[lane].eq(~level[-1] & level[:-1].all()),
                ]
            m.d.sync += ready.levels[lane].eq(level)
        m.d.sync += [
            self.strayed.eq(loud.any() & beyond_later),
            ready.twice.eq(twice.any()),
            ready.thrice.eq(thrice.any()),
        ]
        last = steps[8]
        m.d.comb += [
            ready.row.eq(row),
            ready.double.eq(last.double),
            ready.low.eq(last.low),
            ready.ends.eq(last.ends),
            ready.phase.eq(last.phase),
            queue.i.value.eq(ready),
            queue.i.valid.eq(valids[8]),
        ]

    def _levels(self, m: Module, address: Value) -> list[data.View]:
        """The levels of a row, two cycles after its address."""
        spec = self._spec
        width = together(spec)
        levels: list[data.View] = []
        for group in range(spec.lanes // width):
            shape = data.ArrayLayout(stored_layout(spec), width)
            m.submodules[f"levels_{group}"] = memory = BlockMemory(shape=shape, depth=1 << len(address))
            m.d.comb += [
                memory.write.address.eq(self.write.data.place),
                memory.write.enable.eq(self.write.enable & (self.write.data.group <= group)),
                memory.address.eq(address),
            ]
            with m.If(self.write.data.group == group):
                m.d.comb += memory.write.data.eq(self.write.data.levels)
            levels.extend(memory.output)
        return levels

    def _feed(self, m: Module, queue: RowQueue) -> Signal:
        """Feed the parts of a row's levels that the multipliers can take, until none is left.

        Returns:
            Whether a row is in progress.
        """
        spec = self._spec
        native = level_bits(spec)
        coming = queue.o.payload
        head = Signal(ready_row_layout(spec), reset_less=True)
        # the flags of the row that control what comes next, cleared without a row
        valid, ends, twice, thrice = (Signal(name=f"head_{name}") for name in ("valid", "ends", "twice", "thrice"))
        hold, fires, advance = Signal(), Signal(), Signal()
        m.d.comb += [
            fires.eq(valid & (twice | ~(ends & hold))),
            advance.eq(~twice & ~(ends & hold)),
            queue.o.ready.eq(advance),
            self.ended.eq(ends & ~twice & ~hold),
            self.phase.eq(head.phase),
        ]
        # busy neurons are known one cycle after the end of a phase, and registered for another one
        m.d.sync += hold.eq(self.ended | self.neurons_busy)
        with m.If(advance):
            m.d.sync += [head.eq(coming), valid.eq(queue.o.valid)]
            m.d.sync += [ends.eq(coming.ends), twice.eq(coming.twice), thrice.eq(coming.thrice)]
            with m.If(~queue.o.valid):
                m.d.sync += [ends.eq(0), twice.eq(0), thrice.eq(0)]
        with m.Elif(twice):
            m.d.sync += [twice.eq(thrice), thrice.eq(0)]
        for lane in range(spec.lanes):
            level = head.levels[lane]
            part: Value = level
            if len(level) > native:
                large, sign = level[-1] ^ level[-2], level[-1]
                part = Mux(large, Cat((~sign).replicate(native - 1), sign), level[:native])
                # less the largest, or the smallest, that a multiplier takes
                rest = Mux(sign, Cat(level[: native - 1], Const(0b11, 2)), level[: native - 1] + 1)
                with m.If(twice):
                    m.d.sync += level.eq(Mux(large, rest, 0).as_signed())
            m.d.sync += self.feed.levels[lane].eq(part)
            with m.If(~fires):
                m.d.sync += self.feed.levels[lane].eq(0)
            pair_row: Value = head.row if spec.pair_lanes == 1 else Cat(Const(1 - lane % 2, 1), head.row + lane % 2)
            m.submodules[f"fed_row_{lane}"] = row = Replica(len(self.feed.row[lane]))
            m.d.comb += [row.i.eq(pair_row), self.feed.row[lane].eq(row.o)]
        m.d.sync += [
            self.feed.double.eq(fires & head.double),
            self.feed.low.eq(head.low),
            self.feed.finish.eq(self.ended),
            self.fed.eq(fires),
        ]
        return valid
