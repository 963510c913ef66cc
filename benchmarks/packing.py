"""Resources of an array by component, from synthesis and packing alone, without a placement."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from spikequant.benchmarks.shapes import Candidate
from spikequant.fpga.boards import Resources
from spikequant.fpga.build.build import NAME, Tools, synthesize
from spikequant.fpga.build.carry_ends import trim_carry_ends
from spikequant.fpga.build.core import BELOW, DEVICE_OPTIONS, make_design
from spikequant.fpga.build.report import FFS, LUTS, read_component_cells, read_packed_resources
from spikequant.fpga.estimate.prices import PACKING
from spikequant.fpga.toolchain import CONSOLE, ToolRun, run_tool

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


def pack_alone(candidate: Candidate, tools: Tools, *, cache: Path) -> Packed:
    """Synthesize and pack an array.

    Raises:
        InputError: the largest device does not hold it.
        ToolError: a tool failed.
    """
    design = make_design(candidate.component, device=DEVICE, frequency_hz=TARGET_HZ)
    netlist = synthesize(design, tools, cache=cache)
    trimmed = trim_carry_ends((netlist / f"{NAME}.json").read_bytes()).netlist
    command = [DEVICE_OPTIONS[DEVICE], "--json", f"{NAME}.json", "--lpf-allow-unconstrained", "--pack-only"]
    folder = run_tool(ToolRun(tools.nextpnr, command, {f"{NAME}.json": trimmed}, ()), cache=cache)
    used = read_packed_resources((folder / CONSOLE).read_text(encoding="utf-8"))
    luts, ffs = by_component(netlist, used)
    return Packed(used=used, luts=luts, ffs=ffs)
