"""Harnesses: circuits around components that check what must hold."""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any

from amaranth.asserts import AnyConst, AnySeq, Initial
from amaranth.back import rtlil
from amaranth.hdl import (
    Assert,
    Assume,
    ClockDomain,
    Const,
    DomainRenamer,
    Elaboratable,
    Fragment,
    Module,
    ShapeLike,
    Signal,
    Value,
    ValueLike,
)

TOP = "proof"
"""Name of the top module of what is proved."""


class Harness(Elaboratable, ABC):
    """A component with free inputs and checks of its outputs.

    Checks and assumptions have no effect in the cycle of the reset, in which the state is arbitrary.
    """

    def elaborate(self, _platform: object) -> Module:
        """Elaborate the component with its checks."""
        m = Module()
        self.describe(m)
        return m

    @abstractmethod
    def describe(self, m: Module) -> None:
        """Add the component, its inputs and checks."""


def check(m: Module, holds: ValueLike, message: str) -> None:
    """Check that a condition holds in every cycle."""
    m.d.comb += Assert(Value.cast(holds) | Initial(), message)


def suppose(m: Module, holds: ValueLike) -> None:
    """Assume that a condition holds in every cycle."""
    m.d.comb += Assume(Value.cast(holds) | Initial())


def anything(m: Module, shape: ShapeLike, name: str) -> Any:
    """Return a value that is free in every cycle."""
    return _free(m, shape, name, AnySeq)


def something(m: Module, shape: ShapeLike, name: str) -> Any:
    """Return a free constant."""
    return _free(m, shape, name, AnyConst)


def _free(m: Module, shape: ShapeLike, name: str, kind: Any) -> Any:
    signal = Signal(shape, name=name)
    bits = Value.cast(signal)
    m.d.comb += bits.eq(kind(len(bits)))
    return signal


def before(m: Module, value: ValueLike, name: str, *, init: int = 0) -> Any:
    """Return the value of the previous cycle; ``init`` in the first cycle after the reset."""
    value = Value.cast(value)
    register = Signal(value.shape(), name=name, init=init)
    m.d.sync += register.eq(value)
    return register


def cycles(m: Module, most: int) -> Signal:
    """Count cycles since the reset, from 0 in the first one, up to ``most``."""
    count = Signal(range(most + 1), name="cycles")
    with m.If(count != most):
        m.d.sync += count.eq(count + 1)
    return count


def total(values: Iterable[ValueLike]) -> Value:
    """Return the exact sum of any number of values."""
    result: Value = Const(0)
    for value in values:
        result = result + value
    return result


UNRESET = "unreset"
"""Clock domain without a reset, for components that start in any state."""


def in_any_state(component: Elaboratable) -> Any:
    """Remove a component's reset, so that a proof starts with it in every state, reachable or not."""
    return DomainRenamer(UNRESET)(component)


def rtlil_of(harness: Harness, *, platform: object = None) -> str:
    """Return a harness as RTLIL, with top module ``proof``, the clock as only port, and a reset in the first cycle."""
    m = Module()
    sync, unreset = ClockDomain("sync"), ClockDomain(UNRESET)
    m.domains += [sync, unreset]
    m.submodules.harness = harness
    m.d.comb += [sync.rst.eq(Initial()), unreset.clk.eq(sync.clk)]
    text = rtlil.convert(m, name=TOP, ports=[sync.clk], platform=platform, emit_src=False)
    # solvers report a failed check by the name of its cell
    return re.sub(r'cell \$check \$(\d+)(\s+parameter \\FORMAT )"(.*)"', _named, text)


def _named(cell: re.Match[str]) -> str:
    number, middle, message = cell.groups()
    name = re.sub(r"\W+", "_", message)
    return f'cell $check \\{name}_{number}{middle}"{message}"'


def inner(fragment: Fragment, path: str) -> Signal:
    """Find an internal register by the names of submodules and its own, separated by dots.

    Proofs by induction often need invariants of internal registers.

    Raises:
        KeyError: there is no such register.
    """
    *folders, name = path.split(".")
    for folder in folders:
        fragment = next(sub for sub, own, _ in fragment.subfragments if own == folder)
    for statements in fragment.statements.values():
        for statement in statements:
            for signal in statement._lhs_signals():
                if signal.name == name:
                    return signal
    raise KeyError(path)


def in_state(fragment: Fragment, state: str) -> Value:
    """Return whether a component's only state machine is in a state."""
    encoding = fragment.generated["fsm"].encoding
    return inner(fragment, "fsm_state") == encoding[state]


def is_some_state(fragment: Fragment) -> Value:
    """Return whether a component's only state machine is in any of its states."""
    return inner(fragment, "fsm_state") < len(fragment.generated["fsm"].encoding)
