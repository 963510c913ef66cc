"""Resources of the portable Verilog on each device family that Yosys synthesizes for."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, computed_field
from rich.table import Table

from spikequant.fpga.toolchain import ToolRun, find_tool, run_tool
from spikequant.golden.support.errors import InputError
from spikequant.golden.support.figures import Figures
from spikequant.golden.support.json_files import read_json
from spikequant.rtl.verilog import TOP

STATISTICS = "stat.json"


@dataclass(frozen=True)
class Family:
    """A device family, and regular expressions of the cells that count.

    Attributes:
        command: Yosys's synthesis.
        luts: lookup tables.
        carries: cells of carry chains.
        ffs: flip-flops.
        block_rams: block RAMs.
        lut_rams: memories of lookup tables; none if the family has no such cells.
    """

    command: str
    luts: str
    carries: str
    ffs: str
    block_rams: str
    lut_rams: str


FAMILIES: Mapping[str, Family] = {
    "ecp5": Family("synth_ecp5", "LUT4", "CCU2C", "TRELLIS_FF", "DP16KD|PDPW16KD", "TRELLIS_DPR16X4"),
    "nexus": Family("synth_nexus", "LUT4", "CCU2", "FD1P3.X", "PDP16K|PDPSC16K|DP16K", "DPR16X4"),
    "gowin": Family("synth_gowin", "LUT[1-4]", "ALU", "DFF.*", "SDPX?9?B|DPX?9?B|SPX?9?", "RAM16SDP[124]"),
    "ice40": Family("synth_ice40", "SB_LUT4", "SB_CARRY", "SB_DFF.*", "SB_RAM40_4K.*", ""),
    "xilinx": Family(
        "synth_xilinx -flatten", "LUT[1-6]", "CARRY4", "FD[RSCP]E", "RAMB(?:18|36)E1", r"RAM\d+(?:X1)?[DMS]\w*"
    ),
}
"""Families by name; ``xilinx`` is the 7 series."""


class FamilyFigures(Figures):
    """Cells of an accelerator on a family.

    Attributes:
        family: key in ``FAMILIES``.
        luts, carries, ffs: lookup tables, cells of carry chains, flip-flops.
        block_rams, lut_rams: memories.
    """

    family: str
    luts: int
    carries: int
    ffs: int
    block_rams: int
    lut_rams: int


class FamiliesFigures(Figures):
    """An accelerator on several families.

    Attributes:
        config: preset or file of the accelerator.
        families: figures by family.
    """

    config: str
    families: list[FamilyFigures]

    @computed_field  # type: ignore[prop-decorator]
    @property
    def ok(self) -> bool:
        """Whether memories are in block RAM on every family."""
        return all(family.block_rams for family in self.families)


class _Design(BaseModel):
    num_cells_by_type: dict[str, int]


class _Statistics(BaseModel):
    """What Yosys's ``stat -json`` writes, as far as it is needed."""

    model_config = ConfigDict(extra="ignore")

    design: _Design


def find_families(names: Iterable[str]) -> list[str]:
    """Check names of families.

    Raises:
        InputError: a name is unknown.
    """
    chosen = list(names)
    for name in chosen:
        if name not in FAMILIES:
            raise InputError(f"family '{name}': unknown, expected one of {', '.join(FAMILIES)}")
    return chosen


def synthesize_family(verilog: str, name: str, *, cache: Path) -> FamilyFigures:
    """Synthesize an accelerator for a family.

    Args:
        verilog: its portable Verilog.
        name: key in ``FAMILIES``.
        cache: root of the cache of runs.

    Raises:
        InputError: Yosys is missing.
        ToolError: Yosys failed.
    """
    script = f"read_verilog {TOP}.v; {FAMILIES[name].command} -top {TOP}; tee -q -o {STATISTICS} stat -json"
    inputs = {f"{TOP}.v": verilog.encode()}
    folder = run_tool(ToolRun(find_tool("yosys"), ["-q", "-p", script], inputs, [STATISTICS]), cache=cache)
    cells = read_json(folder / STATISTICS, _Statistics, what="statistics").design.num_cells_by_type
    return count_cells(name, cells)


def count_cells(name: str, cells: Mapping[str, int]) -> FamilyFigures:
    """Count the cells of a synthesized design, by type, on a family."""
    family = FAMILIES[name]

    def count(pattern: str) -> int:
        return sum(number for cell, number in cells.items() if re.fullmatch(pattern, cell))

    return FamilyFigures(
        family=name,
        luts=count(family.luts),
        carries=count(family.carries),
        ffs=count(family.ffs),
        block_rams=count(family.block_rams),
        lut_rams=count(family.lut_rams),
    )


def families_table(figures: FamiliesFigures) -> Table:
    """Return a row of cells for each family."""
    table = Table(title=f"{figures.config}, portable Verilog, cells after synthesis")
    table.add_column("family")
    for name in ("LUTs", "carry cells", "flip-flops", "block RAMs", "LUT RAM cells"):
        table.add_column(name, justify="right")
    for one in figures.families:
        counts = (one.luts, one.carries, one.ffs, one.block_rams, one.lut_rams)
        table.add_row(one.family, *(f"{count:,}" for count in counts))
    return table
