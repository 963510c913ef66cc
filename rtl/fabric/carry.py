"""The ECP5 primitives that pay, each with a portable twin of identical behaviour.

The synthesis tool maps every sum to one carry chain of its own, puts the inversion of an operand in front of it,
and leaves the output register of a block RAM unused. Here four sums share a chain, operands are inverted inside
the chain's own lookup tables, and every block RAM has its output register. A component that is elaborated for an
ECP5 gets the primitives; simulation and other fabrics get plain logic that does the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from amaranth.hdl import Cat, ClockSignal, Const, Instance, Module, Mux, ResetSignal, ShapeLike, Signal, Value
from amaranth.lib import data
from amaranth.lib.wiring import Component, In, Out
from amaranth.vendor import LatticePlatform


def on_ecp5(platform: object) -> bool:
    """Whether a design is elaborated for an ECP5."""
    return isinstance(platform, LatticePlatform) and platform.device.startswith("LFE5")


def exceeds(value: Value, limit: int) -> Value:
    """Whether an unsigned value is above a constant, in plain logic: a carry chain would take longer."""
    above: Value = Const(0)
    for place in range(len(value)):
        above = (value[place] & above) if limit >> place & 1 else (value[place] | above)
    return above if limit < 2 ** len(value) else Const(0)


# The lookup tables of a carry chain, with input A as bit 0 of the index. A bit's sum is the table's value xor the
# carry. Where the value is 1 the carry goes on; where it is 0 the table's lowest four entries, indexed by A and B
# alone, make it.

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
"""Makes a carry into the next bit."""


def carry_chain(m: Module, bits: Sequence[ChainBit], *, name: str) -> Value:
    """The sums of a carry chain that starts with no carry, as ECP5 primitives, two bits each."""
    zero = Const(0)
    # an undriven carry input costs a primitive; a first bit that makes no carry costs a table
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
    """Sums of pairs of numbers, each number inverted bit by bit where its sign is set: several on one chain.

    Combinational. An inverted number of ``bits`` counts as ``2**bits - 1`` less itself, so a sum is
    ``x + y`` in offset binary; whoever uses it knows the offset.

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
        """A guard bit above each sum takes its carry, so that none reaches the next one."""
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
    """One adder for two accumulators that take turns: ``b + c``, or ``a + b`` where ``turn`` is set.

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

    Two registers of which one is always cleared take turns at one adder.
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


PRODUCT, INVERTED_PRODUCT, NOTHING = "product", "inverted product", "nothing"
"""What one operand of a column is: ``a & b``, ``~a & b``, or always 0."""

_LOW_ROWS = {PRODUCT: 0x8, INVERTED_PRODUCT: 0x4, NOTHING: 0x0}
_HIGH_ROWS = {PRODUCT: (3,), INVERTED_PRODUCT: (2,), NOTHING: ()}


@dataclass(frozen=True)
class SumShape:
    """One of the sums on a chain.

    Attributes:
        columns: for each column, lowest first, what its two operands are: of ``a`` and ``b``, and of ``c`` and ``d``.
        carry_in: a product into the lowest column, or nothing.
        carry_out: whether the sum is a bit wider than its columns; else the carry must be known to be none.
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
    """Sums of rows of one-bit products, two products a column: several on one chain.

    The products are made in the lookup tables that add them. The bit above a sum, which brings out its carry, makes
    the carry into the next sum of the chain: a product more for nothing.

    Combinational.

    Attributes:
        a, b, c, d: operands of all columns of all sums, in order.
        carry_a, carry_b: of each sum's carry-in.
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
        # of the chain's bits, the ones that show sums
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


def unreset(m: Module, port: Any, name: str) -> Any:
    """The register behind a port that carries data, which a reset leaves alone.

    What is not valid need not be reset; and thousands of registers on the reset's net take the router's wires.
    """
    register = Signal.like(port, name=name, reset_less=True)
    m.d.comb += port.eq(register)
    return register


class Replica(Component):
    """A register beside others that hold the same: the synthesis tool merges equal ones, but not these.

    One register cannot drive a whole array in time, whatever its attributes say: a wire that is to be kept is kept,
    but then driven by the register that all equal ones became.

    Latency: a cycle.

    Args:
        shape: of what it holds.
        init: what it holds behind a reset; without it, a reset leaves it alone.
    """

    def __init__(self, shape: ShapeLike, *, init: int | None = None) -> None:
        self._init = init
        super().__init__({"i": In(shape), "o": Out(shape)})

    def elaborate(self, platform: object) -> Module:
        """A flip-flop a bit."""
        m = Module()
        inner, outer = Value.cast(self.i), Value.cast(self.o)
        if not on_ecp5(platform):
            held = Signal(len(inner), init=self._init or 0, reset_less=self._init is None)
            m.d.sync += held.eq(inner)
            m.d.comb += outer.eq(held)
            return m
        for place in range(len(inner)):
            m.submodules[f"bit_{place}"] = Instance(
                "TRELLIS_FF",
                a_keep=1,
                i_CLK=ClockSignal(),
                i_LSR=Const(0) if self._init is None else ResetSignal(allow_reset_less=True),
                i_CE=Const(1),
                i_DI=inner[place],
                o_Q=outer[place],
                p_GSR="DISABLED",
                p_CEMUX="1",
                p_CLKMUX="CLK",
                p_LSRMUX="LSR",
                p_SRMODE="LSR_OVER_CE",
                p_REGSET="SET" if (self._init or 0) >> place & 1 else "RESET",
            )
        return m


FACTOR_BITS = 18
"""Width of a factor of one multiplier block."""


class Multiplier(Component):
    """``a * b``, unsigned, by a multiplier block with all of its registers.

    Latency: ``latency`` cycles. Throughput: a product a cycle.
    """

    latency = 3

    def __init__(self) -> None:
        super().__init__({"a": In(FACTOR_BITS), "b": In(FACTOR_BITS), "product": Out(2 * FACTOR_BITS)})

    def elaborate(self, platform: object) -> Module:
        """One block, with registers before, within and behind it."""
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
