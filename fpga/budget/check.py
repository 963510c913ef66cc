"""Counts of an exchange on the virtual board, at a board's clocks and speed of the line."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from spikequant.fpga.budget.setup import Setup
from spikequant.fpga.host.device import Accelerator
from spikequant.fpga.link.session import Patience
from spikequant.fpga.virtual.board import VirtualBoard, build_virtual_board
from spikequant.golden.layer.vectors import LayerVectors
from spikequant.rtl.driver.device import LayerRun

SLOW = Patience(answer=3600.0, hello=3600.0, silence=3600.0, progress=3600.0)
"""Time limits for a board whose seconds take minutes, so that nothing is sent again because of them."""


@dataclass(frozen=True)
class Counts:
    """Counts of an exchange.

    Attributes:
        cycles: clock cycles of the accelerator, HELLOs before and after included.
        sent, received: bytes on the line.
        run: results.
    """

    cycles: int
    sent: int
    received: int
    run: LayerRun


def count_exchange(
    setup: Setup,
    vectors: LayerVectors,
    *,
    seconds: float = 3600.0,
    stage: Callable[[str], None] = lambda _: None,
    cache: Path | None = None,
) -> Counts:
    """Run a layer on a virtual board, from its memory if it has one.

    Args:
        setup: the board; the clock of a memory is twice the accelerator's.
        vectors: the layer and its tokens.
        seconds: time limit of the simulation.
        stage: called with a description of each step before it starts.
        cache: where built virtual boards are kept; the user's cache folder by default.

    Raises:
        InputError: a tool is missing, or the layer does not fit the memory.
        LinkError, PacketError, ToolError: the board failed.
    """
    stage("building the virtual board")
    chip = setup.memory.chip if setup.memory else None
    program = build_virtual_board(setup.spec, memory=setup.memory, divisor=setup.divisor, cache=cache)
    with (
        VirtualBoard(program, memory=chip is not None, divisor=setup.divisor, seconds=seconds) as board,
        board.report_end(),
        Accelerator(setup.spec, port=board.port, baud=round(setup.baud), chip=chip, patience=SLOW) as accelerator,
    ):
        if chip:
            stage("storing")
            stored = accelerator.store_layer(vectors)
        stage("running")
        before = accelerator.health()
        if chip:
            run = accelerator.run_stored(stored, vectors, brief=setup.brief)
        else:
            run = accelerator.run_layer(vectors, brief=setup.brief)
        after = accelerator.health()
    return Counts(after.cycles - before.cycles, after.sent - before.sent, after.received - before.received, run)
