"""Activation codes in arrival order become spikes in time order."""

from amaranth.hdl import Array, Cat, Module, Mux, Signal, signed
from amaranth.lib import data, stream
from amaranth.lib.wiring import Component, In, Out

from golden.spec import Spec
from rtl.bucket import BANKS, Bucket
from rtl.shapes import CODES_PER_WORD, Code, Half, RunHeader, beat_layout, bits_for_index, codes_layout

NORMAL, SALIENT = 0, 1
"""Index of a phase; also the ``salient`` bit of its levels."""


def run_layout(spec: Spec) -> data.StructLayout:
    """What the replay of a packet needs to know.

    ``tops``: the highest level of each phase, 0 for none, among the codes at each place of a slice.
    """
    tops = data.ArrayLayout(bits_for_index(spec.max_level + 1), 2)
    return data.StructLayout({"header": RunHeader, "tops": data.ArrayLayout(tops, min(spec.lanes, CODES_PER_WORD))})


def decoded_layout() -> data.StructLayout:
    """A code as a level."""
    return data.StructLayout({"magnitude": 10, "sign": 1, "salient": 1})


class Encoder(Component):
    """Sorts one token's activations by level, then replays them from the highest level down.

    Each lane has a bucket of its own: input k belongs to lane ``k % lanes``. One bank of the buckets
    fills while the other replays. The salient phase comes first, and is left out where a token has no
    salient code. Levels above a phase's highest are skipped; an empty level below it costs one beat.

    Latency: the first beat appears five cycles after the packet's last word is taken. Throughput: up to
    four codes a cycle in (as many as there are lanes), one beat a cycle out.

    Attributes:
        i: codes, a word at a time.
        o: beats; the last of each phase has ``end`` set.
        idle: nothing is stored, replayed or waiting in ``o``.
        refused: pulses when a code is dropped, because it lies beyond the synapse memory, its level beyond
            the spec's largest, or it is salient and the spec has no salient phase.
    """

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        super().__init__(
            {
                "i": In(stream.Signature(codes_layout())),
                "o": Out(stream.Signature(beat_layout(spec))),
                "idle": Out(1),
                "refused": Out(1),
            }
        )

    def elaborate(self, _platform: object) -> Module:
        """Two banks, each of which is filled, marked full, replayed, and cleared."""
        m = Module()
        buckets = [Bucket(self._spec) for _ in range(self._spec.lanes)]
        for lane, bucket in enumerate(buckets):
            m.submodules[f"bucket_{lane}"] = bucket
        runs = Array(Signal(run_layout(self._spec), name=f"run_{bank}") for bank in range(BANKS))
        full = Signal(BANKS)
        filling = self._fill(m, buckets, runs, full)
        self._replay(m, buckets, runs, full)
        m.d.comb += self.idle.eq(~full.any() & ~filling & ~self.o.valid)
        return m

    def _fill(self, m: Module, buckets: list[Bucket], runs: Array, full: Signal) -> Signal:
        """Decode a slice of the word each cycle, a code for each of ``together`` lanes, then insert it.

        Returns:
            Whether something is on its way into the buckets.
        """
        spec = self._spec
        together = min(spec.lanes, CODES_PER_WORD)
        slices = CODES_PER_WORD // together
        groups = spec.lanes // together
        slice_index = Signal(range(slices))
        group = Signal(range(groups))
        rows_passed = Signal(range(spec.rows + 1))
        started = Signal()
        bank = Signal()
        accept = Signal()
        final_slice = Signal()
        header = self.i.payload.header
        first_row = header.input[spec.lanes.bit_length() - 1 :]
        m.d.comb += [
            accept.eq(self.i.valid & ~full.bit_select(bank, 1)),
            final_slice.eq(slice_index == slices - 1),
            self.i.ready.eq(accept & final_slice),
        ]

        codes = Signal(data.ArrayLayout(Code, together))
        # a shift, where word_select would put a multiplication into the Verilog
        place = slice_index << (codes.shape().size.bit_length() - 1)
        m.d.comb += codes.eq(self.i.payload.codes.as_value().bit_select(place, codes.shape().size))
        decoded = Signal(
            data.StructLayout(
                {
                    "codes": data.ArrayLayout(decoded_layout(), together),
                    "row": range(2 ** len(first_row) + spec.rows),
                    "group": range(groups),
                    "bank": 1,
                    "final": 1,
                }
            )
        )
        valid = Signal(name="decoded_valid")
        m.d.sync += valid.eq(accept)
        with m.If(accept):
            m.d.sync += [
                runs[bank].header.eq(header),
                decoded.row.eq(first_row + rows_passed),
                decoded.group.eq(group),
                decoded.bank.eq(bank),
                decoded.final.eq(final_slice & self.i.payload.final),
                started.eq(1),
                slice_index.eq(Mux(final_slice, 0, slice_index + 1)),
                group.eq(Mux(group == groups - 1, 0, group + 1)),
            ]
            with m.If((group == groups - 1) & (rows_passed != spec.rows)):
                m.d.sync += rows_passed.eq(rows_passed + 1)
            with m.If(final_slice & self.i.payload.final):
                m.d.sync += [bank.eq(~bank), started.eq(0), slice_index.eq(0), group.eq(0), rows_passed.eq(0)]
        for position, code in enumerate(codes):
            level = Signal(signed(10), name=f"level_{position}")
            m.d.comb += level.eq(Mux(code.salient, code.value + header.offset, code.value - header.zero))
            with m.If(accept):
                m.d.sync += [
                    decoded.codes[position].magnitude.eq(Mux(level < 0, -level, level)),
                    decoded.codes[position].sign.eq(level < 0),
                    decoded.codes[position].salient.eq(code.salient),
                ]

        refused = Signal(together)
        run = runs[decoded.bank]
        for position in range(together):
            code = decoded.codes[position]
            fires = Signal(name=f"fires_{position}")
            salient = code.salient & bool(spec.salient_bits)
            unheard = (decoded.row >= spec.rows) | (code.magnitude > spec.max_level)
            m.d.comb += [
                refused[position].eq((code.magnitude.any() & unheard) | (code.salient & (not spec.salient_bits))),
                fires.eq(valid & code.magnitude.any() & ~refused[position]),
            ]
            # spelled out, because an index into the tops would put a multiplication into the Verilog
            for which, top in enumerate((run.tops[position][NORMAL], run.tops[position][SALIENT])):
                with m.If(fires & (code.salient == which) & (code.magnitude > top)):
                    m.d.sync += top.eq(code.magnitude)
            for index in range(groups):
                bucket = buckets[index * together + position]
                m.d.comb += [
                    bucket.insert.eq(fires & (decoded.group == index)),
                    bucket.insert_bank.eq(decoded.bank),
                    bucket.insert_level.magnitude.eq(code.magnitude),
                    bucket.insert_level.salient.eq(salient),
                    bucket.insert_row.eq(decoded.row),
                    bucket.insert_sign.eq(code.sign),
                ]
        m.d.comb += self.refused.eq(valid & refused.any())
        with m.If(valid & decoded.final):
            m.d.sync += full.bit_select(decoded.bank, 1).eq(1)
        return started | valid

    def _replay(self, m: Module, buckets: list[Bucket], runs: Array, full: Signal) -> None:
        """Walk the levels of both phases; a beat takes one event from every lane that has one left."""
        bank = Signal()
        run = runs[bank]
        header = run.header
        phase = Signal()
        level = Signal(bits_for_index(self._spec.max_level + 1))
        start = Signal()
        load = Signal()
        beat = Signal(beat_layout(self._spec))
        half = header.half
        tops = [Signal(bits_for_index(self._spec.max_level + 1), name=name) for name in ("top_normal", "top_salient")]
        for which, top in enumerate(tops):
            candidates = [run.tops[place][which] for place in range(min(self._spec.lanes, CODES_PER_WORD))]
            while len(candidates) > 1:
                candidates = [Mux(a > b, a, b) for a, b in zip(candidates[::2], candidates[1::2], strict=True)]
            m.d.sync += top.eq(candidates[0])
        any_salient = tops[SALIENT].any()
        high = Mux(half == Half.HIGH, self._spec.weight_bits, 0)
        m.d.comb += [
            load.eq(~self.o.valid | self.o.ready),
            beat.fire.eq(Cat(bucket.active for bucket in buckets)),
            beat.sign.eq(Cat(bucket.sign for bucket in buckets)),
            beat.phase.slot.eq(header.slot),
            beat.phase.shift.eq(high + Mux(phase, header.shift, 0)),
            beat.phase.first.eq(header.first & ((phase == SALIENT) | ~any_salient)),
            beat.phase.last.eq(header.last & (phase == NORMAL)),
            beat.phase.low.eq(half == Half.LOW),
        ]
        for lane, bucket in enumerate(buckets):
            m.d.comb += [
                beat.row[lane].eq(bucket.row),
                bucket.replay_bank.eq(bank),
                bucket.level.magnitude.eq(level),
                bucket.level.salient.eq(phase),
                bucket.start.eq(start),
            ]
        with m.If(load):
            m.d.sync += self.o.valid.eq(0)

        def emit() -> None:
            m.d.sync += [self.o.valid.eq(1), self.o.payload.eq(beat)]

        with m.FSM():
            with m.State("wait"), m.If(full.bit_select(bank, 1)):
                # in the next cycle the highest levels of the full bank are in their registers
                m.next = "begin"
            with m.State("begin"):
                m.d.sync += [
                    phase.eq(any_salient),
                    level.eq(Mux(any_salient, tops[SALIENT], tops[NORMAL])),
                    start.eq(1),
                ]
                m.next = "replay"
            with m.State("replay"):
                with m.If(level == 0):
                    m.d.comb += [beat.end.eq(1), beat.fire.eq(0)]
                    with m.If(load):
                        emit()
                        m.d.sync += [phase.eq(NORMAL), level.eq(tops[NORMAL]), start.eq(1)]
                        with m.If(phase == NORMAL):
                            m.d.comb += [bucket.clear.eq(1) for bucket in buckets]
                            m.d.sync += [
                                full.bit_select(bank, 1).eq(0),
                                run.tops.eq(0),
                                bank.eq(~bank),
                            ]
                            m.next = "wait"
                with m.Else():
                    m.d.comb += beat.tick.eq(Cat(bucket.done for bucket in buckets).all())
                    with m.If(load):
                        emit()
                        m.d.comb += [bucket.advance.eq(1) for bucket in buckets]
                        m.d.sync += start.eq(beat.tick)
                        with m.If(beat.tick):
                            m.d.sync += level.eq(level - 1)
