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

    ``top``: the highest level of each phase, 0 for none; ``any_salient``: the salient phase takes place.
    """
    top = data.ArrayLayout(bits_for_index(spec.max_level + 1), 2)
    return data.StructLayout({"header": RunHeader, "top": top, "any_salient": 1})


class Encoder(Component):
    """Sorts one token's activations by level, then replays them from the highest level down.

    Each lane has a bucket of its own: input k belongs to lane ``k % lanes``. One bank of the buckets
    fills while the other replays. The salient phase comes first, and is left out where a token has no
    salient code. Levels above a phase's highest are skipped; an empty level below it costs one beat.

    Latency: the first beat appears two cycles after the packet's last code is in. Throughput: up to
    four codes a cycle in (as many as there are lanes), one beat a cycle out.

    Attributes:
        i: codes, a word at a time.
        o: beats; the last of each phase has ``end`` set.
        idle: nothing is stored, replayed or waiting in ``o``.
        refused: pulses when a code is dropped, because it lies beyond the synapse memory or its level
            beyond the spec's largest.
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
        started = Signal()
        self._fill(m, buckets, runs, full, started)
        self._replay(m, buckets, runs, full)
        m.d.comb += self.idle.eq(~full.any() & ~started & ~self.o.valid)
        return m

    def _fill(self, m: Module, buckets: list[Bucket], runs: Array, full: Signal, started: Signal) -> None:
        """Decode a slice of the word each cycle, a code for each of ``together`` lanes."""
        spec = self._spec
        together = min(spec.lanes, CODES_PER_WORD)
        slices = CODES_PER_WORD // together
        groups = spec.lanes // together
        slice_index = Signal(range(slices))
        group = Signal(range(groups))
        rows_passed = Signal(range(spec.rows + 1))
        bank = Signal()
        row = Signal(range(2**17))
        accept = Signal()
        final_slice = Signal()
        header = self.i.payload.header
        m.d.comb += [
            row.eq((header.input >> (spec.lanes.bit_length() - 1)) + rows_passed),
            accept.eq(self.i.valid & ~full.bit_select(bank, 1)),
            final_slice.eq(slice_index == slices - 1),
            self.i.ready.eq(accept & final_slice),
        ]

        codes = Signal(data.ArrayLayout(Code, together))
        # a shift, where word_select would put a multiplication into the Verilog
        place = slice_index << (codes.shape().size.bit_length() - 1)
        m.d.comb += codes.eq(self.i.payload.codes.as_value().bit_select(place, codes.shape().size))
        refused = Signal(together)
        run = runs[bank]
        tops = [run.top[NORMAL], run.top[SALIENT]]
        magnitudes = []
        for position, bits in enumerate(refused):
            code = codes[position]
            level = Signal(signed(10), name=f"level_{position}")
            magnitude = Signal(10, name=f"magnitude_{position}")
            salient = code.salient & bool(spec.salient_bits)
            m.d.comb += [
                level.eq(Mux(salient, code.value + header.offset, code.value - header.zero)),
                magnitude.eq(Mux(level < 0, -level, level)),
                bits.eq(magnitude.any() & ((row >= spec.rows) | (magnitude > spec.max_level))),
            ]
            magnitudes.append((salient, Mux(bits, 0, magnitude)))
            for index in range(groups):
                bucket = buckets[index * together + position]
                m.d.comb += [
                    bucket.insert.eq(accept & (group == index) & magnitude.any() & ~bits),
                    bucket.insert_bank.eq(bank),
                    bucket.insert_level.magnitude.eq(magnitude),
                    bucket.insert_level.salient.eq(salient),
                    bucket.insert_row.eq(row),
                    bucket.insert_sign.eq(level < 0),
                ]
        m.d.comb += self.refused.eq(accept & refused.any())

        with m.If(accept):
            m.d.sync += [started.eq(1), run.header.eq(header)]
            for phase, top in enumerate(tops):
                highest = top
                for salient, magnitude in magnitudes:
                    candidate = Mux(salient == phase, magnitude, 0)
                    highest = Mux(candidate > highest, candidate, highest)
                m.d.sync += top.eq(highest)
            with m.If(Cat(salient & magnitude.any() for salient, magnitude in magnitudes).any()):
                m.d.sync += run.any_salient.eq(1)
            m.d.sync += slice_index.eq(Mux(final_slice, 0, slice_index + 1))
            m.d.sync += group.eq(Mux(group == groups - 1, 0, group + 1))
            with m.If((group == groups - 1) & (rows_passed != spec.rows)):
                m.d.sync += rows_passed.eq(rows_passed + 1)
            with m.If(final_slice & self.i.payload.final):
                m.d.sync += [
                    full.bit_select(bank, 1).eq(1),
                    bank.eq(~bank),
                    started.eq(0),
                    slice_index.eq(0),
                    group.eq(0),
                    rows_passed.eq(0),
                ]

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
        high = Mux(half == Half.HIGH, self._spec.weight_bits, 0)
        m.d.comb += [
            load.eq(~self.o.valid | self.o.ready),
            beat.fire.eq(Cat(bucket.active for bucket in buckets)),
            beat.sign.eq(Cat(bucket.sign for bucket in buckets)),
            beat.phase.slot.eq(header.slot),
            beat.phase.shift.eq(high + Mux(phase, header.shift, 0)),
            beat.phase.first.eq(header.first & ((phase == SALIENT) | ~run.any_salient)),
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
                m.d.sync += [
                    phase.eq(run.any_salient),
                    level.eq(Mux(run.any_salient, run.top[SALIENT], run.top[NORMAL])),
                    start.eq(1),
                ]
                m.next = "replay"
            with m.State("replay"):
                with m.If(level == 0):
                    m.d.comb += [beat.end.eq(1), beat.fire.eq(0)]
                    with m.If(load):
                        emit()
                        m.d.sync += [phase.eq(NORMAL), level.eq(run.top[NORMAL]), start.eq(1)]
                        with m.If(phase == NORMAL):
                            m.d.comb += [bucket.clear.eq(1) for bucket in buckets]
                            m.d.sync += [
                                full.bit_select(bank, 1).eq(0),
                                run.any_salient.eq(0),
                                run.top.eq(0),
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
