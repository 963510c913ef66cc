"""A board and the accelerator on it, from the options of a command."""

from dataclasses import dataclass

from spikequant.fpga.boards import Board, find_board
from spikequant.fpga.budget.setup import Setup, board_setup
from spikequant.fpga.estimate.sized import largest_preset
from spikequant.fpga.sdram.timing import DEFAULT_CHIP, SdramChip, find_chip
from spikequant.golden.layer.spec import load_spec

NO_MEMORY = "none"
"""Name of the memory of a board whose SDRAM is not used."""


@dataclass(frozen=True)
class ChosenBoard:
    """A board with an accelerator.

    Attributes:
        board: the board.
        config: preset or file of the accelerator.
        setup: accelerator, clocks, line and memory.
    """

    board: Board
    config: str
    setup: Setup

    @property
    def chip(self) -> SdramChip | None:
        """The SDRAM that the accelerator uses."""
        return self.setup.memory.chip if self.setup.memory else None


def choose_board(
    name: str, *, config: str | None, frequency_hz: float, memory: str | None, baud: int, codes: bool
) -> ChosenBoard:
    """A board by its name, and what is on it.

    Args:
        name: of the board.
        config: preset or file of the accelerator; None for the largest preset that the board has room for.
        frequency_hz: clock of the accelerator.
        memory: SDRAM chip, or ``NO_MEMORY``; None for ``DEFAULT_CHIP`` on a board with SDRAM.
        baud: bits per second on the serial line.
        codes: results are codes, without membranes.

    Raises:
        InputError: there is no such board, accelerator or memory, or the board cannot make the clocks.
    """
    board = find_board(name)
    wanted = memory or (DEFAULT_CHIP if board.sdram else NO_MEMORY)
    chip = None if wanted == NO_MEMORY else find_chip(wanted)
    accelerator = config or largest_preset(board, memory=chip is not None)
    spec = load_spec(accelerator)
    setup = board_setup(spec, board, frequency_hz=frequency_hz, baud=baud, chip=chip, brief=codes)
    return ChosenBoard(board, accelerator, setup)
