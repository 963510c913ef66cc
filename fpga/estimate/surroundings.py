"""Resources of what a board has around the accelerator: serial line, clock, pins, and an SDRAM's controller.

They hardly depend on the accelerator, so each has one price: the average of what builds on boards take more than
their accelerators alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from spikequant.fpga.estimate.prices import Priced, estimate_total, fit_prices
from spikequant.golden.support.figures import Figures


class OnBoard(Figures):
    """Resources of a packed design on a board.

    Attributes:
        design: name of the accelerator.
        board: name of the board.
        memory: SDRAM chip; None without one.
        luts, ffs, ebrs: of the whole design.
    """

    design: str
    board: str
    memory: str | None
    luts: int
    ffs: int
    ebrs: int


class Surroundings(Figures):
    """Lookup tables, flip-flops or block RAMs around an accelerator.

    Attributes:
        line: clock, serial line, its protocol, and pins.
        memory: an SDRAM's controller, and its path to the accelerator.
    """

    line: float
    memory: float

    def total(self, *, memory: bool) -> float:
        """Both, or the line alone."""
        return self.line + (self.memory if memory else 0)


@dataclass(frozen=True)
class Extra:
    """What a design on a board takes more than its accelerator alone.

    Attributes:
        design: name of the accelerator.
        memory: it has an SDRAM.
        alone: count of the accelerator alone.
        total: count on the board.
    """

    design: str
    memory: bool
    alone: int
    total: int


def fit_surroundings(extras: Sequence[Extra]) -> Surroundings:
    """Average over builds; ``memory`` is 0 if no build has one.

    Args:
        extras: at least one without a memory.
    """
    line = fmean(one.total - one.alone for one in extras if not one.memory)
    memory = [one.total - one.alone - line for one in extras if one.memory]
    return Surroundings(line=line, memory=fmean(memory) if memory else 0.0)


def left_out_board_errors(extras: Sequence[Extra], designs: Mapping[str, Priced]) -> list[float]:
    """Relative error of each build on a board, estimated from all other accelerators; positive if too large.

    A build is skipped if no other accelerator has one with and, where it has a memory, without a memory.
    """
    errors = []
    for left_out in extras:
        others = [one for one in extras if one.design != left_out.design]
        if {False, left_out.memory} - {one.memory for one in others}:
            continue
        prices = fit_prices([priced for name, priced in designs.items() if name != left_out.design])
        around = fit_surroundings(others).total(memory=left_out.memory)
        errors.append((estimate_total(designs[left_out.design].spec, prices) + around) / left_out.total - 1)
    return errors
