"""One layer on a board, compared with the golden model."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from spikequant.cosim.layer import LayerFigures, LayerReport, report_of
from spikequant.fpga.baked.bake import baked_contents, read_baked, weights_digest
from spikequant.fpga.baked.image import weights_image
from spikequant.fpga.baked.program import placed_program
from spikequant.fpga.build.build import find_tools
from spikequant.fpga.link.session import Health
from spikequant.fpga.sdram.program import active_inputs, without_silent
from spikequant.fpga.sdram.timing import SdramChip
from spikequant.gen.board_connection import VIRTUAL, Line, board_accelerator
from spikequant.golden.layer.spec import Spec
from spikequant.golden.layer.vectors import LayerVectors
from spikequant.golden.support.errors import InputError
from spikequant.golden.support.store import default_cache_folder


class BoardFigures(LayerFigures):
    """Figures of a layer on a board.

    Attributes:
        line: counters of the serial line.
        baud: bits per second.
        memory: SDRAM that held the weights; None for none.
        weights: source of the weights: line, memory or bitstream.
    """

    line: Health
    baud: int
    memory: str | None
    weights: str


class Weights(StrEnum):
    """Source of a layer's weights."""

    LINE = "line"
    MEMORY = "memory"
    BITSTREAM = "bitstream"


@dataclass(frozen=True)
class BoardRun:
    """A layer that ran on a board.

    Attributes:
        report: its results and counters, compared with the golden model.
        health: counters of the serial line.
        line: how the board was reached.
        chip: the SDRAM that held the weights; None for none.
        weights: where the weights came from.
    """

    report: LayerReport
    health: Health
    line: Line
    chip: SdramChip | None
    weights: Weights

    def figures(self, *, allow_saturation: bool) -> BoardFigures:
        """Figures for JSON."""
        return BoardFigures(
            **self.report.figures(allow_saturation=allow_saturation).model_dump(),
            line=self.health,
            baud=self.line.baud,
            memory=self.chip.name if self.chip else None,
            weights=self.weights.value,
        )


def run_on_board(
    spec: Spec,
    line: Line,
    vectors: LayerVectors,
    *,
    chip: SdramChip | None,
    baked: Path | None,
    cache: Path | None,
    stage: Callable[[str], None],
    progress: Callable[[int, int], None],
) -> BoardRun:
    """Run a layer on a board.

    Args:
        spec: of the accelerator in the board's bitstream.
        line: how to reach the board.
        vectors: the layer and its tokens.
        chip: SDRAM to store the weights in first; None for none.
        baked: folder of the bitstream that holds the weights; None for none.
        cache: where builds are kept; the user's cache folder by default.
        stage: called with a description of each step before it starts.
        progress: called with the number of results that are in, and of all.

    Raises:
        InputError: the bitstream in ``baked`` is not of this spec and layer; or as ``board_accelerator``.
        LinkError, PacketError, ToolError: as ``board_accelerator``, or the board failed during the run.
    """
    if baked is not None:
        line = _baked_line(line, spec, vectors, folder=baked, cache=cache)
    weights = Weights.BITSTREAM if baked else Weights.MEMORY if chip else Weights.LINE
    ran = vectors
    with board_accelerator(spec, line, chip=chip, cache=cache, stage=stage) as accelerator:
        if weights is Weights.MEMORY:
            stage("storing")
            place = accelerator.store_layer(vectors)
            # from the memory, silent inputs are left out, and the others move closer together
            ran = without_silent(vectors, active_inputs(vectors))
        stage("running")
        match weights:
            case Weights.MEMORY:
                result = accelerator.run_stored(place, vectors, progress=progress)
            case Weights.BITSTREAM:
                result = accelerator.run_baked(vectors, progress=progress)
            case Weights.LINE:
                result = accelerator.run_layer(vectors, progress=progress)
        health = accelerator.health()
    return BoardRun(report_of(spec, vectors, result, ran=ran), health, line, chip, weights)


def _baked_line(line: Line, spec: Spec, vectors: LayerVectors, *, folder: Path, cache: Path | None) -> Line:
    """The line to a board whose bitstream holds the weights; a virtual board gets them as initial contents."""
    found = read_baked(folder)
    if found.spec != spec:
        raise InputError(f"run: the bitstream in {folder} is of another spec, expected that of --config")
    if found.weights_sha256 != weights_digest(weights_image(spec, placed_program(spec, vectors).packets)):
        raise InputError(f"run: the bitstream in {folder} has the weights of {found.layer}, expected this layer's")
    if line.port != VIRTUAL:
        return line
    contents = baked_contents(folder, found, find_tools(), cache=cache or default_cache_folder())
    return replace(line, netlist=line.netlist or "synth", contents=contents)
