"""Properties of the encoder: every input fires exactly as its code requires."""

from collections.abc import Iterator
from functools import partial

from amaranth.hdl import Array, Const, Module, Mux, Signal, Value, signed

from spikequant.cosim.formal.circuit import around
from spikequant.cosim.formal.harness import Harness, check, cycles, something, suppose, total
from spikequant.cosim.formal.property import Bounded, Property
from spikequant.golden.layer.spec import Spec
from spikequant.rtl.encoder.encoder import Encoder
from spikequant.rtl.packet_sizes import CODES_PER_WORD
from spikequant.rtl.shapes import Behind, CodesHeader, idle_place


class Watched(Harness):
    """A token of any codes, of which any one input is watched.

    The score is played while it is written, with a weight of 1 for the watched input and of 0 for all others: a spike
    adds to a current, a tick adds the current to a charge, and so on. The final charge is then the input's level if and
    only if its spikes have that level. Codes that the spec forbids count as silent.
    """

    def __init__(self, spec: Spec, *, inputs: int, within: int, merged: bool = False) -> None:
        """Set what to prove.

        Args:
            spec: spec of the encoder, with one pair of lanes.
            inputs: number of the token's inputs.
            within: cycles from the reset to the end of the score.
            merged: whether the salient levels are part of the normal phase.
        """
        self._spec = spec
        self._inputs = inputs
        self._within = within
        self._merged = merged

    def describe(self, m: Module) -> None:
        """Offer codes without pauses."""
        spec = self._spec
        m.submodules.component = encoder = Encoder(spec)
        words = -(-self._inputs // CODES_PER_WORD)
        header = something(m, CodesHeader, "header")
        codes = [something(m, 8, f"code_{number}") for number in range(words * CODES_PER_WORD)]
        sent = Signal(range(words + 1))
        payload = encoder.i.payload
        m.d.comb += [
            encoder.i.valid.eq(sent != words),
            payload.header.eq(header),
            payload.final.eq(sent == words - 1),
        ]
        for place in range(CODES_PER_WORD):
            of_word = Array(codes[word * CODES_PER_WORD + place] for word in range(words))
            m.d.comb += Value.cast(payload.codes[place]).eq(of_word[sent])
        with m.If(encoder.i.valid & encoder.i.ready):
            m.d.sync += sent.eq(sent + 1)
        suppose(m, header.shift <= spec.max_salient_shift)
        suppose(m, (header.address == 0) & (header.merged == self._merged))

        watched = something(m, range(len(codes)), "watched")
        level, apart = self._level(header, Array(codes)[watched])
        self._play(m, encoder, header, watched, required=(level, apart))

    def _level(self, header: CodesHeader, code: Value) -> tuple[Value, Value]:
        """Return the level of a code before its shift, and whether that belongs to the salient phase."""
        spec = self._spec
        value, salient = code[:7], code[7]
        normal = value - header.zero
        right = (value <= spec.max_activation_code) & (header.zero <= spec.max_activation_code)
        if not spec.salient_bits:
            return Mux(right & ~salient, normal, 0), Const(0)
        raised = value + header.offset
        most = spec.max_level
        # an offset with more bits than a salient code, or a level out of range, is refused
        high = (value <= spec.max_salient_code) & (header.offset < 1 << spec.salient_bits)
        high &= (header.offset >= -(1 << spec.salient_bits)) & (raised <= most) & (raised >= -most)
        return Mux(salient, Mux(high, raised, 0), Mux(right, normal, 0)), salient & header.shift.any()

    def _play(
        self, m: Module, encoder: Encoder, header: CodesHeader, watched: Value, *, required: tuple[Value, Value]
    ) -> None:
        """Compare currents and charges of the watched input with its code, beat by beat."""
        level, apart = required
        spec = self._spec
        bits = spec.max_level.bit_length() + spec.max_salient_shift + 3
        current, charge, membrane = (Signal(signed(bits), name=name) for name in ("current", "charge", "membrane"))
        fired = Signal(4)
        over = Signal()
        written = Signal(range(spec.score_words))
        beat = encoder.write.data.beat
        hits = [spike.place == watched for spike in beat.spikes]
        idle = [spike.place == idle_place(spec) for spike in beat.spikes]
        brought = total(Mux(hit, Mux(spike.sign, -1, 1), 0) for hit, spike in zip(hits, beat.spikes, strict=True))
        flowing, gathered = Signal(signed(bits)), Signal(signed(bits))
        product = total(Mux(beat.ticks[place], flowing << place, 0) for place in range(len(beat.ticks)))
        ends = (beat.behind == Behind.END) | (beat.behind == Behind.SHIFTED)
        m.d.comb += [
            flowing.eq(Mux(beat.double, 0, current + brought)),
            # the last tick of a phase is not counted
            gathered.eq(Mux(beat.double, charge << beat.ticks, charge + product + Mux(ends, flowing, 0))),
        ]
        wrote = encoder.write.enable
        with m.If(wrote):
            m.d.sync += [
                current.eq(Mux(ends | beat.double | (beat.behind == Behind.DOUBLE), 0, flowing)),
                charge.eq(Mux(ends, 0, gathered)),
                fired.eq(fired + total(hits)),
                written.eq(written + 1),
            ]
            with m.If(ends):
                shifted = Mux(beat.behind == Behind.SHIFTED, gathered << header.shift, gathered)
                m.d.sync += membrane.eq(membrane + shifted)
            with m.If(beat.behind == Behind.END):
                m.d.sync += over.eq(1)
        magnitude = Mux(level < 0, -level, level)
        burst = magnitude >> (spec.ramp.bit_length() - 1)
        spikes = burst + (magnitude & (spec.ramp - 1)).any()
        expected = Mux(apart, level << header.shift, level)
        check(m, ~wrote | ~over, "nothing follows the end")
        check(
            m,
            ~wrote | (encoder.write.data.address == written + (header.buffer << len(written))),
            "beats follow each other",
        )
        for lane, spike in enumerate(beat.spikes):
            known = idle[lane] | (spike.place < spec.pair_rows)
            check(m, ~wrote | known, f"lane {lane} fires an input or none")
            check(m, ~wrote | ~beat.double | idle[lane], f"lane {lane} does not fire while the charge is doubled")
        check(m, ~over | (membrane == expected), "the watched input counts its level")
        check(m, ~over | (fired == spikes), "the watched input fires as often as its level needs")
        check(m, (cycles(m, self._within) != self._within) | over, "the score ends")


def properties() -> Iterator[Property]:
    """Return properties of small encoders for any inputs, codes and header."""
    plain = Spec(
        neurons=8,
        lanes=2,
        depth=8,
        activation_bits=3,
        salient_bits=0,
        max_salient_shift=0,
        population_bits=6,
        ramp=4,
        score_words=16,
    )
    salient = plain.model_copy(update={"activation_bits": 2, "salient_bits": 3, "max_salient_shift": 1, "depth": 4})
    for name, spec, within, merged in (
        ("plain", plain, 44, False),
        ("apart", salient, 54, False),
        ("in-place", salient, 54, True),
    ):
        inputs = 4
        phases = f", salient levels {name}" if spec.salient_bits else ""
        yield Property(
            name=f"encoder.{name}",
            component=f"Encoder, 2 lanes, {inputs} inputs, levels to {spec.max_level}, ramp {spec.ramp}{phases}",
            specification="each input fires as its code requires, by level and with its sign, and nothing else fires",
            method=Bounded(within + 1),
            circuit=partial(around, partial(Watched, spec, inputs=inputs, within=within, merged=merged)),
            solver="abc",
        )
