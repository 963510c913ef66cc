"""The array: every neuron's accumulators on the same spikes, and two reference neurons beside them."""

from functools import reduce
from operator import or_

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, stream
from amaranth.lib.wiring import Component, In, Out, connect, flipped

from golden.spec import Spec
from rtl.integrator import IntegratorGroup
from rtl.queue import StreamQueue
from rtl.shapes import cycle_layout, step_layout
from rtl.synapse import SynapseMemory, row_write_layout

GROUP = 4
"""Neurons that share a carry chain and their copies of the control signals."""

FAN_IN = 4
"""Charges that one lookup table a bit brings together."""


CHARGES_WAITING = 16
"""Charges that may wait behind the array: as many as are on the way, and some more."""


class SpikingArray(Component):
    """``neurons`` accumulators by ``lanes`` spikes, with the synapse memory in front.

    The reference neurons see fixed weights in place of stored ones: their charges are what the spikes alone make
    of the offsets, which is all that has to be put right behind the array.

    Latency: a cycle's step acts ``SynapseMemory.latency`` and the integrators' latency behind ``cycle``. The charges
    of a finished phase go out one by one from then on; no other phase may finish before all of them are taken.

    Attributes:
        write, write_enable: a row of the synapse memory; only while no spikes fire.
        cycle: what fires and what the accumulators do in this cycle.
        charges: of a finished phase, neuron 0 first.
        reference: charges of the neurons with weights ``weight_offset`` and one more.
    """

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        super().__init__(
            {
                "write": In(row_write_layout(spec)),
                "write_enable": In(1),
                "cycle": In(cycle_layout(spec)),
                "charges": Out(stream.Signature(spec.charge_bits)),
                "reference": Out(data.ArrayLayout(spec.charge_bits, 2)),
            }
        )

    def elaborate(self, _platform: object) -> Module:
        """Memory, groups with registered copies of the control signals, and a tree that gathers the charges."""
        m = Module()
        spec = self._spec
        m.submodules.synapses = synapses = SynapseMemory(spec)
        m.d.comb += [
            synapses.write.eq(self.write),
            synapses.write_enable.eq(self.write_enable),
            synapses.row.eq(self.cycle.row),
        ]
        control = data.StructLayout({"fire": spec.lanes, "sign": spec.lanes, "step": step_layout()})
        now = Signal(control)
        m.d.comb += [now.fire.eq(self.cycle.fire), now.sign.eq(self.cycle.sign), now.step.eq(self.cycle.step)]
        # the last of these registers is the groups' own
        for stage in range(synapses.latency - 1):
            delayed = Signal(control, name=f"control_{stage + 1}")
            m.d.sync += delayed.eq(now)
            now = delayed

        m.submodules.queue = queue = StreamQueue(spec.charge_bits, depth=CHARGES_WAITING)
        connect(m, queue.o, flipped(self.charges))
        begin = Signal()
        more = Signal()
        deselect = Signal(spec.neurons, init=-1)
        sent = Signal(range(spec.neurons))

        shown = []
        for first in range(0, spec.neurons, GROUP):
            count = min(GROUP, spec.neurons - first)
            name = f"group_{first // GROUP}"
            m.submodules[name] = group = IntegratorGroup(spec, count)
            self._control(m, group, now, name)
            m.d.comb += group.deselect.eq(deselect[first : first + count])
            for lane in range(spec.lanes):
                for neuron in range(count):
                    m.d.comb += group.weights[lane][neuron].eq(
                        synapses.weights[lane].word_select(first + neuron, spec.weight_bits)
                    )
            shown.append(group.gathered)

        m.submodules.reference = reference = IntegratorGroup(spec, 2)
        copy = self._control(m, reference, now, "reference")
        for lane in range(spec.lanes):
            for neuron in range(2):
                weight = Const(spec.weight_offset + neuron, spec.weight_bits)
                m.d.comb += reference.weights[lane][neuron].eq(weight & copy.fire[lane].replicate(spec.weight_bits))
        finish = copy.step.finish
        for stage in range(IntegratorGroup.latency(spec) + 1):
            delayed = Signal(name=f"finish_{stage + 1}")
            m.d.sync += delayed.eq(finish)
            finish = delayed
        m.d.comb += [begin.eq(finish), self.reference.eq(reference.finished)]

        stages = 0
        while len(shown) > 1:
            results = []
            for place in range(0, len(shown), FAN_IN):
                together = Signal(spec.charge_bits, name=f"gathered_{stages}_{place // FAN_IN}", reset_less=True)
                m.d.sync += together.eq(reduce(or_, shown[place : place + FAN_IN]))
                results.append(together)
            shown, stages = results, stages + 1

        # the gates and the groups' own gathering come before the tree
        on_the_way = stages + 2
        room = queue.level < CHARGES_WAITING - on_the_way - 1
        selected = Signal()
        m.d.sync += selected.eq(0)
        with m.If(begin | (more & room)):
            m.d.sync += [deselect.eq(Cat(~begin, deselect[:-1])), selected.eq(1), sent.eq(Mux(begin, 0, sent + 1))]
        with m.If(begin):
            m.d.sync += more.eq(1)
        with m.Elif(more & room & (sent == spec.neurons - 2)):
            m.d.sync += more.eq(0)
        valid = selected
        for stage in range(on_the_way):
            delayed = Signal(name=f"valid_{stage + 1}")
            m.d.sync += delayed.eq(valid)
            valid = delayed
        m.d.comb += [queue.i.payload.eq(shown[0]), queue.i.valid.eq(valid)]
        return m

    def _control(self, m: Module, group: IntegratorGroup, now: data.View, name: str) -> data.View:
        """A group's own copy of the control signals."""
        # kept, because the tools would merge equal registers, and one register cannot drive the whole array in time
        copy = Signal(now.shape(), name=f"control_{name}", attrs={"keep": 1})
        m.d.sync += copy.eq(now)
        m.d.comb += [group.sign.eq(copy.sign), group.step.eq(copy.step)]
        return copy
