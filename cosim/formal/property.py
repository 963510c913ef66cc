"""What there is to prove, and by which method."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from spikequant.cosim.formal.circuit import Circuit


@dataclass(frozen=True)
class Induction:
    """Holds for ever: it holds in the first ``k`` cycles, and behind any ``k`` cycles in which it held."""

    k: int
    proves = True

    def __str__(self) -> str:
        """As it stands in the table."""
        return f"induction, k = {self.k}"


@dataclass(frozen=True)
class AnyState:
    """Holds for ever: it holds for so many cycles from every state, reachable or not, and no longer memory is asked.

    A harness for it holds its component ``in_any_state``, and what goes in is seen to come out within the cycles.
    """

    cycles: int
    proves = True

    def __str__(self) -> str:
        """As it stands in the table."""
        return f"from any state, {self.cycles} cycles"


@dataclass(frozen=True)
class AllInputs:
    """Holds for all inputs of a circuit without registers."""

    proves = True

    def __str__(self) -> str:
        """As it stands in the table."""
        return "all inputs"


@dataclass(frozen=True)
class Bounded:
    """Holds for so many cycles from a reset on; nothing is said of later ones."""

    cycles: int
    proves = False

    def __str__(self) -> str:
        """As it stands in the table."""
        return f"bounded, {self.cycles} cycles"


@dataclass(frozen=True)
class Reachable:
    """Holds for ever: it holds in every state that can be reached from a reset on, as ABC's ``pdr`` finds out."""

    proves = True

    def __str__(self) -> str:
        """As it stands in the table."""
        return "reachable states"


Method = Induction | AnyState | AllInputs | Bounded | Reachable

Solver = Literal["yices", "abc"]
"""Of bit vectors, which is strong in sums; of graphs of single gates, which is strong in control."""


@dataclass(frozen=True)
class Property:
    """Something that must hold of a component.

    Attributes:
        name: unique, the folder's topic first.
        component: what it is about, with its size where that is not the specification's.
        specification: what must hold, in a line.
        method: how it is shown.
        circuit: makes the circuit around the component.
        solver: what proves it; only ``abc`` knows of reachable states, only ``yices`` of induction and all inputs.
    """

    name: str
    component: str
    specification: str
    method: Method
    circuit: Callable[[], Circuit]
    solver: Solver = "yices"

    @property
    def depth(self) -> int:
        """Cycles that the solver unrolls, if any; the first one is the reset's."""
        match self.method:
            case Induction(k):
                return k
            case AllInputs():
                return 2
            case AnyState(cycles) | Bounded(cycles):
                return cycles + 1
            case Reachable():
                return 0
