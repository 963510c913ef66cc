"""The integrate-and-fire neurons: membranes in a memory, one updated each cycle."""

from itertools import pairwise

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Component, In, Out

from golden.spec import Spec
from rtl.shapes import bits_for_index, membrane_layout, parameters_layout, phase_layout, ready_layout


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


class Neurons(Component):
    """Adds the charges of a phase to the membranes, and hands complete membranes to the read-out.

    The array keeps no membrane: it gathers the charge of one phase of one tile. Here that charge gets its
    zero point, ``charge + (weight_offset - zero) * population``, is shifted into place, and is added to
    the neuron's membrane in the slot of its token. A complete membrane outside its range sticks at the end
    of it, with a flag; the bits that are kept on the way there are enough for every sum that ends within.
    The bias comes last, on a wider sum, so it never overflows.

    Latency: from ``loaded``, a phase takes ``neurons`` cycles and six more, plus the stalls of ``o``.

    Attributes:
        write: constants to store where ``write_enable``; only while not ``busy``.
        accept: take ``phase``, whose charges will come next; only while not ``busy``.
        loaded, charge, population, shift: as the array has them.
        busy: a phase is accepted and not yet in the membranes.
        o: complete membranes with their thresholds, in the order of the neurons.
    """

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        super().__init__(
            {
                "write": In(parameter_write_layout(spec)),
                "write_enable": In(1),
                "accept": In(1),
                "phase": In(phase_layout(spec)),
                "loaded": In(1),
                "charge": In(signed(spec.charge_bits)),
                "population": In(signed(spec.population_bits)),
                "shift": Out(1),
                "busy": Out(1),
                "o": Out(stream.Signature(ready_layout(spec))),
            }
        )

    def elaborate(self, _platform: object) -> Module:
        """A pipeline that moves as one: capture, correct, shift, add, bias."""
        m = Module()
        spec = self._spec
        neuron_bits = bits_for_index(spec.neurons)
        m.submodules.parameters = parameters = Memory(shape=parameters_layout(spec), depth=spec.neurons, init=[])
        m.submodules.membranes = membranes = Memory(
            shape=membrane_layout(spec), depth=spec.membrane_slots * 2**neuron_bits, init=[]
        )
        store = parameters.write_port()
        m.d.comb += [
            store.addr.eq(self.write.neuron),
            store.data.eq(self.write.parameters),
            store.en.eq(self.write_enable),
        ]

        move = Signal()
        phase = Signal(phase_layout(spec))
        charged = Signal()
        neuron = Signal(neuron_bits)
        stages = [
            Signal(data.StructLayout({"valid": 1, "neuron": neuron_bits}), name=name)
            for name in ("captured", "missed", "corrected", "shifted", "added")
        ]
        captured, missed, corrected, shifted, added = stages
        m.d.comb += [move.eq(~self.o.valid | self.o.ready), self.shift.eq(move & charged)]
        with m.If(self.shift):
            m.d.sync += neuron.eq(neuron + 1)
            with m.If(neuron == spec.neurons - 1):
                m.d.sync += charged.eq(0)
        with m.If(self.loaded):
            m.d.sync += [charged.eq(1), neuron.eq(0)]
        with m.If(move):
            m.d.sync += [
                captured.valid.eq(charged),
                captured.neuron.eq(neuron),
                *(after.eq(before) for before, after in pairwise(stages)),
                self.o.valid.eq(added.valid & phase.last),
            ]
            with m.If(added.valid & (added.neuron == spec.neurons - 1)):
                m.d.sync += self.busy.eq(0)
        with m.If(self.accept):
            m.d.sync += [phase.eq(self.phase), self.busy.eq(1)]

        # every memory is read a stage early, because its output takes most of a cycle to appear
        zero = parameters.read_port()
        missing = Signal(signed(spec.weight_bits + 1), reset_less=True)
        charge = Signal(signed(spec.charge_bits), reset_less=True)
        waiting_charge = Signal(signed(spec.charge_bits), reset_less=True)
        m.d.comb += [zero.addr.eq(neuron), zero.en.eq(move)]
        with m.If(move):
            m.d.sync += [
                charge.eq(self.charge),
                waiting_charge.eq(charge),
                missing.eq(spec.weight_offset - Mux(phase.low, 0, zero.data.zero)),
            ]

        correction = Signal(signed(spec.corrected_bits + 1))
        corrected_charge = Signal(signed(spec.corrected_bits), reset_less=True)
        multiples = [Mux(bit, self.population << place, 0) for place, bit in enumerate(missing)]
        m.d.comb += correction.eq(sum(multiples[:-1]) - multiples[-1])
        with m.If(move):
            m.d.sync += corrected_charge.eq(waiting_charge + correction)

        old = membranes.read_port()
        start = Signal(membrane_layout(spec), reset_less=True)
        addend = Signal(signed(spec.corrected_bits + spec.max_shift), reset_less=True)
        m.d.comb += [old.addr.eq(Cat(missed.neuron, phase.slot)), old.en.eq(move)]
        with m.If(move):
            m.d.sync += [start.eq(Mux(phase.first, 0, old.data.as_value())), addend.eq(corrected_charge << phase.shift)]

        total = Signal(signed(max(spec.kept_bits, len(addend)) + 1))
        kept, strayed = limited(total, spec.kept_bits)
        membrane = Signal(membrane_layout(spec), reset_less=True)
        new = membranes.write_port()
        m.d.comb += [
            total.eq(addend + start.value),
            new.addr.eq(Cat(shifted.neuron, phase.slot)),
            new.data.value.eq(kept),
            new.data.saturated.eq(strayed | start.saturated),
            new.en.eq(move & shifted.valid),
        ]
        threshold = parameters.read_port()
        constants = Signal(parameters_layout(spec), reset_less=True)
        m.d.comb += [threshold.addr.eq(corrected.neuron), threshold.en.eq(move)]
        with m.If(move):
            m.d.sync += [membrane.eq(new.data), constants.eq(threshold.data)]

        complete, outside = limited(membrane.value, spec.membrane_bits)
        with m.If(move):
            m.d.sync += [
                self.o.payload.membrane.eq(complete + constants.bias),
                self.o.payload.theta.eq(constants.theta),
                self.o.payload.saturated.eq(membrane.saturated | outside),
                self.o.payload.slot.eq(phase.slot),
                self.o.payload.final.eq(added.neuron == spec.neurons - 1),
            ]
        return m
