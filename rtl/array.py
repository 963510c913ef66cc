"""The array: every neuron's accumulators on the same spikes, and two reference neurons beside them."""

from functools import reduce
from operator import or_

from amaranth.hdl import Cat, Const, Module, Signal, Value
from amaranth.lib import data
from amaranth.lib.wiring import Component, In, Out, connect, flipped

from spikequant.golden.layer.spec import GATHERED, Spec
from spikequant.rtl.charge_buffer import ChargeBuffer
from spikequant.rtl.fabric.carry import Replica
from spikequant.rtl.integrator import IntegratorGroup
from spikequant.rtl.interfaces import Flow, Write
from spikequant.rtl.shapes import charged_layout, cycle_layout, phase_layout, step_layout
from spikequant.rtl.synapse import SynapseMemory, row_write_layout

GROUP = 4
"""Neurons that share a carry chain."""

CONTROLLED = 2
"""Groups that share a copy of the control signals: one register cannot drive the whole array in time."""

FAN_IN = 4
"""Charges that one lookup table a bit brings together."""


class SpikingArray(Component):
    """``neurons`` accumulators by ``lanes`` spikes, with the synapse memory in front.

    The reference neurons see fixed weights in place of stored ones: their charges are what the spikes alone make
    of the offsets, which is all that has to be put right behind the array.

    Latency: ``latency(spec)`` cycles from a cycle that finishes a phase to the charge of neuron 0, or none behind the
    phase before; then a charge a cycle, and nothing ever waits. No other phase may finish for ``spec.drain_cycles``,
    and only one more until ``read``.

    Attributes:
        write, write_enable: a row of the synapse memory; only while no spikes fire.
        cycle: what fires and what the accumulators do in this cycle.
        phase: what becomes of the charges that this cycle finishes.
        read: pulses when the charges of a phase have been read out of the buffer.
        o_valid, o: the charges of a finished phase, neuron 0 first.
    """

    def __init__(self, spec: Spec, *, gated: bool = True, distributed: bool = False) -> None:
        """What to build.

        Args:
            spec: of the neurons, in one cluster.
            gated: there are registers enough to gather charges through some of their own, which saves lookup tables,
                and for weights half way from their memory.
            distributed: the charges' buffer is made of lookup tables.
        """
        self._spec = spec
        self._gated = gated
        self._distributed = distributed
        super().__init__(
            {
                "write": In(Write(row_write_layout(spec))),
                "cycle": In(cycle_layout(spec)),
                "phase": In(phase_layout(spec)),
                "read": Out(1),
                "o": Out(Flow(charged_layout(spec))),
            }
        )

    @staticmethod
    def latency(spec: Spec, *, gated: bool = True) -> int:
        """Cycles from the end of a phase to its first charge."""
        return SpikingArray._gathering(spec, gated=gated) + ChargeBuffer.latency

    @staticmethod
    def _gathering(spec: Spec, *, gated: bool) -> int:
        """Cycles from there to the buffer: memory, integrators, gate, and the gathering tree."""
        stages = 0
        while GROUP * FAN_IN**stages < spec.neurons // GATHERED:
            stages += 1
        gathers = 1 + (2 if gated else 1) + stages
        return SpikingArray._weights_latency(gated=gated) + IntegratorGroup.latency(spec) + gathers

    @staticmethod
    def _weights_latency(*, gated: bool) -> int:
        """Cycles from a row's address to its weights, in registers half way to the sums if there are enough of them."""
        return SynapseMemory.latency + (1 if gated else 0)

    def elaborate(self, _platform: object) -> Module:
        """Memory, groups with registered copies of the control signals, and trees that gather the charges."""
        m = Module()
        spec = self._spec
        m.submodules.synapses = synapses = SynapseMemory(spec)
        connect(m, flipped(self.write), synapses.write)
        m.d.comb += synapses.row.eq(self.cycle.row)
        control = data.StructLayout({"fire": spec.lanes, "sign": spec.lanes, "step": step_layout()})
        now = Signal(control)
        m.d.comb += [now.fire.eq(self.cycle.fire), now.sign.eq(self.cycle.sign), now.step.eq(self.cycle.step)]
        weights: list[Value] = list(synapses.weights)
        if self._gated:
            # with a register beside the group that takes them
            weights = [Signal.like(read, name=f"weights_{lane}", reset_less=True) for lane, read in enumerate(weights)]
            m.d.sync += [near.eq(read) for near, read in zip(weights, synapses.weights, strict=True)]
        # the first of these registers is the array's own, and the last one the groups'
        m.submodules.control_copy = first_control = Replica(control, init=0)
        m.submodules.phase_copy = first_phase = Replica(phase_layout(spec))
        m.d.comb += [first_control.i.eq(now), first_phase.i.eq(self.phase)]
        now = first_control.o
        for stage in range(1, self._weights_latency(gated=self._gated) - 1):
            delayed = Signal(control, name=f"control_{stage + 1}")
            m.d.sync += delayed.eq(now)
            now = delayed

        # the same neuron of each part is shown at once
        together = spec.neurons // GATHERED
        deselect = Signal(together, init=-1)
        shown: list[list[Value]] = [[] for _ in range(GATHERED)]
        groups = [
            (part, first, min(GROUP, (part + 1) * together - first))
            for part in range(GATHERED)
            for first in range(part * together, (part + 1) * together, GROUP)
        ]
        for number, (part, first, count) in enumerate(groups):
            m.submodules[f"group_{number}"] = group = IntegratorGroup(spec, count, gated=self._gated)
            if number % CONTROLLED == 0:
                m.submodules[f"control_{number // CONTROLLED}"] = copy = Replica(control, init=0)
                m.d.comb += copy.i.eq(now)
            m.d.comb += [group.sign.eq(copy.o.sign), group.step.eq(copy.o.step)]
            m.d.comb += group.deselect.eq(deselect[first - part * together :][:count])
            for lane in range(spec.lanes):
                for neuron in range(count):
                    m.d.comb += group.weights[lane][neuron].eq(
                        weights[lane].word_select(first + neuron, spec.weight_bits)
                    )
            shown[part].append(group.gathered)

        m.submodules.reference = reference = IntegratorGroup(spec, 2)
        own = Signal(control, name="control_reference")
        m.d.sync += own.eq(now)
        m.d.comb += [reference.sign.eq(own.sign), reference.step.eq(own.step)]
        for lane in range(spec.lanes):
            for neuron in range(2):
                weight = Const(spec.weight_offset + neuron, spec.weight_bits)
                m.d.comb += reference.weights[lane][neuron].eq(weight & own.fire[lane].replicate(spec.weight_bits))
        # a neuron of weight 1, to which no spike is negative
        population = IntegratorGroup(spec, 1, bits=spec.widest_population_bits)
        m.submodules.population = population
        m.d.comb += population.step.eq(own.step)
        for lane in range(spec.lanes):
            m.d.comb += population.weights[lane][0].eq(own.fire[lane])
        exceeded = population.finished[0][spec.population_bits :].any()
        common = Signal(charged_layout(spec))
        m.d.comb += [common.reference.eq(reference.finished), common.exceeded.eq(exceeded)]
        # held, in place of a register a stage
        phase = Signal(phase_layout(spec), reset_less=True)
        with m.If(first_control.o.step.finish):
            m.d.sync += phase.eq(first_phase.o)
        m.d.comb += common.phase.eq(phase)
        self._gather(m, shown, common, own.step.finish, deselect)
        return m

    def _gather(self, m: Module, shown: list[list[Value]], common: data.View, begin: Value, deselect: Signal) -> None:
        """The charges of each part one by one from the end of a phase on, with the particulars of the phase."""
        spec = self._spec
        m.submodules.buffer = buffer = ChargeBuffer(spec, distributed=self._distributed)
        m.d.comb += self.read.eq(buffer.read)
        connect(m, buffer.o, flipped(self.o))
        # to the cycle before the first neuron is selected: a gate looks at its charge at once, and a multiplexer later
        behind_weights = IntegratorGroup.latency(spec) - (0 if self._gated else 1)
        for stage in range(behind_weights):
            delayed = Signal(name=f"finish_{stage + 1}")
            m.d.sync += delayed.eq(begin)
            begin = delayed
        phase = Signal(phase_layout(spec), name="phase_shown", reset_less=True)
        with m.If(begin):
            m.d.sync += phase.eq(common.phase)

        # one selected neuron of each part after the other
        selecting = Signal()
        m.d.sync += [deselect.eq(Cat(~begin, deselect[:-1])), selecting.eq(begin | (selecting & deselect[-1]))]
        valid, first = selecting, ~deselect[0]
        before = self._weights_latency(gated=self._gated) + behind_weights
        behind = self._gathering(spec, gated=self._gated) - before - 1
        for stage in range(behind):
            # what belongs to the whole phase holds until the next one comes
            if stage == behind - 1:
                with m.If(first):
                    m.d.sync += [
                        buffer.i.payload.phase.eq(phase),
                        buffer.i.payload.reference.eq(common.reference),
                        buffer.i.payload.exceeded.eq(common.exceeded),
                    ]
            valid_after, first_after = Signal(name=f"valid_{stage + 1}"), Signal(name=f"first_{stage + 1}")
            m.d.sync += [valid_after.eq(valid), first_after.eq(first)]
            valid, first = valid_after, first_after
        m.d.comb += buffer.i.valid.eq(valid)
        m.d.comb += [buffer.i.payload.charges[part].eq(_tree(m, part, own)) for part, own in enumerate(shown)]


def _tree(m: Module, part: int, shown: list[Value]) -> Value:
    """The one of them that is not zero, registered at each level."""
    while len(shown) > 1:
        results: list[Value] = []
        for place in range(0, len(shown), FAN_IN):
            name = f"gathered_{part}_{len(shown)}_{place // FAN_IN}"
            together = Signal.like(shown[0], name=name, reset_less=True)
            m.d.sync += together.eq(reduce(or_, shown[place : place + FAN_IN]))
            results.append(together)
        shown = results
    return shown[0]
