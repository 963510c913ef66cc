"""The fast part of a neuron: spikes add to a current, ticks add the current to a charge."""

from functools import reduce
from operator import or_

from amaranth.hdl import Array, Cat, Const, Module, Signal
from amaranth.lib import data
from amaranth.lib.wiring import Component, In, Out

from spikequant.golden.layer.spec import Spec
from spikequant.rtl.fabric.carry import ChoosingAdder, GatedAdder, SignedSums
from spikequant.rtl.fabric.registers import unreset
from spikequant.rtl.shapes import step_layout


class IntegratorGroup(Component):
    """A few neurons, each with a current, a charge, and an adder for each of the two.

    A beat of spikes adds up to ``lanes`` weights, each inverted where its spike is negative, to the current. A
    tick adds the current to the charge, in the cycle in which the next beat adds to the current. So an input that fires
    at level n stays in the current for n ticks, and the charge ends at the sum of its weights times n: a product by
    addition alone. An inverted weight counts as
    the largest code less itself, so the charge has an offset, which depends on the spikes alone and is equal for
    all neurons; it is known modulo ``2**charge_bits``, and without the offset it cannot leave that range.

    Latency: a step acts ``latency(spec)`` cycles after the weights and signs that come with it; a finished charge is
    copied and cleared ``COPY_CYCLES`` later, before the first tick of another phase. The copy holds until the next one;
    ``gathered`` shows the selected one two cycles after ``deselect``. Gates of
    registers sample the charges in the first of these cycles; a multiplexer, where registers are scarcer than lookup
    tables, samples them in the second one.
    Throughput: a step a cycle. Handshake: none.

    Attributes:
        weights: stored weights by lane and neuron.
        sign: whether the spike is negative, by lane.
        step: operation of currents and charges.
        deselect: neurons whose finished charge is not gathered: all, or all but one.
        gathered: the selected charge, or zero.
        finished: charges of the last finished phase.
    """

    COPY_CYCLES = 1
    """Cycles from a finished charge to its copy.

    If the copy took the adder's sum, the packer would join it, and neither current nor charge, with the adder.
    """

    def __init__(self, spec: Spec, count: int, *, bits: int | None = None, gated: bool = True) -> None:
        self._spec = spec
        self._count = count
        self._bits = spec.charge_bits if bits is None else bits
        self._gated = gated
        super().__init__(
            {
                "weights": In(data.ArrayLayout(data.ArrayLayout(spec.weight_bits, count), spec.lanes)),
                "sign": In(spec.lanes),
                "step": In(step_layout()),
                "deselect": In(count),
                "gathered": Out(self._bits),
                "finished": Out(data.ArrayLayout(self._bits, count)),
            }
        )

    @staticmethod
    def latency(spec: Spec) -> int:
        """Cycles from weights to the step that belongs to them: one for each level of the tree of sums."""
        return max(1, spec.lanes.bit_length() - 1)

    def elaborate(self, _platform: object) -> Module:
        """A tree of sums, two adders and three registers for each neuron, then the gate or multiplexer."""
        m = Module()
        bits = self._bits
        sums = self._lane_sums(m)
        step = self.step
        for stage in range(self.latency(self._spec)):
            # a reset makes the step clear the currents, which need no reset of their own
            delayed = Signal(step_layout(), name=f"step_{stage + 1}", init={"clear": 1})
            m.d.sync += delayed.eq(step)
            step = delayed
        # and charges are cleared like those of a finished phase
        copies = Signal(init=1)
        m.d.sync += copies.eq(step.finish)

        shown = []
        for neuron, spikes in enumerate(sums):
            m.submodules[f"current_adder_{neuron}"] = with_spikes = GatedAdder(bits=bits)
            m.submodules[f"charge_adder_{neuron}"] = with_current = ChoosingAdder(bits=bits)
            current = Signal(bits, name=f"current_{neuron}", reset_less=True)
            charge = Signal(bits, name=f"charge_{neuron}", reset_less=True)
            finished = Signal(bits, name=f"finished_{neuron}", reset_less=True)
            m.d.comb += [
                with_spikes.a.eq(current),
                with_spikes.b.eq(spikes),
                with_spikes.gate.eq(1),
                with_current.a.eq(charge),
                with_current.x.eq(current),
                with_current.y.eq(charge),
                with_current.second.eq(step.double),
                self.finished[neuron].eq(finished),
            ]
            with m.If(step.keep_current):
                m.d.sync += current.eq(with_spikes.total)
            with m.If(step.clear):
                m.d.sync += current.eq(0)
            with m.If(step.keep_charge):
                m.d.sync += charge.eq(with_current.total)
            with m.If(copies):
                m.d.sync += [finished.eq(charge), charge.eq(0)]
            shown.append(finished)
        (self._gate if self._gated else self._choose)(m, shown)
        return m

    def _gate(self, m: Module, finished: list[Signal]) -> None:
        """Gather through registers that are cleared where they are not selected, which takes no lookup table."""
        gates = []
        for neuron, charge in enumerate(finished):
            gate = Signal.like(charge, name=f"gate_{neuron}", reset_less=True)
            m.d.sync += gate.eq(charge)
            with m.If(self.deselect[neuron]):
                m.d.sync += gate.eq(0)
            gates.append(gate)
        m.d.sync += unreset(m, self.gathered, "gathered").eq(reduce(or_, gates))

    def _choose(self, m: Module, finished: list[Signal]) -> None:
        """Gather through a multiplexer; its selection is registered instead of the charges."""
        nobody = Signal(init=1)
        place = Signal(range(self._count))
        bits = [
            reduce(or_, (~self.deselect[n] for n in range(self._count) if n >> bit & 1), Const(0))
            for bit in range(len(place))
        ]
        gathered = unreset(m, self.gathered, "gathered")
        m.d.sync += [nobody.eq(self.deselect.all()), place.eq(Cat(bits)), gathered.eq(Array(finished)[place])]
        with m.If(nobody):
            m.d.sync += gathered.eq(0)

    def _lane_sums(self, m: Module) -> list[Signal]:
        """The sum of the lanes' weights for each neuron, registered at each level of the tree."""
        spec = self._spec
        operands = [self.weights[lane] for lane in range(spec.lanes)]
        signs = [self.sign[lane] for lane in range(spec.lanes)]
        bits: int = spec.weight_bits
        level = 0
        if len(operands) == 1:
            operands.append(data.ArrayLayout(bits, self._count).const([0] * self._count))
            signs.append(0)
        while len(operands) > 1:
            results = []
            for place in range(0, len(operands), 2):
                name = f"sums_{level}_{place // 2}"
                m.submodules[name] = adder = SignedSums(bits=bits, count=self._count)
                m.d.comb += [
                    adder.x.eq(operands[place]),
                    adder.y.eq(operands[place + 1]),
                    adder.sign_x.eq(signs[place]),
                    adder.sign_y.eq(signs[place + 1]),
                ]
                total = Signal(data.ArrayLayout(bits + 1, self._count), name=name, reset_less=True)
                m.d.sync += total.eq(adder.sums)
                results.append(total)
            operands, signs, bits, level = results, [0] * len(results), bits + 1, level + 1
        return list(operands[0])
