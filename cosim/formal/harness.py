"""Circuits around the real components that say what must hold."""

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
    """A component, free inputs, and what must hold of its outputs.

    What is checked or assumed does not count in the cycle of the reset, in which the state is arbitrary.
    """

    def elaborate(self, _platform: object) -> Module:
        """The component with its checks."""
        m = Module()
        self.describe(m)
        return m

    @abstractmethod
    def describe(self, m: Module) -> None:
        """Add the component and what must hold."""


def check(m: Module, holds: ValueLike, message: str) -> None:
    """Prove that this holds in every cycle."""
    m.d.comb += Assert(Value.cast(holds) | Initial(), message)


def suppose(m: Module, holds: ValueLike) -> None:
    """Look only at runs in which this holds in every cycle."""
    m.d.comb += Assume(Value.cast(holds) | Initial())


def anything(m: Module, shape: ShapeLike, name: str) -> Any:
    """A value that is free in every cycle."""
    return _free(m, shape, name, AnySeq)


def something(m: Module, shape: ShapeLike, name: str) -> Any:
    """A value that is free, and stays."""
    return _free(m, shape, name, AnyConst)


def _free(m: Module, shape: ShapeLike, name: str, kind: Any) -> Any:
    signal = Signal(shape, name=name)
    bits = Value.cast(signal)
    m.d.comb += bits.eq(kind(len(bits)))
    return signal


def before(m: Module, value: ValueLike, name: str, *, init: int = 0) -> Any:
    """The value a cycle ago; ``init`` in the first cycle behind the reset."""
    value = Value.cast(value)
    register = Signal(value.shape(), name=name, init=init)
    m.d.sync += register.eq(value)
    return register


def cycles(m: Module, most: int) -> Signal:
    """Cycles since the reset, 0 in the first one behind it, ``most`` from then on."""
    count = Signal(range(most + 1), name="cycles")
    with m.If(count != most):
        m.d.sync += count.eq(count + 1)
    return count


def total(values: Iterable[ValueLike]) -> Value:
    """Sum of any number of values, exact."""
    result: Value = Const(0)
    for value in values:
        result = result + value
    return result


UNRESET = "unreset"
"""Clock domain of a component that is looked at from any state at all."""


def in_any_state(component: Elaboratable) -> Any:
    """The component without its reset, so that a proof begins with it in every state, reachable or not."""
    return DomainRenamer(UNRESET)(component)


def rtlil_of(harness: Harness, *, platform: object = None) -> str:
    """The harness as RTLIL with top module ``proof``, its clock the only port; the first cycle is its only reset."""
    m = Module()
    sync, unreset = ClockDomain("sync"), ClockDomain(UNRESET)
    m.domains += [sync, unreset]
    m.submodules.harness = harness
    m.d.comb += [sync.rst.eq(Initial()), unreset.clk.eq(sync.clk)]
    text = rtlil.convert(m, name=TOP, ports=[sync.clk], platform=platform, emit_src=False)
    # a check that fails is named by its cell
    return re.sub(r'cell \$check \$(\d+)(\s+parameter \\FORMAT )"(.*)"', _named, text)


def _named(cell: re.Match[str]) -> str:
    number, middle, message = cell.groups()
    name = re.sub(r"\W+", "_", message)
    return f'cell $check \\{name}_{number}{middle}"{message}"'


def inner(fragment: Fragment, path: str) -> Signal:
    """A register deep inside, by the names of its submodules and its own, with dots between them.

    What is proved by induction often needs to be said of registers that are nobody else's business.

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
    """Whether a component's only state machine is in a state."""
    encoding = fragment.generated["fsm"].encoding
    return inner(fragment, "fsm_state") == encoding[state]


def is_some_state(fragment: Fragment) -> Value:
    """Whether a component's only state machine is in a state at all."""
    return inner(fragment, "fsm_state") < len(fragment.generated["fsm"].encoding)
