"""Activation codes in arrival order become rows of signed levels."""

from dataclasses import dataclass

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream
from amaranth.lib.wiring import Component, In, Out

from spikequant.benchmarks.twin.arithmetic import charge_room, together, token_grain
from spikequant.benchmarks.twin.buffers import levels_write_layout, listed_layout, place_bits, token_write_layout
from spikequant.golden.layer.spec import Spec
from spikequant.rtl.fabric.carry import Accumulator, SignedSums, exceeds
from spikequant.rtl.fabric.registers import registered
from spikequant.rtl.interfaces import Write
from spikequant.rtl.packet_sizes import CODES_PER_WORD
from spikequant.rtl.shapes import Code, bits_for_index, codes_layout

WIDE_LEVEL_BITS = 10
"""Width of a decoded level, signed, before its size is checked."""

FINE_SHIFT_BITS = 2
"""Shifts are made in two stages: by multiples of four, and by the rest."""


@dataclass(frozen=True)
class _Slice:
    """Properties of the levels that come in one cycle.

    Attributes:
        valid: there are levels.
        begins, ends: they are the token's first ones, the last ones.
        row_ends: they complete a row.
        base: place of the token's first row.
        row: their row, counted from there.
        shift: shift of the token.
    """

    valid: Value
    begins: Value
    ends: Value
    row_ends: Value
    base: Value
    row: Value
    shift: Value


class LevelPacker(Component):
    """Decodes codes into rows with a signed level for each lane, and lists the rows with salient levels.

    Input k belongs to lane ``k % lanes``. A buffer holds several tokens; each begins at its packet's address, a
    multiple of ``spikequant.benchmarks.twin.arithmetic.token_grain``.

    Latency: three cycles from a code to its stored level, ``latency`` cycles from a token's last code to its
    descriptor.
    Throughput: a code for each of up to four lanes a cycle.
    Handshake: ``i`` is a stream, which ``hold`` stalls; writes are never refused.

    Attributes:
        i: codes, a word at a time; the first one of a token is taken when ``hold`` is not set.
        hold: the buffer of the codes on offer may not be written.
        write: levels to store.
        listed: a row to list.
        token: a token's descriptor to store.
        taking, buffer: a token is coming into that buffer, and is not stored yet.
        refused: pulses when a code is dropped, because it lies beyond the lanes' inputs or the buffer, its level
            beyond the spec's largest, or it is salient and the spec has no such codes; and for an address at which no
            token may begin.
    """

    latency = 10
    """Cycles from a token's last codes to its descriptor."""

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        super().__init__(
            {
                "i": In(stream.Signature(codes_layout())),
                "hold": In(1),
                "write": Out(Write(levels_write_layout(spec))),
                "listed": Out(Write(listed_layout(spec))),
                "token": Out(Write(token_write_layout(spec))),
                "taking": Out(1),
                "buffer": Out(1),
                "refused": Out(1),
            }
        )

    def elaborate(self, _platform: object) -> Module:
        """Decode, check and store; list; count."""
        m = Module()
        spec = self._spec
        width = together(spec)
        slices = CODES_PER_WORD // width
        groups = spec.lanes // width
        index_bits = bits_for_index(spec.lane_rows)
        header: data.View = self.i.payload.header
        slice_index = Signal(range(slices))
        group = Signal(range(groups))
        row = Signal(range(spec.lane_rows + 1))
        taking = Signal(name="taking_codes")
        base = Cat(header.address[: place_bits(spec) - 1], header.buffer)
        place = Signal(place_bits(spec))
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
        chosen = slice_index << (codes.shape().size.bit_length() - 1)
        m.d.comb += codes.eq(self.i.payload.codes.as_value().bit_select(chosen, codes.shape().size))

        decoded = [Signal(signed(WIDE_LEVEL_BITS), name=f"decoded_{lane}", reset_less=True) for lane in range(width)]
        salient = Signal(width, reset_less=True)
        valid, ends, row_ends, begins = (Signal(name=name) for name in ("valid", "ends", "row_ends", "begins"))
        now_row, now_group = Signal.like(row), Signal.like(group)
        now_shift = Signal.like(header.shift)
        now_base = Signal(place_bits(spec), reset_less=True)
        misplaced = Signal()
        beyond_lanes = Signal()
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
                misplaced.eq(~taking & (header.address & (token_grain(spec) - 1)).any()),
                now_row.eq(row),
                beyond_lanes.eq(row == spec.lane_rows),
                now_group.eq(group),
                now_shift.eq(header.shift),
                now_base.eq(base),
                place.eq(base + row),
            ]
            with m.If(final):
                m.d.sync += row.eq(0)
            with m.Elif((group == groups - 1) & (row != spec.lane_rows)):
                m.d.sync += row.eq(row + 1)
        for lane, code in enumerate(codes):
            # one sum: the zero point is inverted, and the bit below adds the 1 of its two's complement
            m.submodules[f"decoder_{lane}"] = decoder = Accumulator(bits=1 + WIDE_LEVEL_BITS)
            m.d.comb += [
                decoder.b.eq(Cat(Const(1, 1), code.value)),
                decoder.turn.eq(code.salient),
                decoder.a.eq(Cat(Const(0, 1), header.offset).as_signed()),
                decoder.c.eq(Cat(Const(1, 1), ~header.zero, Const(1, 1)).as_signed()),
            ]
            m.d.sync += [decoded[lane].eq(decoder.total[1:]), salient[lane].eq(code.salient)]

        # checked
        bad = Signal(width)
        stored = Signal(levels_write_layout(spec)["levels"].shape, reset_less=True)
        loud = Signal(width, reset_less=True)
        beyond = Signal()
        # a token must end within the buffer that it begins in
        m.d.comb += beyond.eq(beyond_lanes | (place[-1] != now_base[-1]))
        level_places = spec.max_level.bit_length()
        for lane in range(width):
            level = decoded[lane]
            kept = stored[lane]
            above = level[level_places:]
            small = Mux(level[-1], above.all() & level[:level_places].any(), ~above.any())
            m.d.comb += bad[lane].eq(~small | (level.any() & beyond) | (salient[lane] & (not spec.salient_bits)))
            m.d.sync += [
                kept.level.eq(level),
                kept.salient.eq(salient[lane]),
                loud[lane].eq(salient[lane] & level.any()),
            ]
            # cleared, which takes no lookup table
            with m.If(bad[lane]):
                m.d.sync += [kept.level.eq(0), loud[lane].eq(0)]
        now = _Slice(
            valid=registered(m, valid, "checked", reset=True),
            begins=registered(m, begins, "checked_begins"),
            ends=registered(m, valid & ends, "checked_ends", reset=True),
            row_ends=registered(m, valid & row_ends & ~beyond, "checked_row_ends", reset=True),
            base=registered(m, now_base, "checked_base"),
            row=registered(m, Mux(beyond_lanes, spec.lane_rows - 1, now_row)[:index_bits], "checked_row"),
            shift=registered(m, now_shift, "checked_shift"),
        )
        bad_later, misplaced_later = Signal(width), Signal()
        m.d.sync += [
            self.write.data.place.eq(place),
            self.write.data.group.eq(now_group),
            self.write.enable.eq(valid & ~beyond),
            bad_later.eq(bad & valid.replicate(width)),
            misplaced_later.eq(valid & misplaced),
            self.refused.eq(bad_later.any() | misplaced_later),
        ]
        m.d.comb += self.write.data.levels.eq(stored)

        listed, last_listed = self._list(m, now, loud)
        under_way = self._count(m, now, stored=stored, loud=loud, listed=listed, last_listed=last_listed)
        m.d.sync += self.taking.eq(accept | taking | (valid & ends) | now.ends | Cat(under_way).any())
        return m

    def _list(self, m: Module, now: _Slice, loud: Signal) -> tuple[Signal, Signal]:
        """List rows with salient levels of a token with a shift.

        Returns:
            Whether any are listed, and the last one's place in the list, two cycles after ``now``.
        """
        spec = self._spec
        some = Signal()
        listing = registered(
            m, now.row_ends & (loud.any() | (some & ~now.begins)) & now.shift.any(), "listing", reset=True
        )
        with m.If(now.valid):
            m.d.sync += some.eq((loud.any() | (some & ~now.begins)) & ~now.row_ends)
        base, row = registered(m, now.base, "listing_base"), registered(m, now.row, "listing_row")
        begins = registered(m, now.valid & now.begins, "listing_begins", reset=True)
        listed = Signal()
        count = Signal(range(spec.lane_rows + 1))
        last = Signal(range(spec.lane_rows), reset_less=True)
        following = Mux(begins, 0, count)
        m.d.sync += [
            self.listed.data.place.eq(base + following),
            self.listed.data.row.eq(row),
            self.listed.enable.eq(listing),
            count.eq(following + listing),
        ]
        with m.If(begins):
            m.d.sync += listed.eq(0)
        with m.If(listing):
            m.d.sync += [listed.eq(1), last.eq(following)]
        return listed, last

    def _count(
        self, m: Module, now: _Slice, *, stored: data.View, loud: Signal, listed: Signal, last_listed: Signal
    ) -> list[Signal]:
        """Count the levels of a token as ``level_sum`` does, and store its descriptor at its end.

        Returns:
            For each stage, whether a token's end is in it.
        """
        spec = self._spec
        width = together(spec)
        bits = len(stored[0].level)
        # magnitudes: those of inverted levels lack one each
        signs = [lane.level[-1] for lane in stored]
        sums: list[Value] = []
        for first in range(0, width, 2):
            m.submodules[f"magnitudes_{first}"] = pair = SignedSums(bits=bits, count=1)
            m.d.comb += [pair.x[0].eq(stored[first].level), pair.sign_x.eq(signs[first])]
            if width > 1:
                m.d.comb += [pair.y[0].eq(stored[first + 1].level), pair.sign_y.eq(signs[first + 1])]
            sums.append(registered(m, pair.sums[0], f"magnitude_{first}"))
        negative = registered(m, sum(signs, Const(0, 1)), "negative")
        shift = registered(m, Mux(loud.any(), now.shift, 0), "slice_shift")
        stages = [now.ends]
        valid, begun, bases, rows = now.valid, now.begins, now.base, now.row

        def move(stage: int) -> None:
            nonlocal valid, begun, bases, rows
            stages.append(registered(m, stages[-1], f"ends_{stage}", reset=True))
            valid = registered(m, valid, f"valid_{stage}", reset=True)
            begun, bases, rows = (
                registered(m, value, f"{name}_{stage}")
                for name, value in (("begins", begun), ("base", bases), ("row", rows))
            )

        move(1)
        total = registered(m, sum(sums, Const(0, 1)), "pairs")
        negative, shift = registered(m, negative, "pairs_negative"), registered(m, shift, "pairs_shift")
        move(2)
        largest = width * spec.max_level
        total, shift = (
            registered(m, (total + negative)[: largest.bit_length()], "slice_sum"),
            registered(m, shift, "sum_shift"),
        )
        move(3)
        total = registered(m, total << shift[:FINE_SHIFT_BITS], "finely")
        shift = registered(m, shift[FINE_SHIFT_BITS:], "coarse_shift")
        move(4)
        room = charge_room(spec)
        places = room.whole.bit_length() - 1
        # no more than the spec's largest shift is ever let in
        longest = max(spec.max_salient_shift, 1).bit_length()
        coarsely = total << (shift[: max(0, longest - FINE_SHIFT_BITS)] << FINE_SHIFT_BITS)
        total, spills = registered(m, coarsely[:places], "coarsely"), registered(m, coarsely[places:].any(), "spills")
        move(5)
        # with a carry above
        counted, spilled = Signal(places + 1), Signal()
        over = spilled | counted[-1]
        with m.If(valid):
            m.d.sync += [counted.eq(Mux(begun, 0, counted[:-1]) + total), spilled.eq(spills | (~begun & over))]
        move(6)
        # the list is complete by now, and the next token's has not begun
        m.d.sync += self.token.enable.eq(stages[-1])
        m.d.sync += [
            self.token.data.place.eq(bases[token_grain(spec).bit_length() - 1 :]),
            self.token.data.token.last_row.eq(rows),
            self.token.data.token.merged.eq(~over),
            self.token.data.token.high_fits.eq(~over & _below(counted, room.high)),
            self.token.data.token.low_fits.eq(~over & _below(counted, room.low)),
        ]
        some, last = listed, last_listed
        for stage in range(3, 7):
            some, last = registered(m, some, f"listed_{stage}"), registered(m, last, f"last_listed_{stage}")
        m.d.sync += [self.token.data.token.listed.eq(some), self.token.data.token.last_listed.eq(last)]
        return stages[1:]


def _below(value: Value, limit: int) -> Value:
    """Whether a value is below a limit with few bits set, in plain logic."""
    return ~exceeds(value, limit - 1) if limit else Const(0)
