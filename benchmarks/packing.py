"""Resources of an array by component, and of boards' designs, from synthesis and packing without a placement."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from spikequant.benchmarks.shapes import Candidate
from spikequant.fpga.boards import DEFAULT_BAUD, Board, Resources
from spikequant.fpga.build.build import NAME, Design, MemoryWish, Tools, make_plan, synthesize
from spikequant.fpga.build.carry_ends import trim_carry_ends
from spikequant.fpga.build.core import BELOW, DEVICE_OPTIONS, make_design
from spikequant.fpga.build.report import FFS, LUTS, read_component_cells, read_packed_resources
from spikequant.fpga.estimate.prices import PACKING
from spikequant.fpga.sdram.timing import DEFAULT_HZ, SdramChip
from spikequant.fpga.toolchain import CONSOLE, ToolRun, run_tool
from spikequant.golden.layer.spec import Spec
from spikequant.rtl.accelerator import Accelerator

DEVICE = "LFE5U-85F"
"""The largest device; a design needs the same resources on all of them."""

TARGET_HZ = 250e6
"""Target clock of placement and routing, above what any array reaches, so that the tools never stop early."""


@dataclass(frozen=True)
class Packed:
    """A packed array.

    Attributes:
        used: all of it, the registers at the ports included.
        luts, ffs: by component; what the packer adds counts under ``packing``.
    """

    used: Resources
    luts: Mapping[str, int]
    ffs: Mapping[str, int]


def by_component(netlist: Path, used: Resources) -> tuple[dict[str, int], dict[str, int]]:
    """Lookup tables and registers by component, with those that packing adds.

    Args:
        netlist: the folder that ``spikequant.fpga.build.build.synthesize`` gave.
        used: of the packed design.
    """
    found = []
    for sizes, total in ((LUTS, used.luts), (FFS, used.ffs)):
        taken = read_component_cells(netlist / f"{NAME}.json", sizes, below=BELOW)
        found.append(taken | {PACKING: total - sum(taken.values())})
    luts, ffs = found
    return luts, ffs


BOARD_HZ = 60e6
"""Clock of a packed design on a board; its resources hardly depend on it."""


def pack_alone(candidate: Candidate, tools: Tools, *, cache: Path) -> Packed:
    """Synthesize and pack an array.

    Raises:
        InputError: the largest device does not hold it.
        ToolError: a tool failed.
    """
    design = make_design(candidate.component, device=DEVICE, frequency_hz=TARGET_HZ)
    netlist = synthesize(design, tools, cache=cache)
    command = [DEVICE_OPTIONS[DEVICE], "--json", f"{NAME}.json", "--lpf-allow-unconstrained"]
    used = _pack(netlist, command, {}, tools, cache=cache)
    luts, ffs = by_component(netlist, used)
    return Packed(used=used, luts=luts, ffs=ffs)


def pack_on_board(spec: Spec, board: Board, chip: SdramChip | None, tools: Tools, *, cache: Path) -> Resources:
    """Synthesize and pack an accelerator with everything that a board needs, and an SDRAM's controller for a chip.

    Raises:
        InputError: the device does not hold it, or the board has no SDRAM.
        ToolError: a tool failed.
    """
    plan: Design = make_plan(
        lambda: Accelerator(spec),
        board=board,
        frequency_hz=BOARD_HZ,
        baud=DEFAULT_BAUD,
        memory=MemoryWish(chip, DEFAULT_HZ) if chip else None,
    )
    # a packed design has no configuration
    command = list(plan.commands["nextpnr-ecp5"])
    place = command.index("--textcfg")
    del command[place : place + 2]
    constraints = f"{NAME}.lpf"
    netlist = synthesize(plan, tools, cache=cache)
    return _pack(netlist, command, {constraints: plan.files[constraints]}, tools, cache=cache)


def _pack(netlist: Path, command: list[str], files: Mapping[str, bytes], tools: Tools, *, cache: Path) -> Resources:
    """Run nextpnr's packer alone on a netlist with trimmed carry chains."""
    trimmed = trim_carry_ends((netlist / f"{NAME}.json").read_bytes()).netlist
    run = ToolRun(tools.nextpnr, [*command, "--pack-only"], {f"{NAME}.json": trimmed, **files}, ())
    return read_packed_resources((run_tool(run, cache=cache) / CONSOLE).read_text(encoding="utf-8"))
