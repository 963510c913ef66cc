"""Feeds the multiply-accumulate array: the rows of a token's levels, one a cycle, whether silent or not."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream
from amaranth.lib.wiring import Component, In, Out

from golden.mac import level_bits
from golden.spec import Spec
from rtl.mac_array import feed_layout
from rtl.mac_packer import levels_write_layout, listed_layout, packed_layout, stored_layout, together
from rtl.memory import BlockMemory
from rtl.shapes import Half, bits_for_index, phase_layout, run_layout

STEPS = 6
"""Stages of a row's way: three to find it in the list, two to read its levels, and one to choose those of its phase."""


class MacSequencer(Component):
    """Keeps levels, and runs one token after the other without a cycle between them.

    All rows of a token are fed, one a cycle. A token whose salient levels have a shift begins with the rows that have
    any: these levels alone are fed, and the charges doubled as often as the shift says; where they have no room for
    that, the salient levels are a phase of their own, which the neurons shift. A row with a level too large for the
    multipliers is fed again with what is left of it. The end of a phase waits until the neurons have taken the phase
    before it.

    Latency: nine cycles from a run to its first row.

    Attributes:
        write, write_enable, listed, listed_enable, packed: as the packer has them.
        runs: tokens to run, in order.
        feed: what the array does now; ``fed`` where it is a row or a doubling.
        neurons_busy: no phase may end yet.
        ended, phase: a phase ends, and what becomes of its charges.
        done: pulses when all rows of a run have been read; ``done_buffer`` is where they were.
        idle: no run is waiting or under way.
        strayed: pulses when a level lies beyond the synapse memory, which is dropped; and for a run that begins
            anywhere but at address 0.
    """

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        super().__init__(
            {
                "write": In(levels_write_layout(spec)),
                "write_enable": In(1),
                "listed": In(listed_layout(spec)),
                "listed_enable": In(1),
                "packed": In(data.ArrayLayout(packed_layout(spec), 2)),
                "runs": In(stream.Signature(run_layout(spec))),
                "feed": Out(feed_layout(spec)),
                "fed": Out(1),
                "neurons_busy": In(1),
                "ended": Out(1),
                "phase": Out(phase_layout(spec)),
                "done": Out(1),
                "done_buffer": Out(1),
                "idle": Out(1),
                "strayed": Out(1),
            }
        )

    def elaborate(self, _platform: object) -> Module:
        """Steps, then the memories that they read, then what is fed; all of it moves together or waits."""
        m = Module()
        spec = self._spec
        move = Signal()
        steps = [Signal(self._step_layout(), name="step_0")]
        for number in range(1, STEPS + 1):
            following = Signal(self._step_layout(), name=f"step_{number}")
            with m.If(move):
                m.d.sync += following.eq(steps[-1])
            steps.append(following)
        waits = self._steps(m, steps[0], move)

        index_bits = bits_for_index(spec.lane_rows)
        m.submodules.list = listed = BlockMemory(shape=index_bits, depth=2 << index_bits)
        m.d.comb += [
            listed.write_address.eq(self.listed.place),
            listed.write_data.eq(self.listed.row),
            listed.write_enable.eq(self.listed_enable),
            listed.address.eq(Cat(steps[0].index, steps[0].run.address[-1])),
            listed.read.eq(move),
            listed.advance.eq(move),
        ]
        row = Signal(index_bits, reset_less=True)
        with m.If(move):
            m.d.sync += row.eq(Mux(steps[2].listed, listed.output, steps[2].index))
        reads = steps[3]
        m.d.comb += [
            self.done.eq(move & reads.valid & reads.end & ~reads.shifted),
            self.done_buffer.eq(reads.run.address[-1]),
        ]
        levels = self._levels(m, Cat(row, reads.run.address[-1]), move)
        rows, beyond = self._rows(m, row, steps, move)
        self._feed(m, levels=levels, rows=rows, beyond=beyond, steps=steps, move=move)
        m.d.comb += self.idle.eq(~self.runs.valid & ~waits & ~Cat(step.valid for step in steps).any())
        return m

    def _step_layout(self) -> data.StructLayout:
        """A row to feed, or a doubling.

        ``index``: of the row, or of its place in the list where ``listed``. ``end``: of a phase, behind which another
        one of the same run follows where ``shifted``. ``begun``: the run has had a phase before.
        """
        spec = self._spec
        flags = dict.fromkeys(("valid", "listed", "double", "end", "shifted", "begun", "apart"), 1)
        return data.StructLayout({**flags, "index": bits_for_index(spec.lane_rows), "run": run_layout(spec)})

    def _steps(self, m: Module, step: data.View, move: Value) -> Value:
        """One step a cycle, as long as there are runs.

        Returns:
            Whether a run is waiting or under way.
        """
        spec = self._spec
        run = Signal(run_layout(spec))
        active, listing, doubling, merged, begun, apart = (
            Signal(name=name) for name in ("active", "listing", "doubling", "merged", "begun", "apart")
        )
        index = Signal(bits_for_index(spec.lane_rows))
        last_index, last_row = Signal.like(index), Signal.like(index)
        doublings = Signal.like(run.shift)
        # known a cycle ahead: the step is the last one of its rows
        following = Signal(range(spec.lane_rows + 1))
        last, one_row = Signal(), Signal()
        ends_run = Signal()
        m.d.comb += [
            ends_run.eq(last & ~listing & ~doubling),
            step.valid.eq(active),
            step.listed.eq(listing),
            step.double.eq(doubling),
            step.end.eq(last & ~doubling & ~(listing & merged)),
            step.shifted.eq(listing),
            step.begun.eq(begun),
            step.apart.eq(apart),
            step.index.eq(index),
            step.run.eq(run),
        ]
        with m.If(active & move):
            with m.If(doubling):
                m.d.sync += doublings.eq(doublings - 1)
                with m.If(doublings == 1):
                    m.d.sync += doubling.eq(0)
            with m.Elif(last):
                m.d.sync += [
                    index.eq(0),
                    last_index.eq(last_row),
                    listing.eq(0),
                    doubling.eq(listing & merged),
                    begun.eq(~merged),
                    following.eq(1),
                    last.eq(one_row),
                ]
            with m.Else():
                m.d.sync += [index.eq(following), following.eq(following + 1), last.eq(following == last_index)]
        # the next run waits with all that can be known of it beforehand
        coming = Signal(run_layout(spec))
        buffer = Signal(packed_layout(spec))
        first_last = Signal.like(index)
        first_one, coming_one_row = Signal(), Signal()
        waiting = Signal()
        start = Signal()
        packed = Signal(packed_layout(spec))
        buffers = [each.as_value() for each in self.packed]
        m.d.comb += [
            packed.eq(Mux(self.runs.payload.address[-1], buffers[1], buffers[0])),
            start.eq(~active | (move & ends_run)),
            self.runs.ready.eq(~waiting | start),
        ]
        with m.If(self.runs.ready):
            m.d.sync += [
                waiting.eq(self.runs.valid),
                coming.eq(self.runs.payload),
                buffer.eq(packed),
                first_last.eq(Mux(packed.listed, packed.last_listed, packed.last_row)),
                first_one.eq(~Mux(packed.listed, packed.last_listed, packed.last_row).any()),
                coming_one_row.eq(~packed.last_row.any()),
            ]
        with m.If(start):
            m.d.sync += [
                active.eq(waiting),
                run.eq(coming),
                index.eq(0),
                following.eq(1),
                last.eq(first_one),
                one_row.eq(coming_one_row),
                last_index.eq(first_last),
                last_row.eq(buffer.last_row),
                listing.eq(buffer.listed),
                merged.eq(buffer.merged),
                doublings.eq(coming.shift),
                apart.eq(coming.shift.any()),
                begun.eq(0),
            ]
        return active | waiting

    def _levels(self, m: Module, address: Value, move: Value) -> list[data.View]:
        """The levels of a row, two stages behind its address."""
        spec = self._spec
        width = together(spec)
        levels: list[data.View] = []
        for group in range(spec.lanes // width):
            shape = data.ArrayLayout(stored_layout(spec), width)
            m.submodules[f"levels_{group}"] = memory = BlockMemory(shape=shape, depth=1 << len(address))
            m.d.comb += [
                memory.write_address.eq(self.write.row),
                memory.write_enable.eq(self.write_enable & (self.write.group <= group)),
                memory.address.eq(address),
                memory.read.eq(move),
                memory.advance.eq(move),
            ]
            with m.If(self.write.group == group):
                m.d.comb += memory.write_data.eq(self.write.levels)
            levels.extend(memory.output)
        return levels

    def _rows(self, m: Module, row: Value, steps: list[data.View], move: Value) -> tuple[list[Signal], Signal]:
        """The rows of the synapse memories for a pair's lanes, and whether they are beyond, three stages later."""
        spec = self._spec
        rows = []
        beyond = Signal()
        for lane in range(spec.pair_lanes):
            total = Signal(range(2 * spec.memory_rows), name=f"row_sum_{lane}", reset_less=True)
            checked = Signal.like(total, name=f"row_checked_{lane}")
            chosen = Signal(bits_for_index(spec.memory_rows), name=f"row_{lane}", reset_less=True)
            place = row if spec.pair_lanes == 1 else Cat(Const(lane, 1), row)
            with m.If(move):
                m.d.sync += [
                    total.eq(place + steps[3].run.first_row),
                    checked.eq(total),
                    chosen.eq(checked),
                    # a pair's rows begin and end together
                    beyond.eq(total > spec.pair_rows),
                ]
            rows.append(chosen)
        return rows, beyond

    def _feed(
        self,
        m: Module,
        *,
        levels: list[data.View],
        rows: list[Signal],
        beyond: Signal,
        steps: list[data.View],
        move: Signal,
    ) -> None:
        """What the multipliers can take of the levels, until nothing is left of them."""
        spec = self._spec
        native = level_bits(spec)
        chosen, step = steps[-2], steps[-1]
        large = Signal(spec.lanes)
        more = Signal()
        # the step is the last one of a phase: on its own, for the shortest way to whether all move
        ending = Signal()
        waits = Signal()
        fires = Signal()
        loud = Signal(spec.lanes)
        m.d.comb += [
            waits.eq(ending & ~more & self.neurons_busy),
            move.eq(~more & ~(ending & self.neurons_busy)),
            fires.eq(step.valid & ~waits),
        ]
        with m.If(move):
            m.d.sync += ending.eq(chosen.valid & chosen.end)
        with m.If(more | move):
            m.d.sync += more.eq(large.any())
        moved, strays, taken, misplaced = (Signal(name=name) for name in ("moved", "strays", "taken", "misplaced"))
        m.d.sync += [
            moved.eq(move),
            strays.eq(chosen.valid & beyond & loud.any()),
            taken.eq(self.runs.valid & self.runs.ready),
            misplaced.eq(self.runs.payload.address[:-1].any()),
            self.strayed.eq((moved & strays) | (taken & misplaced)),
        ]
        for lane, stored in enumerate(levels):
            shape = signed(len(stored.level))
            rest = Signal(shape, name=f"rest_{lane}", reset_less=True)
            following = Signal(shape, name=f"following_{lane}")
            part = Signal(signed(native), name=f"part_{lane}")
            keep = Signal(name=f"keep_{lane}")
            top = rest[native - 1 :]
            m.d.comb += [
                part.eq(Mux(top.any() & ~top.all(), Cat((~rest[-1]).replicate(native - 1), rest[-1]), rest)),
                keep.eq(chosen.valid & ~chosen.double & (~chosen.apart | (stored.salient == chosen.listed))),
                loud[lane].eq(keep & stored.level.any()),
                following.eq(Mux(more, rest - part, Mux(keep & ~beyond, stored.level, 0))),
            ]
            # known of what is left without waiting for the subtraction
            still = (rest > 2 * (2 ** (native - 1) - 1)) | (rest < -(2**native))
            upper = stored.level[native - 1 :]
            m.d.comb += large[lane].eq(Mux(more, still, keep & ~beyond & upper.any() & ~upper.all()))
            with m.If(more | move):
                m.d.sync += rest.eq(following)
            m.d.sync += self.feed.levels[lane].eq(part)
            with m.If(~fires):
                m.d.sync += self.feed.levels[lane].eq(0)
            # kept, because the tools would merge equal registers, and one cannot drive all memories in time
            row = Signal(len(rows[0]), name=f"fed_row_{lane}", attrs={"keep": 1}, reset_less=True)
            m.d.sync += row.eq(rows[lane % spec.pair_lanes])
            m.d.comb += self.feed.row[lane].eq(row)
        ends = fires & step.end & ~more
        m.d.sync += [
            self.feed.double.eq(fires & step.double),
            self.feed.finish.eq(ends),
            self.fed.eq(fires),
        ]
        run = step.run
        m.d.comb += [
            self.ended.eq(ends),
            self.phase.slot.eq(run.slot),
            self.phase.shift.eq(Mux(run.half == Half.HIGH, spec.weight_bits, 0) + Mux(step.shifted, run.shift, 0)),
            self.phase.first.eq(run.first & ~step.begun),
            self.phase.last.eq(run.last & ~step.shifted),
            self.phase.low.eq(run.half == Half.LOW),
        ]
