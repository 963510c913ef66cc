"""The decoder: words of activation codes become levels, which are inserted into the buckets."""

from itertools import pairwise

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream
from amaranth.lib.wiring import Component, In, Out

from spikequant.golden.layer.spec import Spec
from spikequant.rtl.encoder.bucket import TOP, bucket_count, bucket_rows, insert_layout, list_layout
from spikequant.rtl.fabric.carry import Accumulator
from spikequant.rtl.fabric.registers import unreset
from spikequant.rtl.packet_sizes import CODES_PER_WORD
from spikequant.rtl.shapes import CodesHeader, bits_for_index, codes_layout

STAGES = 4
"""Cycles from a word that is taken to the registers of the buckets."""


def code_bits(spec: Spec) -> int:
    """Width of a code of either kind, and of the largest level's magnitude."""
    return max(spec.activation_bits, spec.salient_bits)


def level_bits(spec: Spec) -> int:
    """Width of a code with its zero point or offset, signed, before its size is checked."""
    return code_bits(spec) + 2


def negated_where(value: Value, flag: Value) -> Value:
    """``-value`` where ``flag`` is set, else ``value``, modulo its width: without a carry chain, which takes longer."""
    return Cat(bit ^ (flag & value[:place].any()) for place, bit in enumerate(value))


class _Input:
    """Registers of one code of a word, stage by stage."""

    def __init__(self, spec: Spec, position: int) -> None:
        rest = spec.ramp.bit_length() - 1

        def of(shape: object, name: str) -> Signal:
            return Signal(shape, name=f"{name}_{position}", reset_less=True)

        self.value, self.salient = of(7, "value"), of(1, "salient")
        # the code with its zero point or offset, and whether either was too wide
        self.level, self.level_wide, self.level_apart = (
            of(signed(level_bits(spec)), "level"),
            of(1, "level_wide"),
            of(1, "level_apart"),
        )
        # number of its list, whole bursts, whether it has a rest or a burst, and whether it breaks a rule
        self.list, self.burst = of(rest, "list"), of(max(1, code_bits(spec) - rest), "burst")
        self.sign, self.apart = of(1, "sign"), of(1, "apart")
        self.some_rest, self.some_burst, self.wrong = of(1, "some_rest"), of(1, "some_burst"), of(1, "wrong")
        # what is inserted
        self.final_list, self.final_burst = of(rest, "final_list"), of(self.burst.shape(), "final_burst")
        self.final_sign, self.final_apart = of(1, "final_sign"), of(1, "final_apart")
        self.rest, self.top = Signal(name=f"rest_{position}"), Signal(name=f"top_{position}")


class Decoder(Component):
    """Decodes a token's codes into levels, checks them, and selects their lists.

    Latency: five cycles from a word to its inserts.
    Throughput: a word a cycle, and one cycle more if one of its codes reaches the ramp's top, because that goes into
    two lists.
    Handshake: ``i`` is a stream; inserts are never refused.

    Attributes:
        i: codes, a word at a time; ``ready`` comes from a register.
        vacant: a token may begin.
        begins: pulses when a token begins; ``header`` is its header from then on.
        list, insert_enable, insert: an insert for each bucket.
        copying, copied_list: a list for all buckets to copy instead; only while there are no inserts.
        copy: ``list`` is to be copied.
        done: pulses when all of a token's codes are in their lists; ``apart`` if any of them is in a list of the
            salient phase.
        refused: pulses when a code is dropped.
    """

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        buckets = bucket_count(spec)
        super().__init__(
            {
                "i": In(stream.Signature(codes_layout())),
                "vacant": In(1),
                "begins": Out(1),
                "header": Out(CodesHeader),
                "list": Out(data.ArrayLayout(list_layout(spec), buckets)),
                "insert_enable": Out(buckets),
                "insert": Out(data.ArrayLayout(insert_layout(spec), buckets)),
                "copying": In(1),
                "copied_list": In(list_layout(spec)),
                "copy": Out(1),
                "done": Out(1),
                "apart": Out(1),
                "refused": Out(1),
            }
        )

    def elaborate(self, _platform: object) -> Module:
        """A pipeline that stalls for one cycle when an input goes into two lists."""
        m = Module()
        spec = self._spec
        groups = bucket_count(spec) // CODES_PER_WORD
        row_bits = bits_for_index(bucket_rows(spec))
        where = data.StructLayout(
            {"valid": 1, "row": row_bits, "group": range(groups), "beyond": CODES_PER_WORD, "final": 1}
        )
        at = [Signal(where, name=f"at_{stage}") for stage in range(STAGES + 1)]
        # stall the pipeline for the cycle that inserts the inputs at the ramp's top
        stay = Signal()
        second = Signal()
        move = ~stay
        some_tops = Signal()
        accept = Signal()
        opened = Signal()
        m.d.comb += [
            accept.eq(self.i.valid & self.i.ready),
            self.begins.eq(self.i.valid & self.vacant),
        ]
        opens = self.begins | (opened & ~(accept & self.i.payload.final))
        m.d.sync += [opened.eq(opens), self.i.ready.eq(opens & ~(move & some_tops))]
        m.d.sync += [stay.eq(move & some_tops), second.eq(stay)]
        header = unreset(m, self.header, "held_header")
        with m.If(self.begins):
            m.d.sync += header.eq(self.i.payload.header)
        self._count(m, at[0], accept, groups=groups)
        with m.If(move):
            for before, after in pairwise(at):
                m.d.sync += after.eq(before)

        inputs = [_Input(spec, position) for position in range(CODES_PER_WORD)]
        self._decode(m, inputs, at, move=move)
        tops = Cat(one.some_burst & ~one.wrong for one in inputs)
        m.d.comb += some_tops.eq(at[3].valid & tops.any())
        self._insert(m, inputs, at[4], groups=groups, stay=stay, second=second)
        wrong = Cat(one.wrong for one in inputs)
        m.d.sync += self.refused.eq(move & at[3].valid & wrong.any())
        return m

    def _count(self, m: Module, at: data.View, accept: Signal, *, groups: int) -> None:
        """Count inputs, and mark those beyond the spec's depth."""
        spec = self._spec
        rows = bucket_rows(spec)
        row = Signal.like(at.row, name="row")
        group = Signal(range(groups))
        beyond = Signal()
        m.d.comb += [
            at.valid.eq(accept),
            at.row.eq(row),
            at.group.eq(group),
            at.beyond.eq(beyond.replicate(CODES_PER_WORD)),
            at.final.eq(self.i.payload.final),
        ]
        # the last row may be incomplete
        uneven = spec.depth % bucket_count(spec)
        if uneven:
            with m.If(row == rows - 1):
                m.d.comb += at.beyond[uneven:].eq(Const(-1, CODES_PER_WORD - uneven))
        with m.If(accept):
            m.d.sync += group.eq(Mux(group == groups - 1, 0, group + 1))
            with m.If((group == groups - 1) & ~beyond):
                m.d.sync += [row.eq(row + 1), beyond.eq(row == rows - 1)]
            with m.If(self.i.payload.final):
                m.d.sync += [row.eq(0), group.eq(0), beyond.eq(0)]

    def _decode(self, m: Module, inputs: list[_Input], at: list[data.View], *, move: Value) -> None:
        """Four stages: the code, its level, rest and bursts of the level, and its list."""
        spec = self._spec
        bits, rest = code_bits(spec), spec.ramp.bit_length() - 1
        header = self.header
        # shared by all codes of the token
        addend_normal = Signal(signed(bits + 1), reset_less=True)
        addend_salient = Signal(signed(bits + 1), reset_less=True)
        wide_zero, wide_offset, shifted = (Signal(name=name) for name in ("wide_zero", "wide_offset", "shifted"))
        above = header.offset[spec.salient_bits :]
        m.d.sync += [
            addend_normal.eq(-header.zero[: spec.activation_bits]),
            addend_salient.eq(header.offset),
            wide_zero.eq(header.zero[spec.activation_bits :].any()),
            wide_offset.eq((above.any() & ~above.all()) | Const(not spec.salient_bits)),
            shifted.eq(header.shift.any()),
        ]
        for position, (one, code) in enumerate(zip(inputs, self.i.payload.codes, strict=True)):
            m.submodules[f"sum_{position}"] = total = Accumulator(bits=level_bits(spec))
            m.d.comb += [
                total.b.eq(one.value[:bits]),
                total.a.eq(addend_salient),
                total.c.eq(addend_normal),
                total.turn.eq(one.salient),
            ]
            normal_wide = one.value[spec.activation_bits :].any() | wide_zero
            salient_wide = one.value[spec.salient_bits :].any() | wide_offset
            # at least as wide as the number of a list
            level = Signal(signed(max(level_bits(spec), rest)), name=f"whole_level_{position}")
            m.d.comb += level.eq(one.level)
            low, sign = level[:bits], level[-1]
            some_low, some_rest = low.any(), level[:rest].any()
            too_large = Mux(sign, ~(level[bits] & some_low), level[bits])
            high = low[rest:]
            some_burst = Mux(sign, ~(high.all() & some_rest), high.any()) if spec.max_burst else Const(0)
            fits = at[3].valid & ~one.wrong
            with m.If(move):
                m.d.sync += [
                    one.value.eq(code.value),
                    one.salient.eq(code.salient),
                    one.level.eq(total.total),
                    one.level_wide.eq(Mux(one.salient, salient_wide, normal_wide)),
                    one.level_apart.eq(one.salient & shifted),
                    one.list.eq(negated_where(level[:rest], ~sign)),
                    one.burst.eq(negated_where(low, sign)[rest:]),
                    one.sign.eq(sign),
                    one.apart.eq(one.level_apart),
                    one.some_rest.eq(some_rest),
                    one.some_burst.eq(some_burst),
                    one.wrong.eq(one.level_wide | too_large | (at[2].beyond[position] & some_low)),
                    one.final_list.eq(one.list),
                    one.final_burst.eq(one.burst),
                    one.final_sign.eq(one.sign),
                    one.final_apart.eq(one.apart),
                    one.rest.eq(fits & one.some_rest),
                    one.top.eq(fits & one.some_burst),
                ]

    def _insert(
        self, m: Module, inputs: list[_Input], at: data.View, *, groups: int, stay: Signal, second: Signal
    ) -> None:
        """Insert all rests into their lists, then, in another cycle, the tops, if there are any."""
        spec = self._spec
        for position, one in enumerate(inputs):
            for group in range(groups):
                bucket = group * CODES_PER_WORD + position
                own_list = Signal(list_layout(spec), name=f"own_list_{bucket}")
                m.d.comb += [own_list.level.eq(Mux(second, TOP, one.final_list)), own_list.normal.eq(~one.final_apart)]
                chosen = Mux(self.copying, self.copied_list.as_value(), own_list.as_value())
                m.d.sync += [
                    self.list[bucket].eq(chosen),
                    self.insert_enable[bucket].eq((at.group == group) & Mux(second, one.top, one.rest)),
                    self.insert[bucket].row.eq(at.row),
                    self.insert[bucket].sign.eq(one.final_sign),
                    self.insert[bucket].repeats.eq(Mux(second, one.final_burst - 1, 0)),
                ]
        m.d.sync += self.copy.eq(self.copying)

        arriving = Signal()
        given = Signal()
        m.d.sync += [
            arriving.eq(Cat((one.rest | one.top) & one.final_apart for one in inputs).any()),
            given.eq(at.valid & at.final & ~stay),
            self.done.eq(given),
            self.apart.eq((self.apart & ~self.done) | arriving),
        ]
