"""An accelerator on a board, as far as its speed depends on it."""

from dataclasses import dataclass

from spikequant.fpga.boards import Board
from spikequant.fpga.budget.timeline import BITS_PER_BYTE
from spikequant.fpga.build.build import MemoryWish, board_clocks
from spikequant.fpga.sdram.timing import DEFAULT_HZ, SdramChip, SdramTiming
from spikequant.golden.layer.spec import Spec


@dataclass(frozen=True)
class Setup:
    """An accelerator on a board.

    Attributes:
        spec: the accelerator.
        clock_hz: its clock.
        divisor: clock cycles of a bit on the serial line.
        memory: SDRAM at its clock; None without one.
        brief: results are codes, without membranes.
    """

    spec: Spec
    clock_hz: float
    divisor: int
    memory: SdramTiming | None = None
    brief: bool = True

    @property
    def byte_cycles(self) -> int:
        """Clock cycles of a byte on the line."""
        return self.divisor * BITS_PER_BYTE

    @property
    def baud(self) -> float:
        """Bits a second on the line."""
        return self.clock_hz / self.divisor


def board_setup(
    spec: Spec, board: Board, *, frequency_hz: float, baud: int, chip: SdramChip | None, brief: bool
) -> Setup:
    """An accelerator on a board at the clocks that its PLL makes.

    Args:
        spec: the accelerator.
        board: the board.
        frequency_hz: clock to aim at.
        baud: bits a second on the serial line.
        chip: SDRAM; None for none.
        brief: results are codes, without membranes.

    Raises:
        InputError: the board cannot make the frequency or the baud rate, or has no such memory.
    """
    wish = MemoryWish(chip, DEFAULT_HZ) if chip else None
    clocks = board_clocks(board, frequency_hz=frequency_hz, baud=baud, memory=wish)
    return Setup(spec, clocks.pll.output_hz, clocks.divisor, clocks.memory, brief)
