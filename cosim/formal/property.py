"""Properties to prove, and the methods of proof."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal

from spikequant.cosim.formal.circuit import Circuit


class _Method:
    """Base of the methods of proof.

    Attributes:
        proves: whether a success holds for any number of cycles.
        label: text for the table, in which ``{0}`` is the method.
    """

    proves: ClassVar[bool] = True
    label: ClassVar[str]

    def __str__(self) -> str:
        """Return the text for the table."""
        return self.label.format(self)


@dataclass(frozen=True)
class Induction(_Method):
    """Proof for any number of cycles: the property holds in the first ``k``, and after any ``k`` in which it held."""

    k: int
    label = "induction, k = {0.k}"


@dataclass(frozen=True)
class AnyState(_Method):
    """Proof for any number of cycles: the property holds for ``cycles`` from every state, reachable or not.

    Its harness has the component ``in_any_state``, and follows an input until its output, within the cycles.
    """

    cycles: int
    label = "from any state, {0.cycles} cycles"


@dataclass(frozen=True)
class AllInputs(_Method):
    """Proof for all inputs of a circuit without registers."""

    label = "all inputs"


@dataclass(frozen=True)
class Bounded(_Method):
    """Check of the first ``cycles`` after a reset, and of no later ones."""

    cycles: int
    label = "bounded, {0.cycles} cycles"
    proves = False


@dataclass(frozen=True)
class Reachable(_Method):
    """Proof for any number of cycles: the property holds in every reachable state, by ABC's ``pdr``."""

    label = "reachable states"


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
