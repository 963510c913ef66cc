"""Activation codes in arrival order become a score: spikes in time order."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream
from amaranth.lib.wiring import Component, In, Out

from golden.spec import Spec
from rtl.bucket import TOP, Bucket, list_layout
from rtl.fabric import AddSubtract
from rtl.sequencer import score_write_layout
from rtl.shapes import (
    CODES_PER_WORD,
    Behind,
    Code,
    CodesHeader,
    beat_layout,
    codes_layout,
    idle_place,
    score_address_bits,
)

DOUBLINGS = 2
"""Doublings of the charge that one beat makes at most: ``2**DOUBLINGS - 1`` ticks behind a copy."""


def code_bits(spec: Spec) -> int:
    """Width of a code of either kind, and of the largest level's magnitude."""
    return max(spec.activation_bits, spec.salient_bits)


def level_bits(spec: Spec) -> int:
    """Width of a code with its zero point or offset, signed, before its size is checked."""
    return code_bits(spec) + 2


def decoded_layout(spec: Spec) -> data.StructLayout:
    """A code as a level: whole bursts of the ramp's top, the rest, and the sign."""
    rest = spec.ramp.bit_length() - 1
    return data.StructLayout({"rest": rest, "burst": max(1, level_bits(spec) - rest), "sign": 1, "salient": 1})


class Encoder(Component):
    """Sorts one token's activations by level, and writes them as a score.

    Input k belongs to lane ``k % lanes``. Codes fill the lanes' buckets; then the buckets are walked from the
    highest level down, salient levels first, and each pair of lanes takes up to two inputs a beat from whichever of
    its two buckets has some left. An input above the ramp fires at its top more than once. Salient codes without a
    shift run with the normal ones. Where the charge has room, salient charges are doubled in place as often as the
    token's shift says, and the normal levels follow in the same phase; else the salient levels are a phase of
    their own, whose charges the neurons shift.

    Throughput: a code for each of up to four lanes a cycle, and one cycle more where one of them reaches the ramp's
    top; then four cycles a level, and two cycles a beat, four where one lane of a pair has no input left.

    Attributes:
        i: codes, a word at a time; the first is taken when the token before is sorted and ``hold`` is not set.
        hold: no score may be written to the buffer that ``buffer_wanted`` names.
        write, write_enable: beats of the score.
        busy, buffer: a score is being made, in that buffer.
        refused: pulses when a code is dropped, because it lies beyond the lanes' inputs, it, its zero point or its
            offset is wider than the spec's codes, its level is beyond the spec's largest, or it is salient and the
            spec has no such codes; and where a score does not fit its buffer.
    """

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        super().__init__(
            {
                "i": In(stream.Signature(codes_layout())),
                "hold": In(1),
                "write": Out(score_write_layout(spec)),
                "write_enable": Out(1),
                "busy": Out(1),
                "buffer": Out(1),
                "refused": Out(1),
            }
        )

    def elaborate(self, _platform: object) -> Module:
        """Fill, then walk."""
        m = Module()
        spec = self._spec
        buckets = [Bucket(spec) for _ in range(spec.lanes)]
        for lane, bucket in enumerate(buckets):
            m.submodules[f"bucket_{lane}"] = bucket
        filling = _Filling(spec)
        self._decode(m, filling)
        walked = Signal(list_layout(spec))
        self._insert(m, filling, buckets, walked)
        self._walk(m, filling, buckets, walked)
        m.d.comb += self.buffer.eq(filling.header.buffer)
        return m

    def _decode(self, m: Module, filling: "_Filling") -> None:
        """A slice of the word each cycle, a code for each of ``together`` lanes: operands, level, and magnitude."""
        spec = self._spec
        together, groups = filling.together, filling.groups
        slices = CODES_PER_WORD // together
        slice_index = Signal(range(slices))
        group = Signal(range(groups))
        row = Signal(range(spec.lane_rows + 1))
        beyond_row = Signal()
        # a token's first word waits until its header has been looked at
        opened = Signal()
        accept = Signal()
        last_slice = Signal()
        move = ~filling.stay
        m.d.comb += [
            accept.eq(self.i.valid & move & opened),
            last_slice.eq(slice_index == slices - 1),
            self.i.ready.eq(accept & last_slice),
        ]
        codes = Signal(data.ArrayLayout(Code, together))
        # a shift, where word_select would put a multiplication into the Verilog
        place = slice_index << (codes.shape().size.bit_length() - 1)
        m.d.comb += codes.eq(self.i.payload.codes.as_value().bit_select(place, codes.shape().size))
        header = self.i.payload.header
        where = data.StructLayout(
            {"valid": 1, "row": range(spec.lane_rows + 1), "beyond": 1, "group": range(groups), "final": 1}
        )
        operands_at, levels_at, sizes_at, judged_at = (Signal(where, name=f"{name}_at") for name in _DECODING)
        with m.If(move):
            m.d.sync += [
                operands_at.valid.eq(accept),
                operands_at.row.eq(row),
                operands_at.beyond.eq(beyond_row),
                operands_at.group.eq(group),
                operands_at.final.eq(last_slice & self.i.payload.final),
                levels_at.eq(operands_at),
                sizes_at.eq(levels_at),
                judged_at.eq(sizes_at),
                filling.valid.eq(judged_at.valid),
                filling.row.eq(judged_at.row),
                filling.group.eq(judged_at.group),
                filling.final.eq(judged_at.final),
            ]
        with m.If(self.i.valid & ~filling.walking & ~self.hold):
            m.d.sync += [opened.eq(1), self.busy.eq(1), filling.header.eq(header)]
        with m.If(accept):
            m.d.sync += [
                slice_index.eq(Mux(last_slice, 0, slice_index + 1)),
                group.eq(Mux(group == groups - 1, 0, group + 1)),
            ]
            with m.If((group == groups - 1) & ~beyond_row):
                m.d.sync += [row.eq(row + 1), beyond_row.eq(row == spec.lane_rows - 1)]
            with m.If(last_slice & self.i.payload.final):
                m.d.sync += [opened.eq(0), filling.walking.eq(1), slice_index.eq(0), group.eq(0)]
                m.d.sync += [row.eq(0), beyond_row.eq(0)]

        bits = code_bits(spec)
        tops = Signal(together, name="judged_tops")
        wide_zero = header.zero[spec.activation_bits :].any()
        beyond = header.offset[spec.salient_bits :]
        wide_offset = (beyond.any() & ~beyond.all()) | Const(not spec.salient_bits)
        for position, code in enumerate(codes):
            addend = Signal(signed(bits + 1), name=f"addend_{position}", reset_less=True)
            value = Signal(bits, name=f"value_{position}", reset_less=True)
            level = Signal(signed(level_bits(spec)), name=f"level_{position}", reset_less=True)
            salients = [Signal(name=f"salient_{position}_{stage}") for stage in range(2)]
            refused = [Signal(name=f"refused_{position}_{stage}") for stage in range(3)]
            m.submodules[f"absolute_{position}"] = absolute = AddSubtract(bits=level_bits(spec))
            m.d.comb += [absolute.b.eq(level), absolute.subtract.eq(level < 0)]
            wide = Mux(
                code.salient,
                code.value[spec.salient_bits :].any() | wide_offset,
                code.value[spec.activation_bits :].any() | wide_zero,
            )
            size = Signal(decoded_layout(spec), name=f"size_{position}", reset_less=True)
            judged = Signal(decoded_layout(spec), name=f"judged_{position}", reset_less=True)
            judged_wrong, judged_rest = (Signal(name=f"judged_{name}_{position}") for name in ("wrong", "rest"))
            magnitude = Cat(size.rest, size.burst)
            some = magnitude.any()
            wrong = refused[2] | magnitude[bits:].any() | (sizes_at.beyond & some)
            with m.If(move):
                m.d.sync += [
                    value.eq(code.value),
                    addend.eq(Mux(code.salient, header.offset, -header.zero[: spec.activation_bits])),
                    salients[0].eq(code.salient),
                    refused[0].eq(wide),
                    level.eq(value + addend),
                    salients[1].eq(salients[0]),
                    refused[1].eq(refused[0]),
                    magnitude.eq(absolute.total),
                    size.sign.eq(level < 0),
                    size.salient.eq(salients[1]),
                    refused[2].eq(refused[1]),
                    judged.eq(size),
                    judged_wrong.eq(sizes_at.valid & wrong),
                    judged_rest.eq(sizes_at.valid & ~wrong & size.rest.any()),
                    tops[position].eq(sizes_at.valid & ~wrong & size.burst.any()),
                    filling.codes[position].eq(judged),
                    filling.wrong[position].eq(judged_wrong),
                    filling.rests[position].eq(judged_rest),
                ]
        with m.If(move):
            m.d.sync += filling.tops.eq(tops)
        m.d.sync += filling.stay.eq(move & tops.any())

    def _insert(self, m: Module, filling: "_Filling", buckets: list[Bucket], walked: data.View) -> None:
        """Decoded codes go into the buckets: first all rests, then, a cycle later, the tops, if there are any."""
        spec = self._spec
        together = filling.together
        second = Signal()
        shifts = Signal()
        m.d.sync += shifts.eq(filling.header.shift.any())
        shifted = Signal(together)
        for position, code in enumerate(filling.codes):
            m.d.comb += shifted[position].eq(
                (filling.rests[position] | filling.tops[position]) & code.salient & shifts & ~second
            )
            chosen = Signal(list_layout(spec), name=f"chosen_{position}")
            m.d.comb += [
                chosen.level.eq(Mux(second, TOP, code.rest)),
                chosen.salient.eq(code.salient & shifts),
            ]
            for index in range(filling.groups):
                bucket = buckets[index * together + position]
                here = filling.group == index
                m.d.sync += [
                    bucket.insert.eq(here & Mux(second, filling.tops[position], filling.rests[position])),
                    bucket.insert_row.eq(filling.row),
                    bucket.insert_sign.eq(code.sign),
                    bucket.insert_burst.eq(code.burst),
                    bucket.list.eq(Mux(filling.valid, chosen.as_value(), walked.as_value())),
                ]
        m.d.sync += second.eq(filling.stay)
        m.d.sync += filling.refused.eq(filling.wrong.any() & ~second)
        arriving = Signal(range(together + 1))
        m.d.sync += arriving.eq(sum(shifted))
        m.d.sync += [
            filling.salients.eq(filling.salients + arriving),
            filling.filled.eq(filling.valid & ~filling.stay & filling.final),
        ]

    def _walk(self, m: Module, filling: "_Filling", buckets: list[Bucket], walked: data.View) -> None:
        """Level by level, from the top of each phase down; a beat is written when the next one is there."""
        spec = self._spec
        address = Signal(score_address_bits(spec))
        full = Signal()
        pending = Signal(beat_layout(spec))
        some = Signal()
        level = Signal(range(spec.ramp + 1))
        phase_salient = Signal()
        merged = Signal()
        doublings = Signal(filling.header.shift.shape())
        room = Signal()
        mergeable = Signal(range(spec.depth + 1))
        with m.Switch(filling.header.shift):
            for shift in range(spec.max_salient_shift + 1):
                with m.Case(shift):
                    m.d.sync += mergeable.eq(min(spec.merged_inputs >> shift, spec.depth))
        m.d.sync += room.eq(filling.salients <= mergeable)

        state = _Walk()
        # a state of its own for each step, one hot, because what follows from it is wide
        for name in _STEPS:
            m.d.sync += getattr(state, name).eq(0)
        active = Cat(bucket.active for bucket in buckets)
        exhausted = ~active.any()
        ready = Signal(spec.pairs)
        complete = Signal()
        spikes = self._pairs(m, buckets, ready, state.take, complete | state.begin)
        m.d.comb += [complete.eq(state.emit & ready.all()), walked.level.eq(level), walked.salient.eq(phase_salient)]
        for bucket in buckets:
            m.d.comb += bucket.start.eq(state.start | state.sweep)

        emits, overflows = Signal(), Signal()
        beat = Signal(beat_layout(spec))
        m.d.comb += [
            emits.eq((complete & some) | state.end | state.double),
            beat.eq(pending),
            self.refused.eq(filling.refused | overflows),
        ]
        with m.If(state.end):
            m.d.comb += beat.behind.eq(Behind.END)
            with m.If(phase_salient):
                m.d.comb += beat.behind.eq(Behind.SHIFTED)
                with m.If(merged):
                    m.d.comb += beat.behind.eq(Behind.DOUBLE)
        with m.If(state.double):
            m.d.comb += beat.double.eq(1)
        m.d.sync += [
            self.write.address.eq(address),
            self.write.beat.eq(beat),
            self.write_enable.eq(emits & ~full),
            overflows.eq(emits & full),
        ]
        with m.If(emits):
            # the buffer's last word ends any score
            m.d.sync += [address.eq(address + 1), full.eq(full | address[:-1].all())]

        # whatever a reset left in the lists
        with m.If(state.sweep):
            m.d.sync += [Cat(level, phase_salient).eq(Cat(level, phase_salient) + 1), state.sweep.eq(1)]
            with m.If(phase_salient & (level == spec.ramp)):
                m.d.sync += [state.sweep.eq(0), state.fill.eq(1), phase_salient.eq(0), filling.walking.eq(0)]
        with m.If(state.fill):
            m.d.sync += [state.fill.eq(~filling.filled), state.weigh.eq(filling.filled)]
        with m.If(state.weigh):
            header = filling.header
            m.d.sync += [
                address.eq(Cat(header.address[: score_address_bits(spec) - 1], header.buffer)),
                full.eq(0),
                doublings.eq(header.shift),
                phase_salient.eq(filling.salients.any()),
                state.compare.eq(1),
            ]
        with m.If(state.compare):
            m.d.sync += [merged.eq(room), filling.salients.eq(0), state.begin.eq(1)]
        with m.If(state.begin):
            m.d.sync += [level.eq(spec.ramp), some.eq(0), state.select.eq(1)]
        with m.If(state.select):
            m.d.sync += state.start.eq(1)
        with m.If(state.start):
            m.d.sync += state.settle.eq(1)
        with m.If(state.settle):
            m.d.sync += [state.take.eq(~exhausted), state.descend.eq(exhausted)]
        with m.If(state.take):
            m.d.sync += state.emit.eq(1)
        with m.If(state.emit):
            m.d.sync += [state.take.eq(~complete | ~exhausted), state.descend.eq(complete & exhausted)]
        with m.If(complete):
            m.d.sync += some.eq(1)
        lowest = level == 1
        with m.If(state.descend):
            m.d.sync += [level.eq(level - 1), state.select.eq(~lowest), state.end.eq(lowest)]
        with m.If(state.end):
            m.d.sync += [
                phase_salient.eq(0),
                state.done.eq(~phase_salient),
                state.begin.eq(phase_salient & ~merged),
                state.double.eq(phase_salient & merged),
            ]
        with m.If(state.double):
            more = doublings > DOUBLINGS
            m.d.sync += [doublings.eq(doublings - DOUBLINGS), state.double.eq(more), state.begin.eq(~more)]
        with m.If(state.done):
            m.d.sync += [filling.walking.eq(0), self.busy.eq(0), state.fill.eq(1)]

        # a beat begins with no ticks, a level more is a tick more, but the last tick of a phase has no cycle of its own
        with m.If(complete):
            m.d.sync += [pending.spikes.eq(spikes), pending.ticks.eq(0)]
        with m.If(state.descend & some & (~lowest | (phase_salient & merged))):
            m.d.sync += pending.ticks.eq(pending.ticks + 1)
        with m.If(state.begin):
            m.d.sync += pending.ticks.eq(0)
        # the ticks of the next doubling, and no spikes in it
        with m.If((state.end & phase_salient) | state.double):
            left = Mux(state.end, doublings, doublings - DOUBLINGS)
            m.d.sync += pending.ticks.eq(Mux(left >= DOUBLINGS, 2**DOUBLINGS - 1, 1))
        with m.If(state.begin | state.end):
            m.d.sync += [spike.place.eq(idle_place(spec)) for spike in pending.spikes]
            m.d.sync += [spike.sign.eq(0) for spike in pending.spikes]

    def _pairs(self, m: Module, buckets: list[Bucket], ready: Signal, taking: Signal, clear: Value) -> Signal:
        """Each pair gathers up to two inputs from its buckets; the spikes of a beat, idle where none is."""
        spec = self._spec
        spikes = Signal(beat_layout(spec)["spikes"].shape)
        width = spec.pair_lanes
        for pair in range(spec.pairs):
            sources = buckets[pair * width : (pair + 1) * width]
            held = [Signal(spikes.shape().elem_shape, name=f"held_{pair}_{i}") for i in range(width)]
            filled = [Signal(name=f"filled_{pair}_{i}") for i in range(width)]
            full = Cat(filled).all()
            m.d.comb += ready[pair].eq(full | ~Cat(source.active for source in sources).any())
            takes = [Signal(name=f"take_{pair}_{i}") for i in range(width)]
            places = [
                source.row if width == 1 else Cat(Const(lane, 1), source.row) for lane, source in enumerate(sources)
            ]
            # the first source goes first, the second one with it where both places are free
            first_alone = sources[0].active & Cat(filled).any()
            for index, (source, take) in enumerate(zip(sources, takes, strict=True)):
                m.d.comb += [
                    take.eq(taking & source.active & ~full & ~(first_alone if index else Const(0))),
                    source.take.eq(take),
                ]
            for index in range(width):
                with m.If(clear):
                    m.d.sync += [filled[index].eq(0), held[index].place.eq(idle_place(spec)), held[index].sign.eq(0)]
            for index in range(width):
                with m.If(takes[index]):
                    # into its own place, or, where that is taken, into the other one
                    for choice in (index, 1 - index)[:width]:
                        with m.If(filled[index] == (choice != index)):
                            m.d.sync += [
                                held[choice].place.eq(places[index]),
                                held[choice].sign.eq(sources[index].sign),
                                filled[choice].eq(1),
                            ]
                m.d.comb += spikes[pair * width + index].eq(held[index])
        return spikes


_DECODING = ("operands", "levels", "sizes", "judged")

_STEPS = (
    *("sweep", "fill", "weigh", "compare", "begin", "select", "start"),
    *("settle", "take", "emit", "descend", "end", "double", "done"),
)


class _Walk:
    """The steps of a walk, one signal each, of which one is set."""

    def __init__(self) -> None:
        self.sweep = Signal(init=1, name="step_sweep")
        self.fill, self.weigh, self.compare, self.begin, self.select = (
            Signal(name=f"step_{name}") for name in _STEPS[1:6]
        )
        self.start, self.settle, self.take, self.emit = (Signal(name=f"step_{name}") for name in _STEPS[6:10])
        self.descend, self.end, self.double, self.done = (Signal(name=f"step_{name}") for name in _STEPS[10:])


class _Filling:
    """What the two halves of filling, and the walk, know of each other."""

    def __init__(self, spec: Spec) -> None:
        self.together = min(spec.lanes, CODES_PER_WORD)
        self.groups = spec.lanes // self.together
        self.header = Signal(CodesHeader)
        self.walking = Signal(init=1)
        # while tops wait for their own cycle, the slice stays
        self.stay = Signal()
        self.valid = Signal(name="decoded_valid")
        self.codes = Signal(data.ArrayLayout(decoded_layout(spec), self.together), name="decoded")
        # which of them may not be, and which go into a list of their rests, or of the tops
        self.wrong, self.rests, self.tops = (Signal(self.together, name=name) for name in ("wrong", "rests", "tops"))
        self.row = Signal(range(spec.lane_rows + 1), name="decoded_row")
        self.group = Signal(range(self.groups), name="decoded_group")
        self.final = Signal(name="decoded_final")
        self.filled = Signal()
        self.refused = Signal(name="code_refused")
        self.salients = Signal(range(spec.depth + 1))
