"""Registers that synthesis leaves alone: without a reset, or not merged with equal ones."""

from typing import Any

from amaranth.hdl import ClockSignal, Const, Instance, Module, ResetSignal, ShapeLike, Signal, Value, ValueLike
from amaranth.lib.wiring import Component, In, Out

from spikequant.rtl.fabric import on_ecp5


def unreset(m: Module, port: Any, name: str) -> Any:
    """A register without a reset that drives a data port.

    Data that is not valid need not be reset, and thousands of registers on the reset net take routing wires.
    """
    register = Signal.like(port, name=name, reset_less=True)
    m.d.comb += port.eq(register)
    return register


def registered(
    m: Module, value: ValueLike, name: str, *, shape: ShapeLike | None = None, reset: bool = False
) -> Signal:
    """The value one cycle later.

    Args:
        m: the module.
        value: what to register.
        name: name of the register.
        shape: shape of the register, the value's by default.
        reset: whether a reset clears it.
    """
    register = Signal(Value.cast(value).shape() if shape is None else shape, name=name, reset_less=not reset)
    m.d.sync += register.eq(value)
    return register


class Replica(Component):
    """A copy of a register that synthesis does not merge with equal ones.

    One register cannot drive a whole array in time, and attributes do not help: a wire that is kept is still driven by
    the register into which all equal ones were merged.

    Latency: one cycle. Throughput: a value a cycle. Handshake: none.

    Args:
        shape: shape of the value.
        init: value after a reset; None for a register without a reset.
    """

    def __init__(self, shape: ShapeLike, *, init: int | None = None) -> None:
        self._init = init
        super().__init__({"i": In(shape), "o": Out(shape)})

    def elaborate(self, platform: object) -> Module:
        """A flip-flop for each bit."""
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
