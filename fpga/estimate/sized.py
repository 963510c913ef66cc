"""Largest preset that a board has room for."""

from spikequant.fpga.boards import SIZED, Board
from spikequant.fpga.estimate.estimate import estimate_ebrs
from spikequant.fpga.estimate.measurement import load_measured
from spikequant.golden.layer.spec import PRESETS


def largest_preset(board: Board, *, memory: bool) -> str:
    """Preset that is sized for a board, or the largest smaller one whose block RAMs leave room for a memory's.

    Args:
        board: the board.
        memory: it has a controller for its SDRAM.
    """
    around = round(load_measured().around["ebrs"].total(memory=memory))
    fitting = [
        name
        for name in dict.fromkeys(SIZED.values())
        if PRESETS[name].neurons <= PRESETS[board.preset].neurons
        and estimate_ebrs(PRESETS[name]) + around <= board.capacity.ebrs
    ]
    return max(fitting, key=lambda name: PRESETS[name].neurons)
