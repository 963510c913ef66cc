"""The integrate-and-fire neurons: membranes in a memory, one updated each cycle."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data
from amaranth.lib.wiring import Component, In, Out

from spikequant.golden.layer.spec import Spec
from spikequant.rtl.fabric.carry import ChoosingAdder, GatedAdder
from spikequant.rtl.fabric.memory import BlockMemory
from spikequant.rtl.fabric.registers import registered, unreset
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
"""Stage of the pipeline at which a neuron's zero point is available."""

SHIFTS_PER_STAGE = 2
"""Bits of a shift that one stage applies; the lowest bit is applied at the membrane's adder."""

WRITE_AFTER_READ = 4
"""Cycles from reading a membrane to writing it: no phase may be shorter."""


def parameter_write_layout(spec: Spec) -> data.StructLayout:
    """The constants of one neuron, and its index."""
    return data.StructLayout({"neuron": bits_for_index(spec.neurons), "parameters": parameters_layout(spec)})


def _shift_stages(spec: Spec) -> int:
    return -(-(spec.max_shift.bit_length() - 1) // SHIFTS_PER_STAGE)


class Neurons(Component):
    """Adds the charges of a phase to the membranes, and outputs the complete ones.

    The array keeps no membrane: it gathers the charge of one phase of one tile. Here the offset of the reference
    neuron is subtracted from that charge, its zero point is applied, ``charge + (weight_offset - zero) * population``,
    and the result is shifted and added to the neuron's membrane in the slot of its token. A complete membrane outside
    its range is flagged. The bits kept in between are enough for every sum that ends within the range; a sum that
    leaves even those stays flagged, and so does one with a phase whose charges ``exceeded`` their width.

    Latency: ``latency(spec)`` cycles from a charge to its complete membrane.
    Throughput: a charge a cycle, without a gap between phases.
    Handshake: none, the neurons never stall.

    Attributes:
        write: zero points to store; only while nothing is inside.
        i: charges of a phase, in the order of the neurons.
        o: complete membranes, in the order of the neurons.
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
        """Cycles from a charge to its complete membrane; each bit of the zero point takes a stage."""
        return ZERO_STAGE + spec.weight_bits + _shift_stages(spec) + 2

    def elaborate(self, _platform: object) -> Module:
        """A pipeline: centre, correct bit by bit of the zero point, shift, add, check."""
        m = Module()
        spec = self._spec
        neuron_bits = bits_for_index(spec.neurons)
        end = self.latency(spec)
        # index and phase travel with each charge for the stages that need them
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
            entering.phase.eq(self.i.value.phase),
            entering.exceeded.eq(self.i.value.exceeded),
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

    def _correct(self, m: Module, at: list[data.View]) -> Value:
        """The charge less the offset, and less the zero point times the sum of the levels.

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
        lower, higher = self.i.value.reference
        population: Value = registered(m, higher - lower, "population_1", shape=signed(spec.population_bits + 1))
        charge: Value = registered(m, self.i.value.charge - lower, "charge_1", shape=signed(spec.charge_bits))
        for stage in range(2, ZERO_STAGE + 1):
            charge = registered(m, charge, f"charge_{stage}", shape=signed(spec.charge_bits))
            population = registered(m, population, f"population_{stage}", shape=signed(spec.population_bits + 1))
        # low halves have no zero point
        low = at[ZERO_STAGE - 1].phase.low
        bits: Value = registered(
            m,
            Cat(zeros.output[:-1] & ~low.replicate(spec.weight_bits - 1), ~zeros.output[-1] | low),
            "bits",
            shape=spec.weight_bits,
        )
        for place in reversed(range(spec.weight_bits)):
            subtract = place < spec.weight_bits - 1
            m.submodules[f"correct_{place}"] = adder = GatedAdder(bits=spec.corrected_bits - place, subtract=subtract)
            m.d.comb += [adder.a.eq(charge >> place), adder.b.eq(population), adder.gate.eq(bits[place])]
            total = Cat(charge[:place], adder.total).as_signed()
            charge = registered(m, total, f"corrected_{place}", shape=signed(spec.corrected_bits))
            population = registered(m, population, f"population_before_{place}", shape=signed(spec.population_bits + 1))
            bits = registered(m, bits, f"bits_before_{place}", shape=spec.weight_bits)
        return charge

    def _shift(self, m: Module, value: Value, at: list[data.View], stage: int) -> tuple[Value, int]:
        """The value shifted up by all but the lowest bit of the shift, and its stage."""
        most = self._spec.max_shift
        high = most.bit_length()
        while high > 1:
            low = max(1, high - SHIFTS_PER_STAGE)
            by = at[stage].phase.shift[low:high] << low
            bits = min(len(value) + (1 << high) - (1 << low), self._spec.corrected_bits + most)
            value = registered(m, value << by, f"shifted_{low}", shape=signed(bits))
            high, stage = low, stage + 1
        return value, stage

    def _add(self, m: Module, addend: Value, valid: list[Value], at: list[data.View], stage: int) -> None:
        """Add the addend to the membrane, store the sum, and check it where it is complete."""
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
        total = registered(m, adder.total, "membrane", shape=signed(bits))
        was_saturated = registered(m, old.saturated | at[stage].exceeded, "was_saturated", shape=1)
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
        complete = unreset(m, self.o.value, "complete")
        m.d.sync += [
            complete.value.eq(Cat(total[: spec.membrane_bits - 1], total[-1])),
            complete.saturated.eq(saturated | (high.any() & ~high.all())),
            complete.brief.eq(now.phase.brief),
            self.o.valid.eq(valid[stage + 1] & now.phase.last),
        ]
