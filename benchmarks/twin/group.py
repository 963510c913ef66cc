"""The fast part of the multiply-accumulate array: products, their sum, and an accumulator."""

from dataclasses import dataclass
from functools import reduce
from operator import or_

from amaranth.hdl import Cat, Const, Module, Signal, Value
from amaranth.lib import data
from amaranth.lib.wiring import Component, In, Out

from spikequant.benchmarks.twin.arithmetic import level_bits
from spikequant.benchmarks.twin.heap import ChainSum, HeapBit, Layer, Plan, ProductBit, plan_sums
from spikequant.benchmarks.twin.products import INVERTED_PRODUCT, NOTHING, PRODUCT, ProductSums, SumShape, chain_bits
from spikequant.golden.layer.spec import Spec
from spikequant.rtl.fabric.carry import Accumulator

CHAIN_BITS = 47
"""Most bits of a carry chain that sums of several neurons share, limited by the delay of its carry."""

CLEARING = {"clear": 1}
"""Control after a reset, which discards the levels from before it."""


def control_layout() -> data.StructLayout:
    """Operation of the accumulators in one cycle, in addition to adding the products.

    ``double``: add the accumulator to itself instead. ``finish``: with this cycle it is complete. ``clear``: the next
    cycle starts from zero.
    """
    return data.StructLayout({"double": 1, "finish": 1, "clear": 1})


@dataclass(frozen=True)
class _Placed:
    """A sum on a chain, with its neuron."""

    neuron: int
    sum: ChainSum


def mac_plan(spec: Spec) -> Plan:
    """Plan of the sum of a neuron's products."""
    return plan_sums(lanes=spec.lanes, weight_bits=spec.weight_bits, level_bits=level_bits(spec))


class MacGroup(Component):
    """A few neurons, each with ``lanes`` multipliers, the sum of their products, and an accumulator.

    Every cycle adds the lanes' weights times levels to the accumulator, or doubles it. A negative level makes the
    sum too large by an offset that depends on the levels alone and is equal for all neurons, see ``ProductBit``;
    the accumulator is known modulo ``2**charge_bits``, and without the offset it cannot leave that range.

    Latency: ``latency(spec)`` cycles from a level to its accumulator. A finished charge holds until the next
    ``finish``; ``gathered`` shows the selected one two cycles after ``deselect``.
    Throughput: a level a lane and cycle. Handshake: none.

    Attributes:
        weights: stored weights by lane and neuron.
        levels: levels by lane, in two's complement.
        control: operation of the accumulators on the products of these levels.
        deselect: neurons whose finished charge is not gathered: all, or all but one.
        gathered: the selected charge, or zero.
    """

    def __init__(self, spec: Spec, count: int) -> None:
        self._spec = spec
        self._count = count
        self._plan = mac_plan(spec)
        super().__init__(
            {
                "weights": In(data.ArrayLayout(data.ArrayLayout(spec.weight_bits, count), spec.lanes)),
                "levels": In(data.ArrayLayout(level_bits(spec), spec.lanes)),
                "control": In(control_layout()),
                "deselect": In(count),
                "gathered": Out(spec.charge_bits),
            }
        )

    @staticmethod
    def latency(spec: Spec) -> int:
        """Cycles from a level to its accumulator: one for each layer of sums."""
        return len(mac_plan(spec).layers)

    def elaborate(self, _platform: object) -> Module:
        """Layers of sums on shared carry chains, then an adder and three registers for each neuron."""
        m = Module()
        bits = self._spec.charge_bits
        results: list[list[Value]] = [[] for _ in range(self._count)]
        control = self.control
        for number, layer in enumerate(self._plan.layers):
            results = self._layer(m, layer, results, f"layer_{number}")
            following = Signal(control_layout(), name=f"control_{number + 1}", init=CLEARING)
            m.d.sync += following.eq(control)
            control = following

        shown = []
        for neuron, found in enumerate(results):
            m.submodules[f"adder_{neuron}"] = adder = Accumulator(bits=bits)
            charge = Signal(bits, name=f"charge_{neuron}")
            finished = Signal(bits, name=f"finished_{neuron}", reset_less=True)
            gate = Signal(bits, name=f"gate_{neuron}", reset_less=True)
            m.d.comb += [
                adder.a.eq(charge),
                adder.b.eq(charge),
                adder.c.eq(Cat(found[place] for place in self._plan.columns)),
                adder.turn.eq(control.double),
            ]
            m.d.sync += charge.eq(adder.total)
            with m.If(control.clear):
                m.d.sync += charge.eq(0)
            with m.If(control.finish):
                m.d.sync += finished.eq(adder.total)
            # a register that is cleared where it is not selected chooses without a lookup table
            m.d.sync += gate.eq(finished)
            with m.If(self.deselect[neuron]):
                m.d.sync += gate.eq(0)
            shown.append(gate)
        m.d.sync += self.gathered.eq(reduce(or_, shown))
        return m

    def _layer(self, m: Module, layer: Layer, before: list[list[Value]], name: str) -> list[list[Value]]:
        """Registered results of a layer for each neuron."""

        def factors(neuron: int, bit: HeapBit | None) -> tuple[Value, Value]:
            """The two inputs that make a bit; a free input of a lookup table is 1."""
            if bit is None:
                return Const(1), Const(1)
            if isinstance(bit, ProductBit):
                return self.weights[bit.lane][neuron][bit.weight_bit], self.levels[bit.lane][bit.level_bit]
            return before[neuron][bit.place], Const(1)

        def alone(neuron: int, bit: HeapBit) -> Value:
            a, b = factors(neuron, bit)
            return ~a & b if _kind(bit) == INVERTED_PRODUCT else a & b

        results: list[list[Value]] = [[] for _ in range(self._count)]
        placed = [_Placed(neuron, each) for neuron in range(self._count) for each in layer.sums]
        for number, chain in enumerate(_chains(placed)):
            m.submodules[f"{name}_{number}"] = sums = ProductSums([_shape(each.sum) for each in chain])
            columns = [
                (factors(each.neuron, low), factors(each.neuron, high))
                for each in chain
                for low, high in each.sum.pairs
            ]
            carries = [factors(each.neuron, each.sum.carry) for each in chain]
            total = Signal(len(sums.sums), name=f"{name}_{number}_sums", reset_less=True)
            m.d.comb += [
                sums.a.eq(Cat(low[0] for low, _ in columns)),
                sums.b.eq(Cat(low[1] for low, _ in columns)),
                sums.c.eq(Cat(high[0] for _, high in columns)),
                sums.d.eq(Cat(high[1] for _, high in columns)),
                sums.carry_a.eq(Cat(carry[0] for carry in carries)),
                sums.carry_b.eq(Cat(carry[1] for carry in carries)),
            ]
            m.d.sync += total.eq(sums.sums)
            place = 0
            for each in chain:
                width = _shape(each.sum).bits
                results[each.neuron] += list(total[place : place + width])
                place += width
        for neuron, found in enumerate(results):
            if layer.passed:
                passed = Signal(len(layer.passed), name=f"{name}_passed_{neuron}", reset_less=True)
                m.d.sync += passed.eq(Cat(alone(neuron, bit) for bit in layer.passed))
                found += list(passed)
        return results


def _kind(bit: HeapBit | None) -> str:
    """Kind of a bit as an operand of a column."""
    if bit is None:
        return NOTHING
    return INVERTED_PRODUCT if isinstance(bit, ProductBit) and bit.inverted else PRODUCT


def _shape(each: ChainSum) -> SumShape:
    return SumShape(
        columns=tuple((_kind(low), _kind(high)) for low, high in each.pairs),
        carry_in=_kind(each.carry),
        carry_out=each.carry_out,
    )


def _chains(placed: list[_Placed]) -> list[list[_Placed]]:
    """Assign sums to chains, as many as fit; a sum with a carry-in must follow a sum with a carry-out."""
    chains: list[list[_Placed]] = []
    for each in placed:
        if chains and (each.sum.carry is None or chains[-1][-1].sum.carry_out):
            longer = [*chains[-1], each]
            if chain_bits([_shape(one.sum) for one in longer]) <= CHAIN_BITS:
                chains[-1] = longer
                continue
        chains.append([each])
    return chains
