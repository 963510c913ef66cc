"""An accelerator on a board for the commands: behind a serial port, or a virtual board of their own."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from spikequant.cosim.netlist import Stage
from spikequant.fpga.boards import DEFAULT_BAUD
from spikequant.fpga.build.block_contents import Content
from spikequant.fpga.host.device import Accelerator
from spikequant.fpga.sdram.timing import SdramChip, SdramTiming
from spikequant.fpga.virtual.board import VirtualBoard, build_virtual_board
from spikequant.golden.layer.spec import Spec
from spikequant.golden.support.errors import InputError

VIRTUAL = "sim"
"""The port of the virtual board."""

MEMORY_HZ = 120e6
"""Clock of the virtual board's SDRAM."""


@dataclass(frozen=True)
class Line:
    """How to reach a board.

    Attributes:
        port: a serial port, or ``sim``.
        baud: bits a second.
        corrupt, drop: shares of the bytes that the virtual board's line changes and swallows.
        seed: of that.
        seconds: after which the virtual board ends by itself.
        netlist: the virtual board is a netlist that has come so far.
        contents: that its block RAMs start with, by the ends of their names.
    """

    port: str
    baud: int = DEFAULT_BAUD
    corrupt: float = 0.0
    drop: float = 0.0
    seed: int = 1
    seconds: float = 3600.0
    netlist: Stage | None = None
    contents: Mapping[str, Content] = field(default_factory=dict)

    def check(self) -> None:
        """Only a virtual line makes noise on request, and only a virtual board is a netlist.

        Raises:
            InputError: that is wanted of a real port.
        """
        if self.port != VIRTUAL and self.netlist:
            raise InputError(f"run: --netlist is for --port {VIRTUAL}, expected none with {self.port}")
        if self.port != VIRTUAL and (self.corrupt or self.drop):
            raise InputError(
                f"run: --corrupt and --drop are for --port {VIRTUAL}, expected none of them with {self.port}"
            )


@contextmanager
def board_accelerator(
    spec: Spec, line: Line, *, chip: SdramChip | None = None, cache: Path | None = None, stage: Callable[[str], None]
) -> Iterator[Accelerator]:
    """The accelerator on a board, whose session and virtual board are gone at the end of the block.

    Args:
        spec: what the board's bitstream holds.
        line: how to reach it.
        chip: its SDRAM, if the bitstream has one.
        cache: where built virtual boards are kept; the user's own by default.
        stage: told what is done.

    Raises:
        InputError: a tool is missing, or the board holds something else.
        LinkError: nobody answers.
        ToolError: the virtual board could not be built, did not start, or ended before its time.
    """
    with ExitStack() as stack:
        port = line.port
        if port == VIRTUAL:
            stage("building the virtual board")
            timing = SdramTiming(chip, MEMORY_HZ) if chip else None
            program = build_virtual_board(
                spec, memory=timing, netlist=line.netlist, contents=line.contents, cache=cache
            )
            noise = {"corrupt": line.corrupt, "drop": line.drop}
            board = VirtualBoard(program, memory=chip is not None, seconds=line.seconds, seed=line.seed, **noise)
            port = stack.enter_context(board).port
            stack.enter_context(board.report_end())
        stage("greeting the board")
        yield stack.enter_context(Accelerator(spec, port=port, baud=line.baud, chip=chip))
