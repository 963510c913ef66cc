"""Products on ECP5 primitives, each with portable logic of identical behaviour: on carry chains, and in blocks."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from amaranth.hdl import Cat, ClockSignal, Const, Instance, Module, Signal, Value
from amaranth.lib.wiring import Component, In, Out

from spikequant.rtl.fabric import on_ecp5
from spikequant.rtl.fabric.carry import ChainBit, carry_chain

PRODUCT, INVERTED_PRODUCT, NOTHING = "product", "inverted product", "nothing"
"""Kinds of operands of a column: ``a & b``, ``~a & b``, or always 0."""

_LOW_ROWS = {PRODUCT: 0x8, INVERTED_PRODUCT: 0x4, NOTHING: 0x0}
_HIGH_ROWS = {PRODUCT: (3,), INVERTED_PRODUCT: (2,), NOTHING: ()}


@dataclass(frozen=True)
class SumShape:
    """One of the sums on a chain.

    Attributes:
        columns: for each column, lowest first, the kinds of its operands: of ``a`` and ``b``, and of ``c`` and ``d``.
        carry_in: kind of the product into the lowest column.
        carry_out: the sum is a bit wider than its columns; otherwise its carry must always be 0.
    """

    columns: tuple[tuple[str, str], ...]
    carry_in: str = NOTHING
    carry_out: bool = True

    @property
    def bits(self) -> int:
        """Width of the sum."""
        return len(self.columns) + self.carry_out


def chain_bits(shapes: Sequence[SumShape]) -> int:
    """Bits of a carry chain with these sums on it, without its padding."""
    makes_carry = bool(shapes) and shapes[0].carry_in != NOTHING
    return makes_carry + sum(shape.bits for shape in shapes)


class ProductSums(Component):
    """Several sums of one-bit products, two a column, on one carry chain.

    The lookup tables that add the products also make them. The bit above a sum, which outputs its carry, also
    generates the carry into the next sum of the chain, which adds a product for free.

    Combinational.

    Attributes:
        a, b, c, d: operands of all columns of all sums, in order.
        carry_a, carry_b: operands of each sum's carry-in.
        sums: all sums, in order, each of its shape's width.
    """

    def __init__(self, shapes: Sequence[SumShape]) -> None:
        for before, after in pairwise(shapes):
            if after.carry_in != NOTHING and not before.carry_out:
                raise ValueError("a sum without a carry-out cannot make the next one's carry-in")
        self._shapes = shapes
        width = sum(len(shape.columns) for shape in shapes)
        super().__init__(
            {
                **{name: In(width) for name in "abcd"},
                "carry_a": In(len(shapes)),
                "carry_b": In(len(shapes)),
                "sums": Out(sum(shape.bits for shape in shapes)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """One lookup table a column, and one for the carry between two sums."""
        m = Module()
        m.d.comb += self.sums.eq(self._on_chain(m) if on_ecp5(platform) else self._portable())
        return m

    def _on_chain(self, m: Module) -> Value:
        free = Const(1)
        bits: list[ChainBit] = []
        # places of the chain's bits that belong to sums
        shown: list[int] = []
        place = 0
        for index, shape in enumerate(self._shapes):
            if shape.carry_in != NOTHING:
                makes_carry = ChainBit(_LOW_ROWS[shape.carry_in], self.carry_a[index], self.carry_b[index], free, free)
                if index:
                    bits[-1] = makes_carry
                else:
                    bits.append(makes_carry)
            for low, high in shape.columns:
                row = _LOW_ROWS[low]
                table = sum((row ^ (0xF * (number in _HIGH_ROWS[high]))) << (4 * number) for number in range(4))
                shown.append(len(bits))
                bits.append(ChainBit(table, self.a[place], self.b[place], self.c[place], self.d[place]))
                place += 1
            if shape.carry_out:
                shown.append(len(bits))
                bits.append(ChainBit(0, free, free, free, free))
        chain = carry_chain(m, bits, name="chain")
        return Cat(chain[number] for number in shown)

    def _portable(self) -> Value:
        def product(kind: str, x: Value, y: Value) -> Value:
            return {PRODUCT: x & y, INVERTED_PRODUCT: ~x & y, NOTHING: Const(0, len(x))}[kind]

        sums: list[Value] = []
        place = 0
        for index, shape in enumerate(self._shapes):
            low, high = (
                Cat(
                    product(column[operand], x[place + number], y[place + number])
                    for number, column in enumerate(shape.columns)
                )
                for operand, (x, y) in enumerate(((self.a, self.b), (self.c, self.d)))
            )
            carry = product(shape.carry_in, self.carry_a[index], self.carry_b[index])
            sums.append((low + high + carry)[: shape.bits])
            place += len(shape.columns)
        return Cat(sums)


FACTOR_BITS = 18
"""Width of a factor of one multiplier block."""


class Multiplier(Component):
    """``a * b``, unsigned, in a multiplier block with all of its registers.

    Latency: ``latency`` cycles. Throughput: a product a cycle. Handshake: none.
    """

    latency = 3

    def __init__(self) -> None:
        super().__init__({"a": In(FACTOR_BITS), "b": In(FACTOR_BITS), "product": Out(2 * FACTOR_BITS)})

    def elaborate(self, platform: object) -> Module:
        """One block, with registers for input, pipeline and output."""
        m = Module()
        if on_ecp5(platform):
            m.submodules.block = Instance(
                "MULT18X18D",
                **{f"i_A{i}": self.a[i] for i in range(FACTOR_BITS)},
                **{f"i_B{i}": self.b[i] for i in range(FACTOR_BITS)},
                **{f"i_{name}": Const(0) for name in ("SIGNEDA", "SIGNEDB", "SOURCEA", "SOURCEB")},
                i_CLK0=ClockSignal(),
                i_CE0=Const(1),
                i_RST0=Const(0),
                **{f"o_P{i}": self.product[i] for i in range(2 * FACTOR_BITS)},
                **{f"p_REG_{name}_CLK": "CLK0" for name in ("INPUTA", "INPUTB", "PIPELINE", "OUTPUT")},
                p_GSR="DISABLED",
            )
        else:
            a, b = (Signal(FACTOR_BITS, name=name, reset_less=True) for name in ("held_a", "held_b"))
            inside, behind = (Signal(2 * FACTOR_BITS, name=name, reset_less=True) for name in ("inside", "behind"))
            m.d.sync += [a.eq(self.a), b.eq(self.b), inside.eq(a * b), behind.eq(inside)]
            m.d.comb += self.product.eq(behind)
        return m
