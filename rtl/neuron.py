"""The integrate-and-fire neurons: membranes in a memory, one updated each cycle."""

from amaranth.hdl import Cat, Module, Mux, ShapeLike, Signal, Value, ValueLike, signed
from amaranth.lib import data, stream
from amaranth.lib.wiring import Component, In, Out

from golden.spec import Spec
from rtl.fabric import GatedAdder
from rtl.memory import BlockMemory
from rtl.shapes import (
    bits_for_index,
    membrane_layout,
    parameters_layout,
    phase_layout,
    ready_layout,
    threshold_layout,
)

DIGIT_BITS = 2
"""Bits of a zero point that choose one multiple."""

FINE_SHIFT_BITS = 2
"""Shifts are made in two stages: by multiples of four, and by the rest."""


def parameter_write_layout(spec: Spec) -> data.StructLayout:
    """The constants of one neuron and which neuron they are for."""
    return data.StructLayout({"neuron": bits_for_index(spec.neurons), "parameters": parameters_layout(spec)})


def limited(value: Signal, bits: int) -> tuple[Value, Value]:
    """The nearest value of ``bits``, signed, and whether that is another one."""
    beyond = value[bits - 1 :]
    outside = beyond.any() & ~beyond.all()
    sign = value[-1]
    nearest = Cat((~sign).replicate(bits - 1), sign)
    return Mux(outside, nearest, value[:bits]).as_signed(), outside


def _multiple(single: Value, triple: Value, digit: Value) -> Value:
    """Nought to three times a number, as two bits say."""
    return Mux(digit[1], Mux(digit[0], triple, single << 1), Mux(digit[0], single, 0))


class Neurons(Component):
    """Adds the charges of a phase to the membranes, and hands out the complete ones.

    The array keeps no membrane: it gathers the charge of one phase of one tile. Here that charge loses the offset of
    the reference neuron, gets its zero point, ``charge + (weight_offset - zero) * population``, is shifted into
    place, and is added to the neuron's membrane in the slot of its token. A complete membrane outside its range sticks
    at the end of it, with a flag; the bits that are kept on the way there are enough for every sum that ends within,
    and a sum that leaves even those is flagged for good. The bias comes last, on a wider sum, so it never overflows.

    Latency: ``latency(spec)`` cycles from a charge to its complete membrane. What is on the way never waits: after
    ``hold`` is set, at most that many more membranes come out.

    Attributes:
        write: constants to store where ``write_enable``; only while not ``busy``.
        accept: take ``phase``, whose charges will come next; only while not ``busy``.
        charges, reference: as the array has them.
        hold: take no charge now.
        busy: a phase is accepted and not yet in the membranes.
        o_valid, o: a complete membrane with its threshold, in the order of the neurons.
    """

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        super().__init__(
            {
                "write": In(parameter_write_layout(spec)),
                "write_enable": In(1),
                "accept": In(1),
                "phase": In(phase_layout(spec)),
                "charges": In(stream.Signature(spec.charge_bits)),
                "reference": In(data.ArrayLayout(spec.charge_bits, 2)),
                "hold": In(1),
                "busy": Out(1),
                "o_valid": Out(1),
                "o": Out(ready_layout(spec)),
            }
        )

    @staticmethod
    def latency(spec: Spec) -> int:
        """Cycles from a charge to its complete membrane; zero points of more digits take longer to add up."""
        digits = spec.weight_bits // DIGIT_BITS
        return 9 + (digits - 1).bit_length()

    def elaborate(self, _platform: object) -> Module:
        """A pipeline: centre, correct, shift, add, limit, bias."""
        m = Module()
        spec = self._spec
        neuron_bits = bits_for_index(spec.neurons)
        m.submodules.zeros = zeros = BlockMemory(shape=spec.weight_bits, depth=spec.neurons)
        m.submodules.thresholds = thresholds = BlockMemory(shape=threshold_layout(), depth=spec.neurons)
        m.submodules.membranes = membranes = BlockMemory(
            shape=membrane_layout(spec), depth=spec.membrane_slots * 2**neuron_bits
        )
        m.d.comb += [
            zeros.write_address.eq(self.write.neuron),
            zeros.write_data.eq(self.write.parameters.zero),
            zeros.write_enable.eq(self.write_enable),
            thresholds.write_address.eq(self.write.neuron),
            thresholds.write_data.theta.eq(self.write.parameters.theta),
            thresholds.write_data.bias.eq(self.write.parameters.bias),
            thresholds.write_enable.eq(self.write_enable),
        ]

        phase = Signal(phase_layout(spec))
        arriving = Signal(neuron_bits)
        m.d.comb += self.charges.ready.eq(~self.hold)
        arrived = data.StructLayout({"valid": 1, "neuron": neuron_bits})
        first_stage = Signal(arrived, name="at_0")
        m.d.comb += [first_stage.valid.eq(self.charges.valid & ~self.hold), first_stage.neuron.eq(arriving)]
        at = [first_stage]
        for number in range(1, self.latency(spec) + 1):
            following = Signal(arrived, name=f"at_{number}")
            m.d.sync += following.eq(at[-1])
            at.append(following)
        before_last, last = at[-2:]
        m.d.sync += arriving.eq(arriving + first_stage.valid)
        with m.If(before_last.valid & (before_last.neuron == spec.neurons - 1)):
            m.d.sync += self.busy.eq(0)
        with m.If(self.accept):
            m.d.sync += [phase.eq(self.phase), self.busy.eq(1), arriving.eq(0)]

        # the sum of the levels, and three times it: from these, two bits of a zero point choose their multiple
        population = Signal(signed(spec.population_bits), reset_less=True)
        triple = Signal(signed(spec.population_bits + 2), reset_less=True)
        m.d.sync += [population.eq(self.reference[1] - self.reference[0]), triple.eq(population + (population << 1))]

        def after(value: ValueLike, shape: ShapeLike, name: str) -> Signal:
            """The value a cycle later."""
            register = Signal(shape, name=name, reset_less=True)
            m.d.sync += register.eq(value)
            return register

        m.d.comb += zeros.address.eq(arriving)
        centred = after(self.charges.payload - self.reference[0], signed(spec.charge_bits), "centred_charge")
        waiting = after(centred, signed(spec.charge_bits), "waiting_charge")
        whole = after(waiting + (population << (spec.weight_bits - 1)), signed(spec.corrected_bits), "whole_charge")
        zero = Mux(phase.low, 0, zeros.output)
        parts: list[Value] = [
            after(_multiple(population, triple, zero[place : place + DIGIT_BITS]), signed(len(triple)), f"part_{place}")
            for place in range(0, spec.weight_bits, DIGIT_BITS)
        ]
        digit_bits = DIGIT_BITS
        while len(parts) > 1:
            sums = [low + (high << digit_bits) for low, high in zip(parts[::2], parts[1::2], strict=True)]
            parts = [
                after(total, signed(spec.corrected_bits), f"multiple_{digit_bits}_{place}")
                for place, total in enumerate(sums)
            ]
            whole = after(whole, signed(spec.corrected_bits), f"whole_charge_{digit_bits}")
            digit_bits *= 2
        corrected = after(whole - parts[0], signed(spec.corrected_bits), "corrected_charge")
        coarse = spec.max_shift >> FINE_SHIFT_BITS << FINE_SHIFT_BITS
        coarsely = after(
            corrected << (phase.shift[FINE_SHIFT_BITS:] << FINE_SHIFT_BITS),
            signed(spec.corrected_bits + coarse),
            "coarsely_shifted",
        )
        addend = after(
            coarsely << phase.shift[:FINE_SHIFT_BITS],
            signed(spec.corrected_bits + spec.max_shift),
            "shifted_charge",
        )

        # the stages of the membrane are counted from the last one
        m.d.comb += membranes.address.eq(Cat(at[-6].neuron, phase.slot))
        m.submodules.sum = total_of = GatedAdder(bits=max(spec.kept_bits, len(addend)) + 1)
        old = membranes.output
        m.d.comb += [total_of.a.eq(addend), total_of.b.eq(old.value), total_of.gate.eq(~phase.first)]
        total = after(total_of.total, signed(len(total_of.total)), "membrane")
        was_saturated = after(old.saturated & ~phase.first, 1, "was_saturated")
        beyond = total[spec.kept_bits - 1 :]
        saturated = was_saturated | (beyond.any() & ~beyond.all())
        m.d.comb += [
            membranes.write_address.eq(Cat(at[-3].neuron, phase.slot)),
            membranes.write_data.value.eq(total),
            membranes.write_data.saturated.eq(saturated),
            membranes.write_enable.eq(at[-3].valid),
            thresholds.address.eq(at[-4].neuron),
        ]
        complete, outside = limited(total, spec.membrane_bits)
        limits = after(complete, signed(spec.membrane_bits), "complete_membrane")
        left_range = after(saturated | outside, 1, "left_range")
        constants = thresholds.output
        m.d.sync += [
            self.o.membrane.eq(limits + constants.bias),
            self.o.theta.eq(constants.theta),
            self.o.saturated.eq(left_range),
            self.o.slot.eq(phase.slot),
            self.o.final.eq(before_last.neuron == spec.neurons - 1),
        ]
        m.d.comb += self.o_valid.eq(last.valid & phase.last)
        return m
