"""Adders on ECP5 carry chains, each with portable logic of identical behaviour.

The synthesis tool maps every sum to a carry chain of its own, and inverts operands in lookup tables in front of it.
Here several sums share a chain, and operands are inverted and selected inside the chain's own lookup tables. A
component that is elaborated for an ECP5 gets the primitives; simulation and other fabrics get equivalent plain logic.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from amaranth.hdl import Const, Instance, Module, Mux, Signal, Value
from amaranth.lib import data
from amaranth.lib.wiring import Component, In, Out

from spikequant.rtl.fabric import on_ecp5


def exceeds(value: Value, limit: int) -> Value:
    """Whether an unsigned value is above a constant, without a carry chain, which would be slower."""
    above: Value = Const(0)
    for place in range(len(value)):
        above = (value[place] & above) if limit >> place & 1 else (value[place] | above)
    return above if limit < 2 ** len(value) else Const(0)


# The lookup tables of a carry chain, with input A as bit 0 of the index. A bit's sum is the table's value xor the
# carry. Where the value is 1 the carry propagates; where it is 0 the table's lowest four entries, indexed by A and B
# alone, generate it.

SIGNED_SUM = 0x6996
"""``(a ^ b) + (c ^ d)``: two operands, each with its sign."""

ACCUMULATE = 0x663C
"""``b + c``, or ``a + b`` where ``d`` is set."""

GATED_SUM = 0x6A6A
"""``a + b`` where ``c`` is set, else ``a``."""

GATED_DIFFERENCE = 0x95AA
"""``a - b`` where ``c`` is set, else ``a``, with ``d`` set and a carry from below."""

CHOSEN_SUM = 0x569A
"""``a + d`` where ``b`` is set, else ``a + c``."""

JOINED_SUM = 0x9996
"""``(a ^ b) + (c | d)``."""


@dataclass(frozen=True)
class ChainBit:
    """One bit of a carry chain: its table and the table's inputs."""

    table: int
    a: Value
    b: Value
    c: Value
    d: Value


CARRY_IN = ChainBit(SIGNED_SUM, Const(1), Const(0), Const(1), Const(0))
"""A bit that generates a carry into the next bit."""


def carry_chain(m: Module, bits: Sequence[ChainBit], *, name: str) -> Value:
    """The sums of a carry chain of ECP5 primitives, two bits each, with a carry-in of 0."""
    zero = Const(0)
    # an undriven carry-in costs a primitive; a first bit that generates no carry costs a lookup table
    padded = [ChainBit(0, zero, zero, zero, zero), *bits]
    padded += [ChainBit(0, zero, zero, zero, zero)] * (len(padded) % 2)
    sums = Signal(len(padded), name=f"{name}_sums")
    carry: Value = zero
    for place in range(0, len(padded), 2):
        following = Signal(name=f"{name}_carry_{place}")
        ports: dict[str, Any] = {}
        for half, bit in enumerate(padded[place : place + 2]):
            ports |= {f"i_{letter.upper()}{half}": getattr(bit, letter) for letter in "abcd"}
            ports |= {f"p_INIT{half}": Const(bit.table, 16), f"o_S{half}": sums[place + half]}
            ports[f"p_INJECT1_{half}"] = "NO" if place or half else "YES"
        m.submodules[f"{name}_{place // 2}"] = Instance("CCU2C", i_CIN=carry, o_COUT=following, **ports)
        carry = following
    return sums[1 : len(bits) + 1]


class SignedSums(Component):
    """Several sums on one carry chain: ``x + y``, each operand inverted bit by bit where its sign is set.

    Combinational. An inverted number of ``bits`` counts as ``2**bits - 1`` less itself, so a sum is
    ``x + y`` in offset binary, whose offset the user knows.

    Attributes:
        x, y: the numbers, unsigned.
        sign_x, sign_y: invert all of ``x``, or all of ``y``.
        sums: one bit wider.
    """

    def __init__(self, *, bits: int, count: int) -> None:
        self._bits = bits
        self._count = count
        operands = data.ArrayLayout(bits, count)
        super().__init__(
            {
                "x": In(operands),
                "y": In(operands),
                "sign_x": In(1),
                "sign_y": In(1),
                "sums": Out(data.ArrayLayout(bits + 1, count)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """A guard bit above each sum takes its carry, which never reaches the next sum."""
        m = Module()
        zero = Const(0)
        if on_ecp5(platform):
            bits = []
            for x, y in zip(self.x, self.y, strict=True):
                bits += [ChainBit(SIGNED_SUM, x[i], self.sign_x, y[i], self.sign_y) for i in range(self._bits)] + [
                    ChainBit(SIGNED_SUM, zero, zero, zero, zero)
                ]
            m.d.comb += self.sums.eq(carry_chain(m, bits, name="chain"))
        else:
            flip_x, flip_y = (sign.replicate(self._bits) for sign in (self.sign_x, self.sign_y))
            for x, y, total in zip(self.x, self.y, self.sums, strict=True):
                m.d.comb += total.eq((x ^ flip_x) + (y ^ flip_y))
        return m


class Accumulator(Component):
    """One adder that two accumulators share: ``b + c``, or ``a + b`` where ``turn`` is set.

    Combinational, modulo ``2**bits``.
    """

    def __init__(self, *, bits: int) -> None:
        self._bits = bits
        super().__init__({"a": In(bits), "b": In(bits), "c": In(bits), "turn": In(1), "total": Out(bits)})

    def elaborate(self, platform: object) -> Module:
        """One lookup table a bit: an adder and the choice of its operands."""
        m = Module()
        if on_ecp5(platform):
            bits = [ChainBit(ACCUMULATE, self.a[i], self.b[i], self.c[i], self.turn) for i in range(self._bits)]
            m.d.comb += self.total.eq(carry_chain(m, bits, name="chain"))
        else:
            m.d.comb += self.total.eq(self.b + Mux(self.turn, self.a, self.c))
        return m


class AddSubtract(Component):
    """``a - b`` where ``subtract`` is set, else ``a + b``. Combinational, modulo ``2**bits``."""

    def __init__(self, *, bits: int) -> None:
        self._bits = bits
        super().__init__({"a": In(bits), "b": In(bits), "subtract": In(1), "total": Out(bits)})

    def elaborate(self, platform: object) -> Module:
        """One lookup table a bit, and one that makes the carry of a subtraction."""
        m = Module()
        zero = Const(0)
        if on_ecp5(platform):
            first = ChainBit(SIGNED_SUM, self.subtract, zero, self.subtract, zero)
            bits = [ChainBit(SIGNED_SUM, self.a[i], zero, self.b[i], self.subtract) for i in range(self._bits)]
            m.d.comb += self.total.eq(carry_chain(m, [first, *bits], name="chain")[1:])
        else:
            m.d.comb += self.total.eq(Mux(self.subtract, self.a - self.b, self.a + self.b))
        return m


class GatedAdder(Component):
    """``a + b`` where ``gate`` is set, else ``a``; or ``a - b``. Combinational, modulo ``2**bits``."""

    def __init__(self, *, bits: int, subtract: bool = False) -> None:
        self._bits = bits
        self._subtract = subtract
        super().__init__({"a": In(bits), "b": In(bits), "gate": In(1), "total": Out(bits)})

    def elaborate(self, platform: object) -> Module:
        """One lookup table a bit: the gate is in front of the adder."""
        m = Module()
        if on_ecp5(platform):
            table = GATED_DIFFERENCE if self._subtract else GATED_SUM
            bits = [ChainBit(table, self.a[i], self.b[i], self.gate, Const(1)) for i in range(self._bits)]
            if self._subtract:
                m.d.comb += self.total.eq(carry_chain(m, [CARRY_IN, *bits], name="chain")[1:])
            else:
                m.d.comb += self.total.eq(carry_chain(m, bits, name="chain"))
        else:
            addend = Mux(self.gate, self.b, 0)
            m.d.comb += self.total.eq(self.a - addend if self._subtract else self.a + addend)
        return m


class ChoosingAdder(Component):
    """``a + y`` where ``second`` is set, else ``a + x``. Combinational, modulo ``2**bits``."""

    def __init__(self, *, bits: int) -> None:
        self._bits = bits
        super().__init__({"a": In(bits), "x": In(bits), "y": In(bits), "second": In(1), "total": Out(bits)})

    def elaborate(self, platform: object) -> Module:
        """One lookup table a bit: the choice is in front of the adder."""
        m = Module()
        if on_ecp5(platform):
            bits = [ChainBit(CHOSEN_SUM, self.a[i], self.second, self.x[i], self.y[i]) for i in range(self._bits)]
            m.d.comb += self.total.eq(carry_chain(m, bits, name="chain"))
        else:
            m.d.comb += self.total.eq(self.a + Mux(self.second, self.y, self.x))
        return m


class JoinedAddSubtract(Component):
    """``(x | y) - b`` where ``subtract`` is set, else ``(x | y) + b``. Combinational, modulo ``2**bits``.

    For two registers, of which one is always cleared, that share one adder.
    """

    def __init__(self, *, bits: int) -> None:
        self._bits = bits
        super().__init__({"x": In(bits), "y": In(bits), "b": In(bits), "subtract": In(1), "total": Out(bits)})

    def elaborate(self, platform: object) -> Module:
        """One lookup table a bit, and one that makes the carry of a subtraction."""
        m = Module()
        zero = Const(0)
        if on_ecp5(platform):
            first = ChainBit(SIGNED_SUM, self.subtract, zero, self.subtract, zero)
            bits = [ChainBit(JOINED_SUM, self.b[i], self.subtract, self.x[i], self.y[i]) for i in range(self._bits)]
            m.d.comb += self.total.eq(carry_chain(m, [first, *bits], name="chain")[1:])
        else:
            joined = self.x | self.y
            m.d.comb += self.total.eq(Mux(self.subtract, joined - self.b, joined + self.b))
        return m
