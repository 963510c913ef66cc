"""The multiply-accumulate array: every neuron's multipliers on the same levels, with the synapse memory in front."""

from functools import reduce
from operator import or_

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream
from amaranth.lib.wiring import Component, In, Out, connect, flipped

from spikequant.benchmarks.twin.arithmetic import level_bits
from spikequant.benchmarks.twin.group import CLEARING, MacGroup, control_layout
from spikequant.golden.layer.spec import Spec
from spikequant.rtl.fabric.carry import Accumulator
from spikequant.rtl.fabric.queue import StreamQueue
from spikequant.rtl.fabric.registers import Replica, registered
from spikequant.rtl.interfaces import Write
from spikequant.rtl.shapes import bits_for_index
from spikequant.rtl.synapse import SynapseMemory, row_write_layout

GROUP = 4
"""Neurons that share carry chains and their copies of levels and control signals."""

FAN_IN = 4
"""Charges that one lookup table a bit combines."""

CHARGES_WAITING = 16
"""Depth of the queue of charges: those in the pipeline, and some more."""


def feed_layout(spec: Spec) -> data.StructLayout:
    """Operation of the array in one cycle.

    ``levels``: factor of each lane, in two's complement. ``row``: row of the pair's memory with its weights, by lane.
    ``double``: double the charges; all levels are 0. ``finish``: the charges are complete. ``low``: the weights have no
    zero point, and add to charges that have one.
    """
    return data.StructLayout(
        {
            "levels": data.ArrayLayout(level_bits(spec), spec.lanes),
            "row": data.ArrayLayout(bits_for_index(spec.memory_rows), spec.lanes),
            "double": 1,
            "finish": 1,
            "low": 1,
        }
    )


class MacArray(Component):
    """``neurons`` by ``lanes`` multipliers, with an accumulator for each neuron.

    The offset that negative levels leave in every charge is equal for all neurons. As in the spiking array, it is
    output as the charges of two neurons with fixed weights.

    Latency: ``SynapseMemory.latency + 1`` and the groups' latency from ``feed`` to the accumulators.
    Throughput: a row of levels or a doubling a cycle in, a charge a cycle out.
    Handshake: ``charges`` is a stream; feeds are never refused, so no other phase may finish before all charges of the
    last one are taken.

    Attributes:
        write: a row of the synapse memory; only while all levels are 0.
        feed: levels and operation of this cycle.
        charges: charges of a finished phase, neuron 0 first.
        reference: charges of neurons with weights ``weight_offset`` and one more.
    """

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        super().__init__(
            {
                "write": In(Write(row_write_layout(spec))),
                "feed": In(feed_layout(spec)),
                "charges": Out(stream.Signature(spec.charge_bits)),
                "reference": Out(data.ArrayLayout(spec.charge_bits, 2)),
            }
        )

    def elaborate(self, _platform: object) -> Module:
        """Memory, groups with registers of the levels for each, the offset, and a tree that gathers the charges."""
        m = Module()
        spec = self._spec
        m.submodules.synapses = synapses = SynapseMemory(spec)
        connect(m, flipped(self.write), synapses.write)
        m.d.comb += synapses.row.eq(self.feed.row)
        levels, control, low = self.feed.levels, Signal(control_layout()), self.feed.low
        m.d.comb += [
            control.double.eq(self.feed.double),
            control.finish.eq(self.feed.finish),
            control.clear.eq(self.feed.finish),
        ]
        # weights have a register near the group that takes them; the last registers of the rest belong to the groups
        weights = [
            Signal.like(found, name=f"weights_{lane}", reset_less=True) for lane, found in enumerate(synapses.weights)
        ]
        m.d.sync += [after.eq(found) for after, found in zip(weights, synapses.weights, strict=True)]
        for stage in range(synapses.latency):
            levels, control = self._later(m, levels, control, f"{stage + 1}")
            later_low = Signal(name=f"low_{stage + 1}")
            m.d.sync += later_low.eq(low)
            low = later_low

        deselect = Signal(spec.neurons, init=-1)
        shown: list[Value] = []
        for first in range(0, spec.neurons, GROUP):
            count = min(GROUP, spec.neurons - first)
            name = f"group_{first // GROUP}"
            m.submodules[name] = group = MacGroup(spec, count)
            m.submodules[f"{name}_levels"] = own_levels = Replica(levels.shape())
            m.submodules[f"{name}_control"] = own_control = Replica(
                control_layout(), init=control_layout().const(CLEARING).as_bits()
            )
            m.d.comb += [
                own_levels.i.eq(levels),
                own_control.i.eq(control),
                group.levels.eq(own_levels.o),
                group.control.eq(own_control.o),
                group.deselect.eq(deselect[first : first + count]),
            ]
            for lane in range(spec.lanes):
                for neuron in range(count):
                    m.d.comb += group.weights[lane][neuron].eq(
                        weights[lane].word_select(first + neuron, spec.weight_bits)
                    )
            shown.append(group.gathered)
        finish = self._reference(m, levels, control, low)
        self._gather(m, shown, finish, deselect)
        return m

    @staticmethod
    def _later(m: Module, levels: data.View, control: data.View, name: str) -> tuple[data.View, data.View]:
        """Levels and control one cycle later."""
        levels_after = Signal(levels.shape(), name=f"levels_{name}", reset_less=True)
        control_after = Signal(control_layout(), name=f"control_{name}", init=CLEARING)
        m.d.sync += [levels_after.eq(levels), control_after.eq(control)]
        return levels_after, control_after

    def _reference(self, m: Module, now: data.View, control: data.View, low: Value) -> Value:
        """Accumulate the levels and their signs, which give the charges of two fixed weights.

        Returns:
            A pulse when charges and references of a phase are complete.
        """
        spec = self._spec
        places = spec.charge_bits
        levels: list[Value] = [level.as_signed() for level in now]
        signs: list[Value] = [level[-1] for level in now]
        stages = max(1, (spec.lanes - 1).bit_length())
        for stage in range(stages):
            levels, signs = (
                [
                    registered(m, sum(values[place : place + 2], Const(0, 1)), f"{name}_{stage}_{place // 2}")
                    for place in range(0, len(values), 2)
                ]
                for name, values in (("levels", levels), ("signs", signs))
            )
            if stage == 0:
                # low halves do not count for the zero points
                with m.If(low):
                    m.d.sync += [total.eq(0) for total in levels]
        now_control = control
        for stage in range(stages):
            following = Signal(control_layout(), name=f"reference_control_{stage}", init=CLEARING)
            m.d.sync += following.eq(now_control)
            now_control = following
        population, negatives = Signal(places), Signal(places)
        finished = Signal(data.ArrayLayout(places, 2), reset_less=True)
        for number, (addend, accumulator) in enumerate(((levels[0], population), (signs[0], negatives))):
            m.submodules[f"reference_{number}"] = adder = Accumulator(bits=places)
            m.d.comb += [
                adder.a.eq(accumulator),
                adder.b.eq(accumulator),
                adder.c.eq(addend),
                adder.turn.eq(now_control.double),
            ]
            m.d.sync += accumulator.eq(adder.total)
            with m.If(now_control.finish):
                m.d.sync += finished[number].eq(adder.total)
        with m.If(now_control.clear):
            m.d.sync += [population.eq(0), negatives.eq(0)]
        # a negative level adds all bits of a weight, at the place of its sign, to every neuron
        offsets = Signal(places, reset_less=True)
        offset = ((finished[1] << spec.weight_bits) - finished[1]) << (level_bits(spec) - 1)
        lower, higher = Signal(places, reset_less=True), Signal(places, reset_less=True)
        held = Signal(places, reset_less=True)
        m.d.sync += [
            offsets.eq(offset),
            held.eq(finished[0]),
            lower.eq((held << (spec.weight_bits - 1)) + offsets),
            higher.eq(lower + held),
        ]
        # until both the groups' charges and the references are complete
        delays = max(MacGroup.latency(spec) + 2 - stages, 5)
        pulse: Value = now_control.finish
        for stage in range(delays):
            delayed = Signal(name=f"finish_{stage + 1}")
            m.d.sync += delayed.eq(pulse)
            pulse = delayed
        m.d.comb += [self.reference[0].eq(lower), self.reference[1].eq(higher)]
        return pulse

    def _gather(self, m: Module, shown: list[Value], begin: Value, deselect: Signal) -> None:
        """Queue the charges in order, as long as there is room for those in the pipeline."""
        spec = self._spec
        m.submodules.queue = queue = StreamQueue(spec.charge_bits, depth=CHARGES_WAITING)
        connect(m, queue.o, flipped(self.charges))
        stages = 0
        while len(shown) > 1:
            results: list[Value] = []
            for place in range(0, len(shown), FAN_IN):
                together = Signal(spec.charge_bits, name=f"gathered_{stages}_{place // FAN_IN}", reset_less=True)
                m.d.sync += together.eq(reduce(or_, shown[place : place + FAN_IN]))
                results.append(together)
            shown, stages = results, stages + 1

        # the gates and the groups' own gathering come before the tree
        on_the_way = stages + 2
        more, selected = Signal(), Signal()
        sent = Signal(range(spec.neurons))
        room = Signal()
        m.d.sync += [room.eq(queue.level < CHARGES_WAITING - on_the_way - 2), selected.eq(0)]
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
