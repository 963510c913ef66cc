"""The integrate-and-fire neurons: membranes in a memory, one updated each cycle."""

from amaranth.hdl import Cat, Module, Mux, ShapeLike, Signal, Value, ValueLike, signed
from amaranth.lib import data
from amaranth.lib.wiring import Component, In, Out

from spikequant.golden.layer.spec import Spec
from spikequant.rtl.fabric.carry import ChoosingAdder, GatedAdder, unreset
from spikequant.rtl.fabric.memory import BlockMemory
from spikequant.rtl.interfaces import Flow, Write
from spikequant.rtl.shapes import (
    bits_for_index,
    charged_layout,
    complete_layout,
    membrane_layout,
    parameters_layout,
    phase_layout,
)

ZERO_STAGE = 3
"""The stage of the pipeline at which a neuron's zero point is there."""

SHIFTS_PER_STAGE = 2
"""Bits of a shift that one stage makes; the lowest bit is made in front of the membrane's adder."""

WRITE_BEHIND_READ = 4
"""Cycles from reading a membrane to writing it: no phase is shorter."""


def parameter_write_layout(spec: Spec) -> data.StructLayout:
    """The constants of one neuron and which neuron they are for."""
    return data.StructLayout({"neuron": bits_for_index(spec.neurons), "parameters": parameters_layout(spec)})


def _shift_stages(spec: Spec) -> int:
    return -(-(spec.max_shift.bit_length() - 1) // SHIFTS_PER_STAGE)


class Neurons(Component):
    """Adds the charges of a phase to the membranes, and hands out the complete ones.

    The array keeps no membrane: it gathers the charge of one phase of one tile. Here that charge loses the offset of
    the reference neuron, gets its zero point, ``charge + (weight_offset - zero) * population``, is shifted into
    place, and is added to the neuron's membrane in the slot of its token. A complete membrane outside its range is
    flagged; the bits that are kept on the way there are enough for every sum that ends within, and a sum that leaves
    even those is flagged for good, and so is one of a phase whose charges ``exceeded`` their width.

    Latency: ``latency(spec)`` cycles from a charge to its complete membrane. Throughput: a charge a cycle, one phase
    right behind the other. Nothing ever waits.

    Attributes:
        write: zero points to store where ``write_enable``; only while nothing is on the way.
        i_valid, i: charges, all of a phase's neurons in order.
        o_valid, o: a complete membrane, in the order of the neurons.
        done: the last membrane of a phase has been stored.
    """

    def __init__(self, spec: Spec, *, distributed: bool = False) -> None:
        self._spec = spec
        self._distributed = distributed
        super().__init__(
            {
                "write": In(Write(parameter_write_layout(spec))),
                "i": In(Flow(charged_layout(spec))),
                "o": Out(Flow(complete_layout(spec))),
                "done": Out(1),
            }
        )

    @staticmethod
    def latency(spec: Spec) -> int:
        """Cycles from a charge to its complete membrane; zero points of more bits take longer to add up."""
        return ZERO_STAGE + spec.weight_bits + _shift_stages(spec) + 2

    def elaborate(self, _platform: object) -> Module:
        """A pipeline: centre, correct bit by bit of the zero point, shift, add, check."""
        m = Module()
        spec = self._spec
        neuron_bits = bits_for_index(spec.neurons)
        end = self.latency(spec)
        # its particulars travel with each charge, and each stage takes what it needs of them
        arriving = Signal(neuron_bits)
        last = Signal()
        valid: list[Value] = [self.i.valid]
        at: list[data.View] = []
        travelling = data.StructLayout({"neuron": neuron_bits, "last": 1, "phase": phase_layout(spec), "exceeded": 1})
        entering = Signal(travelling)
        m.d.comb += [
            last.eq(arriving == spec.neurons - 1),
            entering.neuron.eq(arriving),
            entering.last.eq(last),
            entering.phase.eq(self.i.payload.phase),
            entering.exceeded.eq(self.i.payload.exceeded),
        ]
        at.append(entering)
        for stage in range(1, end + 1):
            on_the_way = Signal(name=f"valid_{stage}")
            following = Signal(travelling, name=f"at_{stage}", reset_less=True)
            m.d.sync += [on_the_way.eq(valid[-1]), following.eq(at[-1])]
            valid.append(on_the_way)
            at.append(following)
        with m.If(self.i.valid):
            m.d.sync += arriving.eq(Mux(last, 0, arriving + 1))

        corrected = self._correct(m, at)
        stage = ZERO_STAGE + spec.weight_bits
        shifted, stage = self._shift(m, corrected, at, stage)
        self._add(m, shifted, valid, at, stage)
        m.d.sync += self.done.eq(valid[-1] & at[-1].last)
        return m

    def _after(self, m: Module, value: ValueLike, shape: ShapeLike, name: str) -> Signal:
        """The value a cycle later."""
        register = Signal(shape, name=name, reset_less=True)
        m.d.sync += register.eq(value)
        return register

    def _correct(self, m: Module, at: list[data.View]) -> Value:
        """The charge without the offset, and with the zero point times the sum of the levels taken off.

        ``weight_offset - zero`` is a sum of powers of two by the zero point's bits, the uppermost one inverted.
        """
        spec = self._spec
        m.submodules.zeros = zeros = BlockMemory(
            shape=spec.weight_bits, depth=spec.neurons, distributed=self._distributed
        )
        m.d.comb += [
            zeros.write.address.eq(self.write.data.neuron),
            zeros.write.data.eq(self.write.data.parameters.zero),
            zeros.write.enable.eq(self.write.enable),
            zeros.address.eq(at[0].neuron),
        ]
        lower, higher = self.i.payload.reference
        population: Value = self._after(m, higher - lower, signed(spec.population_bits + 1), "population_1")
        charge: Value = self._after(m, self.i.payload.charge - lower, signed(spec.charge_bits), "charge_1")
        for stage in range(2, ZERO_STAGE + 1):
            charge = self._after(m, charge, signed(spec.charge_bits), f"charge_{stage}")
            population = self._after(m, population, signed(spec.population_bits + 1), f"population_{stage}")
        # low halves have no zero point
        low = at[ZERO_STAGE - 1].phase.low
        bits: Value = self._after(
            m,
            Cat(zeros.output[:-1] & ~low.replicate(spec.weight_bits - 1), ~zeros.output[-1] | low),
            spec.weight_bits,
            "bits",
        )
        for place in reversed(range(spec.weight_bits)):
            subtract = place < spec.weight_bits - 1
            m.submodules[f"correct_{place}"] = adder = GatedAdder(bits=spec.corrected_bits - place, subtract=subtract)
            m.d.comb += [adder.a.eq(charge >> place), adder.b.eq(population), adder.gate.eq(bits[place])]
            total = Cat(charge[:place], adder.total).as_signed()
            charge = self._after(m, total, signed(spec.corrected_bits), f"corrected_{place}")
            population = self._after(m, population, signed(spec.population_bits + 1), f"population_before_{place}")
            bits = self._after(m, bits, spec.weight_bits, f"bits_before_{place}")
        return charge

    def _shift(self, m: Module, value: Value, at: list[data.View], stage: int) -> tuple[Value, int]:
        """The value shifted up by all but the lowest bit of the shift, and the stage at which it is."""
        most = self._spec.max_shift
        high = most.bit_length()
        while high > 1:
            low = max(1, high - SHIFTS_PER_STAGE)
            by = at[stage].phase.shift[low:high] << low
            bits = min(len(value) + (1 << high) - (1 << low), self._spec.corrected_bits + most)
            value = self._after(m, value << by, signed(bits), f"shifted_{low}")
            high, stage = low, stage + 1
        return value, stage

    def _add(self, m: Module, addend: Value, valid: list[Value], at: list[data.View], stage: int) -> None:
        """The membrane with the addend, stored again, and checked where it is complete."""
        spec = self._spec
        depth = spec.membrane_slots * 2 ** bits_for_index(spec.neurons)
        m.submodules.membranes = membranes = BlockMemory(shape=membrane_layout(spec), depth=depth)
        m.d.comb += membranes.address.eq(Cat(at[stage - 3].neuron, at[stage - 3].phase.slot))
        # cleared where the membrane starts, which takes no lookup table
        old = Signal(membrane_layout(spec), reset_less=True)
        m.d.sync += old.eq(membranes.output)
        with m.If(at[stage - 1].phase.first):
            m.d.sync += old.eq(0)
        bits = max(spec.kept_bits, spec.corrected_bits + spec.max_shift) + 1
        m.submodules.sum = adder = ChoosingAdder(bits=bits)
        m.d.comb += [
            adder.a.eq(old.value),
            adder.x.eq(addend),
            adder.y.eq(addend << 1),
            adder.second.eq(at[stage].phase.shift[0]),
        ]
        total = self._after(m, adder.total, signed(bits), "membrane")
        was_saturated = self._after(m, old.saturated | at[stage].exceeded, 1, "was_saturated")
        beyond = total[spec.kept_bits - 1 :]
        saturated = was_saturated | (beyond.any() & ~beyond.all())
        now = at[stage + 1]
        m.d.comb += [
            membranes.write.address.eq(Cat(now.neuron, now.phase.slot)),
            membranes.write.data.value.eq(total),
            membranes.write.data.saturated.eq(saturated),
            membranes.write.enable.eq(valid[stage + 1]),
        ]
        high = total[spec.membrane_bits - 1 :]
        complete = unreset(m, self.o.payload, "complete")
        m.d.sync += [
            complete.value.eq(Cat(total[: spec.membrane_bits - 1], total[-1])),
            complete.saturated.eq(saturated | (high.any() & ~high.all())),
            complete.brief.eq(now.phase.brief),
            self.o.valid.eq(valid[stage + 1] & now.phase.last),
        ]
