"""Parity of weights: a row with its parity bit has an even number of ones."""

from functools import reduce
from operator import or_

from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib import data
from amaranth.lib.wiring import Component, In, Out

PARITY_FAN_IN = 4
"""Bits of which one lookup table makes the parity."""


class ParityCheck(Component):
    """Checks the parity of rows, each of which ends with its parity bit.

    Latency: ``latency(bits)`` cycles, with one lookup table from register to register. Throughput: all rows a cycle.
    Handshake: none.

    Attributes:
        rows: rows with their parity bits.
        valid: whether to check them.
        failed: some row has an odd number of ones.
    """

    def __init__(self, *, rows: int, bits: int) -> None:
        self._bits = bits
        super().__init__({"rows": In(data.ArrayLayout(bits, rows)), "valid": In(1), "failed": Out(1)})

    @staticmethod
    def latency(bits: int) -> int:
        """Cycles from rows to ``failed``: one for each level of the trees, and one to join the rows."""
        levels = 0
        while PARITY_FAN_IN**levels < bits:
            levels += 1
        return levels + 1

    def elaborate(self, _platform: object) -> Module:
        """A tree of exclusive-or for each row, registered at each level."""
        m = Module()
        level: list[Value] = [Value.cast(row) for row in self.rows]
        for stage in range(self.latency(self._bits) - 1):
            level = [self._next_level(m, row, f"row_{number}_{stage}") for number, row in enumerate(level)]
        valid = Signal(self.latency(self._bits) - 1)
        m.d.sync += [valid.eq(Cat(self.valid, valid)), self.failed.eq(valid[-1] & reduce(or_, level))]
        return m

    @staticmethod
    def _next_level(m: Module, row: Value, name: str) -> Signal:
        parts = range(0, len(row), PARITY_FAN_IN)
        after = Signal(len(parts), name=name, reset_less=True)
        m.d.sync += after.eq(Cat(row[part : part + PARITY_FAN_IN].xor() for part in parts))
        return after
