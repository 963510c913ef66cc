"""The multiply-accumulate array: every neuron's multipliers on the same levels, with the synapse memory in front."""

from functools import reduce
from operator import or_

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream
from amaranth.lib.wiring import Component, In, Out, connect, flipped

from golden.mac import level_bits
from golden.spec import Spec
from rtl.mac_group import CLEARING, MacGroup, control_layout
from rtl.queue import StreamQueue
from rtl.shapes import bits_for_index
from rtl.synapse import SynapseMemory, row_write_layout

GROUP = 4
"""Neurons that share carry chains and their copies of levels and control signals."""

FAN_IN = 4
"""Charges that one lookup table a bit brings together."""

CHARGES_WAITING = 16
"""Charges that may wait behind the array: as many as are on the way, and some more."""


def feed_layout(spec: Spec) -> data.StructLayout:
    """One cycle of the array.

    ``levels``: what each lane multiplies by, in two's complement. ``row``: per lane, the row of the pair's memory with
    its weights. ``double``: double the charges; all levels are 0. ``finish``: the charges are complete.
    """
    return data.StructLayout(
        {
            "levels": data.ArrayLayout(level_bits(spec), spec.lanes),
            "row": data.ArrayLayout(bits_for_index(spec.memory_rows), spec.lanes),
            "double": 1,
            "finish": 1,
        }
    )


class MacArray(Component):
    """``neurons`` by ``lanes`` multipliers and accumulators.

    The offset that negative levels leave in every charge is equal for all neurons: it goes out as the charges that
    neurons of two fixed weights would have, like the spiking array's.

    Latency: a feed acts ``SynapseMemory.latency`` and the groups' latency behind ``feed``. The charges of a finished
    phase go out one by one from then on; no other phase may finish before all of them are taken.

    Attributes:
        write, write_enable: a row of the synapse memory; only while all levels are 0.
        feed: what is multiplied and added in this cycle.
        charges: of a finished phase, neuron 0 first.
        reference: charges of neurons with weights ``weight_offset`` and one more.
    """

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        super().__init__(
            {
                "write": In(row_write_layout(spec)),
                "write_enable": In(1),
                "feed": In(feed_layout(spec)),
                "charges": Out(stream.Signature(spec.charge_bits)),
                "reference": Out(data.ArrayLayout(spec.charge_bits, 2)),
            }
        )

    def elaborate(self, _platform: object) -> Module:
        """Memory, groups with registered copies of the levels, the offset, and a tree that gathers the charges."""
        m = Module()
        spec = self._spec
        m.submodules.synapses = synapses = SynapseMemory(spec)
        m.d.comb += [
            synapses.write.eq(self.write),
            synapses.write_enable.eq(self.write_enable),
            synapses.row.eq(self.feed.row),
        ]
        levels, control = self.feed.levels, Signal(control_layout())
        m.d.comb += [
            control.double.eq(self.feed.double),
            control.finish.eq(self.feed.finish),
            control.clear.eq(self.feed.finish),
        ]
        # the last of these registers is the groups' own
        for stage in range(synapses.latency - 1):
            levels, control = self._later(m, levels, control, f"{stage + 1}")

        deselect = Signal(spec.neurons, init=-1)
        shown: list[Value] = []
        for first in range(0, spec.neurons, GROUP):
            count = min(GROUP, spec.neurons - first)
            name = f"group_{first // GROUP}"
            m.submodules[name] = group = MacGroup(spec, count)
            # kept, because the tools would merge equal registers, and one register cannot drive the whole array in time
            own_levels, own_control = self._later(m, levels, control, name, keep=1)
            m.d.comb += [
                group.levels.eq(own_levels),
                group.control.eq(own_control),
                group.deselect.eq(deselect[first : first + count]),
            ]
            for lane in range(spec.lanes):
                for neuron in range(count):
                    m.d.comb += group.weights[lane][neuron].eq(
                        synapses.weights[lane].word_select(first + neuron, spec.weight_bits)
                    )
            shown.append(group.gathered)
        finish = self._reference(m, levels, control)
        self._gather(m, shown, finish, deselect)
        return m

    def _later(
        self, m: Module, levels: data.View, control: data.View, name: str, **attributes: int
    ) -> tuple[data.View, data.View]:
        """Levels and control a cycle later."""
        levels_after = Signal(levels.shape(), name=f"levels_{name}", reset_less=True, attrs=attributes)
        control_after = Signal(control_layout(), name=f"control_{name}", init=CLEARING, attrs=attributes)
        m.d.sync += [levels_after.eq(levels), control_after.eq(control)]
        return levels_after, control_after

    def _reference(self, m: Module, now: data.View, control: data.View) -> Value:
        """The sums of levels and of their signs, and what they would be in the charge of a fixed weight.

        Returns:
            A pulse when charges and references of a phase are complete.
        """
        spec = self._spec
        levels = [level.as_signed() for level in now]
        places = spec.charge_bits
        total = Signal(signed(places), reset_less=True)
        negative = Signal(range(spec.lanes + 1), reset_less=True)
        population = Signal(places)
        negatives = Signal(places)
        finished = Signal(data.ArrayLayout(places, 2), reset_less=True)
        m.d.sync += [total.eq(sum(levels)), negative.eq(sum(level[-1] for level in levels))]
        now_control = Signal(control_layout(), init=CLEARING)
        m.d.sync += now_control.eq(control)
        sums = []
        for addend, accumulator in ((total, population), (negative, negatives)):
            following = Signal(places, name=f"{accumulator.name}_sum")
            m.d.comb += following.eq(accumulator + Mux(now_control.double, accumulator, addend))
            m.d.sync += accumulator.eq(following)
            sums.append(following)
        with m.If(now_control.clear):
            m.d.sync += [population.eq(0), negatives.eq(0)]
        with m.If(now_control.finish):
            m.d.sync += [finished[0].eq(sums[0]), finished[1].eq(sums[1])]
        # what a negative level adds to any neuron: all bits of a weight, at the place of its sign
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
        level_latency = MacGroup.latency(spec)
        # complete with the groups' charges or behind them, as long as either takes
        delays = max(level_latency + 1, 5)
        pulse: Value = now_control.finish
        for stage in range(delays):
            delayed = Signal(name=f"finish_{stage + 1}")
            m.d.sync += delayed.eq(pulse)
            pulse = delayed
        m.d.comb += [self.reference[0].eq(lower), self.reference[1].eq(higher)]
        return pulse

    def _gather(self, m: Module, shown: list[Value], begin: Value, deselect: Signal) -> None:
        """Show one group's charge after the other, as long as there is room for what is on the way."""
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
