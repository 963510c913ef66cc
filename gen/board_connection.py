"""Connection to an accelerator: on a board at a serial port, or on a virtual board in Verilator."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from spikequant.cosim.netlist import Stage
from spikequant.fpga.boards import DEFAULT_BAUD
from spikequant.fpga.budget.check import SLOW
from spikequant.fpga.budget.setup import Setup
from spikequant.fpga.build.block_contents import Content
from spikequant.fpga.host.device import Accelerator
from spikequant.fpga.sdram.timing import DEFAULT_HZ, SdramChip, SdramTiming
from spikequant.fpga.virtual.board import CYCLES_PER_BIT, MEMORY_RATIO, VirtualBoard, build_virtual_board
from spikequant.golden.layer.spec import Spec
from spikequant.golden.support.errors import InputError

VIRTUAL = "sim"
"""Port name of the virtual board."""


LONGEST_SECONDS = 7 * 24 * 3600.0
"""Time after which a virtual board that runs at the speed of a real one ends by itself."""


@dataclass(frozen=True)
class Line:
    """How to reach a board.

    Attributes:
        port: a serial port, or ``sim``.
        baud: bits per second.
        corrupt, drop: fractions of the bytes that the virtual board's line changes and drops.
        seed: of that noise.
        divisor: clock cycles of a bit on the virtual board's line; by default few, which simulate fast.
        seconds: time after which the virtual board ends by itself.
        netlist: stage of the netlist that the virtual board simulates; None for the generated Verilog.
        contents: initial contents of the virtual board's block RAMs, by the ends of their names.

    Raises:
        InputError: an option of the virtual board together with a serial port.
    """

    port: str
    baud: int = DEFAULT_BAUD
    corrupt: float = 0.0
    drop: float = 0.0
    seed: int = 1
    divisor: int = CYCLES_PER_BIT
    seconds: float = 3600.0
    netlist: Stage | None = None
    contents: Mapping[str, Content] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check that noise and netlists are only used with the virtual board."""
        if self.port != VIRTUAL and self.netlist:
            raise InputError(f"run: --netlist is for --port {VIRTUAL}, expected none with {self.port}")
        if self.port != VIRTUAL and (self.corrupt or self.drop):
            raise InputError(f"run: --corrupt and --drop are for --port {VIRTUAL}, expected neither with {self.port}")


def board_line(setup: Setup, port: str, baud: int) -> Line:
    """The line to a board, on which a virtual one has the setup's clocks and speed of the line.

    Args:
        setup: the board.
        port: a serial port, or ``sim``.
        baud: bits per second.

    Raises:
        InputError: the virtual board cannot have these clocks.
    """
    if port != VIRTUAL:
        return Line(port, baud)
    memory = setup.memory
    if memory and (setup.clock_hz, memory.clock_hz) != (DEFAULT_HZ / MEMORY_RATIO, DEFAULT_HZ):
        raise InputError(
            f"frequency: {setup.clock_hz / 1e6:g} MHz, expected {DEFAULT_HZ / MEMORY_RATIO / 1e6:g} "
            "on a virtual board with a memory"
        )
    return Line(port, baud, divisor=setup.divisor, seconds=LONGEST_SECONDS)


@contextmanager
def board_accelerator(
    spec: Spec, line: Line, *, chip: SdramChip | None = None, cache: Path | None = None, stage: Callable[[str], None]
) -> Iterator[Accelerator]:
    """Open the accelerator on a board; the end of the block closes the session and the virtual board.

    Args:
        spec: of the accelerator in the board's bitstream.
        line: how to reach the board.
        chip: its SDRAM, if the bitstream has a controller for it.
        cache: where built virtual boards are kept; the user's cache folder by default.
        stage: called with a description of each step before it starts.

    Raises:
        InputError: a tool is missing, or the board holds another accelerator.
        LinkError: the board does not answer.
        ToolError: the virtual board could not be built, did not start, or ended early.
    """
    with ExitStack() as stack:
        port = line.port
        if port == VIRTUAL:
            stage("building the virtual board")
            timing = SdramTiming(chip, DEFAULT_HZ) if chip else None
            program = build_virtual_board(
                spec,
                memory=timing,
                divisor=line.divisor,
                netlist=line.netlist,
                contents=line.contents,
                cache=cache,
            )
            board = VirtualBoard(
                program,
                memory=chip is not None,
                divisor=line.divisor,
                seconds=line.seconds,
                seed=line.seed,
                corrupt=line.corrupt,
                drop=line.drop,
            )
            port = stack.enter_context(board).port
            stack.enter_context(board.report_end())
        stage("opening the session")
        patience = SLOW if line.divisor > CYCLES_PER_BIT else None
        yield stack.enter_context(Accelerator(spec, port=port, baud=line.baud, chip=chip, patience=patience))
