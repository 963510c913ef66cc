"""Properties to prove, and the methods of proof."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from spikequant.cosim.formal.circuit import Circuit


@dataclass(frozen=True)
class Induction:
    """Holds for any number of cycles: it holds in the first ``k``, and after any ``k`` in which it held."""

    k: int
    proves = True

    def __str__(self) -> str:
        """Return the text for the table."""
        return f"induction, k = {self.k}"


@dataclass(frozen=True)
class AnyState:
    """Holds for any number of cycles: it holds for ``cycles`` from every state, reachable or not.

    Its harness has the component ``in_any_state``, and follows an input until its output, within the cycles.
    """

    cycles: int
    proves = True

    def __str__(self) -> str:
        """Return the text for the table."""
        return f"from any state, {self.cycles} cycles"


@dataclass(frozen=True)
class AllInputs:
    """Holds for all inputs of a circuit without registers."""

    proves = True

    def __str__(self) -> str:
        """Return the text for the table."""
        return "all inputs"


@dataclass(frozen=True)
class Bounded:
    """Holds for ``cycles`` from a reset on, and is not checked after them."""

    cycles: int
    proves = False

    def __str__(self) -> str:
        """Return the text for the table."""
        return f"bounded, {self.cycles} cycles"


@dataclass(frozen=True)
class Reachable:
    """Holds for any number of cycles: it holds in every state reachable from a reset, by ABC's ``pdr``."""

    proves = True

    def __str__(self) -> str:
        """Return the text for the table."""
        return "reachable states"


Method = Induction | AnyState | AllInputs | Bounded | Reachable

Solver = Literal["yices", "abc"]
"""``yices`` solves bit vectors and is strong in sums; ``abc`` solves and-inverter graphs and is strong in control."""


@dataclass(frozen=True)
class Property:
    """A property of a component.

    Attributes:
        name: unique name that begins with its topic.
        component: the component, with its size.
        specification: one line on what must hold.
        method: method of proof.
        circuit: makes the circuit with the component and the checks.
        solver: the solver; ``Reachable`` needs ``abc``, ``Induction`` and ``AllInputs`` need ``yices``.
    """

    name: str
    component: str
    specification: str
    method: Method
    circuit: Callable[[], Circuit]
    solver: Solver = "yices"

    @property
    def success(self) -> Literal["proved", "held"]:
        """Outcome of a proof that succeeds."""
        return "proved" if self.method.proves else "held"

    @property
    def depth(self) -> int:
        """Cycles that the solver unrolls, including that of the reset; 0 if it unrolls none."""
        match self.method:
            case Induction(k):
                return k
            case AllInputs():
                return 2
            case AnyState(cycles) | Bounded(cycles):
                return cycles + 1
            case Reachable():
                return 0
