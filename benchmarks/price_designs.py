"""Designs of every price measurement besides its shapes: small ones with other settings, and some on boards."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from spikequant.benchmarks.packing import pack_on_board
from spikequant.benchmarks.shapes import parse_shape
from spikequant.fpga.boards import find_board
from spikequant.fpga.build.build import Tools
from spikequant.fpga.estimate.surroundings import OnBoard
from spikequant.fpga.sdram.timing import find_chip
from spikequant.golden.layer.spec import PRESETS, Spec, make_spec


def _variant(shape: str, **settings: int) -> Spec:
    values = parse_shape(shape).model_dump() | settings
    return make_spec(values, source=f"variant of {shape}")


VARIANTS: Mapping[str, Spec] = {
    "tiny": PRESETS["tiny"],
    "8x2": parse_shape("8x2"),
    "16x4": parse_shape("16x4"),
    "16x2x2": parse_shape("16x2x2"),
    "16x4 narrow": _variant("16x4", depth=512, score_words=256, membrane_slots=4, membrane_bits=24, output_bits=4),
}
"""Accelerators by name; the settings in which they differ span the range in which an estimate's error is known."""


@dataclass(frozen=True)
class Placed:
    """A design on a board: a key of ``VARIANTS``, the board's name, and an SDRAM chip or None."""

    design: str
    board: str
    chip: str | None = None

    def pack(self, tools: Tools, *, cache: Path) -> OnBoard:
        """Synthesize and pack it; arguments and errors are those of ``pack_on_board``."""
        chip = find_chip(self.chip) if self.chip else None
        used = pack_on_board(VARIANTS[self.design], find_board(self.board), chip, tools, cache=cache)
        counts = {"luts": used.luts, "ffs": used.ffs, "ebrs": used.ebrs}
        return OnBoard(design=self.design, board=self.board, memory=self.chip, **counts)


CHIP = "AS4C16M16SA-7"

ON_BOARDS = (
    Placed("8x2", "ulx3s_25f"),
    Placed("tiny", "ulx3s_25f"),
    Placed("16x2x2", "colorlight_i5"),
    Placed("16x4", "ulx3s_85f"),
    Placed("8x2", "ulx3s_25f", CHIP),
)
"""Designs on boards with many and few pins, from which the prices around an accelerator are fitted."""
