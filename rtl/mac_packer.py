"""Activation codes in arrival order become rows of signed levels."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream
from amaranth.lib.wiring import Component, In, Out

from golden.spec import Spec, signed_bits
from rtl.shapes import CODES_PER_WORD, Code, bits_for_index, codes_layout

WIDE_LEVEL_BITS = 10
"""Width of a decoded level, signed, before its size is checked."""


def stored_layout(spec: Spec) -> data.StructLayout:
    """A level as it is kept: a salient one without its shift."""
    return data.StructLayout({"level": signed(signed_bits(spec.max_level)), "salient": 1})


def together(spec: Spec) -> int:
    """Lanes whose codes come in one cycle; such a group of lanes has a memory of its own."""
    return min(spec.lanes, CODES_PER_WORD)


def levels_write_layout(spec: Spec) -> data.StructLayout:
    """Levels of a row.

    ``row``: where; the buffer is on its uppermost bit. ``levels``: of the lanes of group ``group``; the groups above it
    become silent, and those below it stay as they are.
    """
    return data.StructLayout(
        {
            "row": 1 + bits_for_index(spec.lane_rows),
            "group": bits_for_index(spec.lanes // together(spec)),
            "levels": data.ArrayLayout(stored_layout(spec), together(spec)),
        }
    )


def listed_layout(spec: Spec) -> data.StructLayout:
    """A row with salient levels, and its place in the list of such rows; the buffer is on the uppermost bit."""
    return data.StructLayout({"place": 1 + bits_for_index(spec.lane_rows), "row": bits_for_index(spec.lane_rows)})


def packed_layout(spec: Spec) -> data.StructLayout:
    """What a buffer holds: its last row, the list's last place, and whether salient charges can be doubled in place.

    Nothing is ``listed`` where the token has no shift: its salient levels are like any other.
    """
    index = bits_for_index(spec.lane_rows)
    return data.StructLayout({"last_row": index, "last_listed": index, "listed": 1, "merged": 1})


class LevelPacker(Component):
    """Turns codes into signed levels, a row of one for each lane at a time, and lists the rows with salient ones.

    Input k belongs to lane ``k % lanes``. A buffer holds one token: a score that begins anywhere but at address 0 is
    refused.

    Throughput: a code for each of up to four lanes a cycle. Latency: a token is complete three cycles behind its last
    code.

    Attributes:
        i: codes, a word at a time; the first one of a token is taken when ``hold`` is not set.
        hold: nothing may be written to the buffer of the codes on offer.
        write, write_enable: levels to store.
        listed, listed_enable: a row to list.
        packed: what each buffer holds.
        taking, buffer: more codes of a token are to come, into that buffer. The last ones are in ``packed`` and in the
            memories two cycles after it falls.
        busy: some codes are not yet stored.
        refused: pulses when a code is dropped, because it lies beyond the lanes' inputs, its level beyond the spec's
            largest, or it is salient and the spec has no such codes; and for an address other than 0.
    """

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        super().__init__(
            {
                "i": In(stream.Signature(codes_layout())),
                "hold": In(1),
                "write": Out(levels_write_layout(spec)),
                "write_enable": Out(1),
                "listed": Out(listed_layout(spec)),
                "listed_enable": Out(1),
                "packed": Out(data.ArrayLayout(packed_layout(spec), 2)),
                "taking": Out(1),
                "buffer": Out(1),
                "busy": Out(1),
                "refused": Out(1),
            }
        )

    def elaborate(self, _platform: object) -> Module:
        """Decode, check, store."""
        m = Module()
        spec = self._spec
        width = together(spec)
        slices = CODES_PER_WORD // width
        groups = spec.lanes // width
        header: data.View = self.i.payload.header
        slice_index = Signal(range(slices))
        group = Signal(range(groups))
        row = Signal(range(spec.lane_rows + 1))
        taking = Signal(name="taking_codes")
        accept = Signal()
        last_slice = Signal()
        final = Signal()
        m.d.comb += [
            accept.eq(self.i.valid & (taking | ~self.hold)),
            last_slice.eq(slice_index == slices - 1),
            final.eq(last_slice & self.i.payload.final),
            self.i.ready.eq(accept & last_slice),
        ]
        codes = Signal(data.ArrayLayout(Code, width))
        # a shift, where word_select would put a multiplication into the Verilog
        place = slice_index << (codes.shape().size.bit_length() - 1)
        m.d.comb += codes.eq(self.i.payload.codes.as_value().bit_select(place, codes.shape().size))

        decoded = [Signal(signed(WIDE_LEVEL_BITS), name=f"decoded_{lane}", reset_less=True) for lane in range(width)]
        salient = Signal(width, reset_less=True)
        valid, ends, row_ends, begins, misplaced = (
            Signal(name=name) for name in ("valid", "ends", "row_ends", "begins", "misplaced")
        )
        now_row, now_group = Signal.like(row), Signal.like(group)
        now_shift = Signal.like(header.shift)
        now_buffer = Signal()
        beyond_rows = Signal()
        m.d.sync += valid.eq(accept)
        with m.If(accept):
            m.d.sync += [
                taking.eq(~final),
                self.buffer.eq(header.buffer),
                slice_index.eq(Mux(last_slice, 0, slice_index + 1)),
                group.eq(Mux(final | (group == groups - 1), 0, group + 1)),
                begins.eq(~taking),
                ends.eq(final),
                row_ends.eq(final | (group == groups - 1)),
                misplaced.eq(header.address.any()),
                now_row.eq(row),
                beyond_rows.eq(row == spec.lane_rows),
                now_group.eq(group),
                now_shift.eq(header.shift),
                now_buffer.eq(header.buffer),
            ]
            with m.If(final):
                m.d.sync += row.eq(0)
            with m.Elif((group == groups - 1) & (row != spec.lane_rows)):
                m.d.sync += row.eq(row + 1)
            for lane, code in enumerate(codes):
                # one sum: a zero point is inverted, and the bit below brings the one that is then lacking
                addend = Mux(code.salient, header.offset, ~Cat(header.zero, Const(0, 1)).as_signed())
                total = (Cat(Const(1, 1), code.value) + Cat(~code.salient, addend).as_signed()).as_signed()
                m.d.sync += [
                    decoded[lane].eq(total >> 1),
                    salient[lane].eq(code.salient),
                ]

        # checked
        bad = Signal(width)
        stored = Signal(levels_write_layout(spec)["levels"].shape, reset_less=True)
        stored_row = Signal(1 + bits_for_index(spec.lane_rows), reset_less=True)
        stored_group = Signal.like(group, reset_less=True)
        loud = Signal(width, reset_less=True)
        checked, complete, row_complete, starts = (
            Signal(name=name) for name in ("checked", "complete", "row_complete", "starts")
        )
        last_row = Signal(bits_for_index(spec.lane_rows), reset_less=True)
        shift = Signal.like(now_shift, reset_less=True)
        m.d.sync += [
            checked.eq(valid),
            complete.eq(valid & ends),
            row_complete.eq(valid & row_ends & ~beyond_rows),
            starts.eq(valid & begins),
            stored_row.eq(Cat(now_row[: bits_for_index(spec.lane_rows)], now_buffer)),
            stored_group.eq(now_group),
            self.write_enable.eq(valid & ~beyond_rows),
            last_row.eq(Mux(beyond_rows, spec.lane_rows - 1, now_row)),
            shift.eq(now_shift),
        ]
        for lane in range(width):
            level = decoded[lane]
            kept = stored[lane]
            small = (level <= spec.max_level) & (level >= -spec.max_level)
            m.d.comb += bad[lane].eq((level.any() & (~small | beyond_rows)) | (salient[lane] & (not spec.salient_bits)))
            m.d.sync += [
                kept.level.eq(Mux(bad[lane], 0, level)),
                kept.salient.eq(salient[lane]),
                loud[lane].eq(salient[lane] & level.any() & ~bad[lane]),
            ]
        closing = self._list(
            m,
            row=stored_row,
            loud=loud,
            shift=shift,
            last_row=last_row,
            checked=checked,
            starts=starts,
            row_complete=row_complete,
            complete=complete,
        )
        m.d.comb += [
            self.write.row.eq(stored_row),
            self.write.group.eq(stored_group),
            self.write.levels.eq(stored),
            self.taking.eq(taking | valid | checked),
            self.busy.eq(self.taking | closing),
        ]
        m.d.sync += self.refused.eq(valid & (bad.any() | (begins & misplaced)))
        return m

    def _list(
        self,
        m: Module,
        *,
        row: Value,
        loud: Signal,
        shift: Signal,
        last_row: Signal,
        checked: Signal,
        starts: Signal,
        row_complete: Signal,
        complete: Signal,
    ) -> Value:
        """List rows with salient levels of a token with a shift; at its end, sum up what the buffer holds.

        Returns:
            Whether the sum is still to be stored.
        """
        spec = self._spec
        # counted first
        loud_count = Signal(range(len(loud) + 1))
        flags = {"checked": checked, "starts": starts, "row_complete": row_complete, "complete": complete}
        later = {name: Signal(name=f"{name}_later") for name in flags}
        m.d.sync += [loud_count.eq(sum(loud)), *(later[name].eq(flag) for name, flag in flags.items())]
        row_later, last_row_later = Signal.like(row), Signal.like(last_row)
        shifts, limit = Signal(), Signal(range(max(spec.merged_inputs, spec.depth) + 1))
        m.d.sync += [row_later.eq(row), last_row_later.eq(last_row), shifts.eq(shift.any())]

        counted = Signal(range(spec.lane_rows + 1))
        salients = Signal(range(spec.depth + 1))
        some, some_now = Signal(), Signal()
        counted_before = Mux(later["starts"], 0, counted)
        index_bits = bits_for_index(spec.lane_rows)
        m.d.comb += [
            some_now.eq((some & ~later["starts"]) | loud_count.any()),
            self.listed.row.eq(row_later[:index_bits]),
            self.listed.place.eq(Cat(counted_before[:index_bits], row_later[-1])),
            self.listed_enable.eq(later["row_complete"] & some_now & shifts),
        ]
        with m.If(later["checked"]):
            m.d.sync += [
                counted.eq(counted_before + self.listed_enable),
                salients.eq(Mux(later["starts"], 0, salients) + loud_count),
                some.eq(some_now & ~later["row_complete"]),
            ]
        closing = Signal()
        buffer = Signal()
        closing_row = Signal.like(last_row)
        closing_limit = Signal.like(limit)
        m.d.sync += [
            closing.eq(later["complete"]),
            buffer.eq(row_later[-1]),
            closing_row.eq(last_row_later),
            closing_limit.eq(limit),
        ]
        with m.Switch(shift):
            for number in range(spec.max_salient_shift + 1):
                with m.Case(number):
                    m.d.sync += limit.eq(spec.merged_inputs >> number)
        for number, packed in enumerate(self.packed):
            with m.If(closing & (buffer == number)):
                m.d.sync += [
                    packed.last_row.eq(closing_row),
                    packed.last_listed.eq(counted - 1),
                    packed.listed.eq(counted.any()),
                    packed.merged.eq(salients <= closing_limit),
                ]
        return later["complete"] | closing
