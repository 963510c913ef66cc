"""The array: the accumulators of all neurons, which see the same spikes, and two reference neurons."""

from functools import reduce
from operator import or_

from amaranth.hdl import Cat, Const, Module, Signal, Value
from amaranth.lib import data
from amaranth.lib.wiring import Component, In, Out, connect, flipped

from spikequant.golden.layer.spec import GATHERED, Spec
from spikequant.rtl.charge_buffer import ChargeBuffer
from spikequant.rtl.fabric.registers import Replica
from spikequant.rtl.integrator import IntegratorGroup
from spikequant.rtl.interfaces import Flow, Write
from spikequant.rtl.shapes import charged_layout, cycle_layout, phase_layout, step_layout
from spikequant.rtl.synapse import SynapseMemory, row_write_layout

GROUP = 4
"""Neurons that share a carry chain."""

CONTROLLED = 2
"""Groups that share a copy of the control signals, since one register cannot drive the whole array in time."""

FAN_IN = 4
"""Charges that one lookup table a bit combines."""


class SpikingArray(Component):
    """Synapse memory and ``neurons`` accumulators, each of which takes ``lanes`` spikes a cycle.

    The reference neurons have fixed weights in place of stored ones, so their charges depend on the spikes alone; the
    neurons downstream take the offset that all charges share from them.

    Latency: ``latency(spec)`` cycles from a cycle that finishes a phase to the charge of neuron 0; the charges of
    phases that follow closely come without a gap.
    Throughput: ``lanes`` spikes or a tick a cycle in, a charge a cycle out.
    Handshake: none, the array never stalls. After a phase finishes, no other one may finish for ``spec.drain_cycles``,
    and only one more before ``read``.

    Attributes:
        write: a row of the synapse memory; only while no spikes fire.
        cycle: spikes and accumulator operations of this cycle.
        phase: where the charges go that this cycle finishes.
        read: pulses when the charges of a phase have been read out of the buffer.
        o: charges of a finished phase, neuron 0 first.
        corrupted: with ``weight_parity``, pulses after a row of weights with a wrong parity.
    """

    def __init__(self, spec: Spec, *, gated: bool = True, distributed: bool = False) -> None:
        """What to build.

        Args:
            spec: the neurons of one cluster.
            gated: gather charges through registers of their own and pipeline the weights, which takes more registers
                and fewer lookup tables.
            distributed: build the charge buffer from lookup tables.
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
                **({"corrupted": Out(1)} if spec.weight_parity else {}),
            }
        )

    @staticmethod
    def latency(spec: Spec, *, gated: bool = True) -> int:
        """Cycles from the end of a phase to its first charge."""
        return SpikingArray._gathering(spec, gated=gated) + ChargeBuffer.latency

    @staticmethod
    def _gathering(spec: Spec, *, gated: bool) -> int:
        """Cycles from the end of a phase to the buffer: memory, integrators, copy, gate, and the gathering tree."""
        stages = 0
        while GROUP * FAN_IN**stages < spec.neurons // GATHERED:
            stages += 1
        gathers = 1 + IntegratorGroup.COPY_CYCLES + (2 if gated else 1) + stages
        return SpikingArray._weights_latency(gated=gated) + IntegratorGroup.latency(spec) + gathers

    @staticmethod
    def _weights_latency(*, gated: bool) -> int:
        """Cycles from a row's address to its weights; ``gated`` adds a register in front of the sums."""
        return SynapseMemory.latency + (1 if gated else 0)

    def elaborate(self, _platform: object) -> Module:
        """Memory, groups with registered copies of the control signals, and trees that gather the charges."""
        m = Module()
        spec = self._spec
        m.submodules.synapses = synapses = SynapseMemory(spec)
        connect(m, flipped(self.write), synapses.write)
        m.d.comb += synapses.row.eq(self.cycle.row)
        if spec.weight_parity:
            m.d.comb += self.corrupted.eq(synapses.corrupted)
        control = data.StructLayout({"fire": spec.lanes, "sign": spec.lanes, "step": step_layout()})
        now = Signal(control)
        m.d.comb += [now.fire.eq(self.cycle.fire), now.sign.eq(self.cycle.sign), now.step.eq(self.cycle.step)]
        weights: list[Value] = list(synapses.weights)
        if self._gated:
            # a register near the group that takes them
            weights = [Signal.like(read, name=f"weights_{lane}", reset_less=True) for lane, read in enumerate(weights)]
            m.d.sync += [near.eq(read) for near, read in zip(weights, synapses.weights, strict=True)]
        # the first of these registers belongs to the array, and the last one to the groups
        m.submodules.control_copy = first_control = Replica(control, init=0)
        m.submodules.phase_copy = first_phase = Replica(phase_layout(spec))
        m.d.comb += [first_control.i.eq(now), first_phase.i.eq(self.phase)]
        now = first_control.o
        for stage in range(1, self._weights_latency(gated=self._gated) - 1):
            delayed = Signal(control, name=f"control_{stage + 1}")
            m.d.sync += delayed.eq(now)
            now = delayed

        # the same neuron of each part is selected at once
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
        """Move the charges of a finished phase to the buffer, one of each part a cycle."""
        spec = self._spec
        m.submodules.buffer = buffer = ChargeBuffer(spec, distributed=self._distributed)
        m.d.comb += self.read.eq(buffer.read)
        connect(m, buffer.o, flipped(self.o))
        # to the cycle before the first neuron is selected: a gate takes its charge one cycle before a multiplexer does
        after_weights = IntegratorGroup.latency(spec) + IntegratorGroup.COPY_CYCLES - (0 if self._gated else 1)
        for stage in range(after_weights):
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
        before = self._weights_latency(gated=self._gated) + after_weights
        remaining = self._gathering(spec, gated=self._gated) - before - 1
        for stage in range(remaining):
            # what all charges of a phase share holds until the next phase
            if stage == remaining - 1:
                with m.If(first):
                    m.d.sync += [
                        buffer.i.value.phase.eq(phase),
                        buffer.i.value.reference.eq(common.reference),
                        buffer.i.value.exceeded.eq(common.exceeded),
                    ]
            valid_after, first_after = Signal(name=f"valid_{stage + 1}"), Signal(name=f"first_{stage + 1}")
            m.d.sync += [valid_after.eq(valid), first_after.eq(first)]
            valid, first = valid_after, first_after
        m.d.comb += buffer.i.valid.eq(valid)
        m.d.comb += [buffer.i.value.charges[part].eq(_tree(m, part, own)) for part, own in enumerate(shown)]


def _tree(m: Module, part: int, shown: list[Value]) -> Value:
    """The only charge that is not zero, registered at each level of the tree."""
    while len(shown) > 1:
        results: list[Value] = []
        for place in range(0, len(shown), FAN_IN):
            name = f"gathered_{part}_{len(shown)}_{place // FAN_IN}"
            together = Signal.like(shown[0], name=name, reset_less=True)
            m.d.sync += together.eq(reduce(or_, shown[place : place + FAN_IN]))
            results.append(together)
        shown = results
    return shown[0]
