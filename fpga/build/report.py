"""Reports of synthesis and routing."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spikequant.fpga.boards import Resources

LUTS_PER_CARRY = 2
"""LUTs of a carry cell (CCU2C)."""

LUTS_PER_RAM = 4
"""LUTs of a distributed memory of 16 x 4 bits (TRELLIS_DPR16X4)."""

LUTS = {"LUT4": 1, "CCU2C": LUTS_PER_CARRY, "TRELLIS_DPR16X4": LUTS_PER_RAM}
"""LUTs of each type of cell that has any."""

FFS = {"TRELLIS_FF": 1}
"""Flip-flops of each type of cell that has any."""

TARGET_ROUNDING = 1e-3
"""Relative rounding of a clock's target: nextpnr's periods are whole picoseconds."""

CLUSTER = re.compile(r"^cluster_\d+$")
"""Name of a cluster of neurons."""

INSIDE: Mapping[str, Sequence[str]] = {
    "cluster": ("array", "backend"),
    "backend": ("neurons", "completion", "readout", "packer"),
}
"""Components that are counted apart from the larger one that contains them."""

REST = "rest"
"""Component of the cells at the top."""


@dataclass(frozen=True)
class ClockTiming:
    """One clock of a routed design: its target, and what its slowest path allows, in MHz."""

    name: str
    wanted_mhz: float
    achieved_mhz: float

    @property
    def met(self) -> bool:
        """Whether no path is too slow."""
        return self.achieved_mhz >= self.wanted_mhz

    def aims_at(self, target_hz: float) -> bool:
        """Whether the target is ``target_hz``, but for rounding."""
        return abs(self.wanted_mhz * 1e6 / target_hz - 1) < TARGET_ROUNDING


@dataclass(frozen=True)
class SlowestPath:
    """The slowest path of a clock.

    Attributes:
        start, end: first and last cell.
        delay_ns: delay from clock edge to clock edge.
        wires_ns: the share of wires in it.
        tables: number of lookup tables and carry cells on it.
    """

    start: str
    end: str
    delay_ns: float
    wires_ns: float
    tables: int


@dataclass(frozen=True)
class RouteReport:
    """A routed design.

    Attributes:
        used: resources.
        clocks: every clock with a path of its own, at least one.
        slowest: the slowest path of each clock by its name.
    """

    used: Resources
    clocks: tuple[ClockTiming, ...]
    slowest: Mapping[str, SlowestPath]

    @property
    def critical(self) -> ClockTiming:
        """The clock with the smallest margin, relative to its target."""
        return min(self.clocks, key=lambda clock: clock.achieved_mhz / clock.wanted_mhz)

    @property
    def binding(self) -> SlowestPath | None:
        """The slowest path of the critical clock; None if that has no path of its own."""
        return self.slowest.get(self.critical.name)

    @property
    def timing_met(self) -> bool:
        """Whether every clock reaches its target."""
        return all(clock.met for clock in self.clocks)

    def achieved_mhz(self, target_hz: float) -> float:
        """What the paths of the clock with this target allow; of the critical clock if there is none."""
        of_target = (clock.achieved_mhz for clock in self.clocks if clock.aims_at(target_hz))
        return min(of_target, default=self.critical.achieved_mhz)

    def wanted_mhz(self, target_hz: float) -> float:
        """Target of the clocks that aim at ``target_hz``, as nextpnr rounds it."""
        return max((clock.wanted_mhz for clock in self.clocks if clock.aims_at(target_hz)), default=target_hz / 1e6)

    def others_met(self, target_hz: float) -> bool:
        """Whether every clock with another target reaches it."""
        return all(clock.met for clock in self.clocks if not clock.aims_at(target_hz))


def read_synthesis_report(path: Path) -> Resources:
    """Read the least resources of a design from the JSON of yosys' ``stat``.

    LUTs that the packer adds at the ends of carry chains are not counted.
    """
    cells = json.loads(path.read_text(encoding="utf-8"))["design"]["num_cells_by_type"]
    return Resources(
        luts=sum(count * cells.get(cell, 0) for cell, count in LUTS.items()),
        ffs=cells.get("TRELLIS_FF", 0),
        ebrs=cells.get("DP16KD", 0) + cells.get("PDPW16KD", 0),
        dsps=cells.get("MULT18X18D", 0),
    )


def component_of(cell: str, *, below: str = "") -> str:
    """Component of a cell, such as ``encoder`` for ``encoder.count[1]_TRELLIS_FF_Q``.

    Clusters are counted together: ``array`` for ``cluster_3.array.sum[2]``.

    Args:
        cell: name of the cell.
        below: prefix of the components' names, with its point.
    """
    *parts, _ = cell.removeprefix(below).split(".")
    if not parts or not parts[0].isidentifier() or not cell.startswith(below):
        return REST
    place, component = 0, CLUSTER.sub("cluster", parts[0])
    while place + 1 < len(parts) and parts[place + 1] in INSIDE.get(component, ()):
        place += 1
        component = parts[place]
    return component


def read_component_cells(netlist: Path, sizes: Mapping[str, int], *, below: str) -> dict[str, int]:
    """Count resources by component, without those of the packer, in a netlist of one module, JSON of Yosys.

    Args:
        netlist: the file.
        sizes: count of each type of cell, such as ``LUTS`` or ``FFS``.
        below: as in ``component_of``.
    """
    (module,) = (
        module
        for module in json.loads(netlist.read_text(encoding="utf-8"))["modules"].values()
        if int(module["attributes"].get("top", "0"), 2)
    )
    taken: dict[str, int] = {}
    for name, cell in module["cells"].items():
        if cell["type"] in sizes:
            component = component_of(name, below=below)
            taken[component] = taken.get(component, 0) + sizes[cell["type"]]
    return taken


def _resources(used: dict[str, int]) -> Resources:
    return Resources(
        luts=used.get("TRELLIS_COMB", 0),
        ffs=used.get("TRELLIS_FF", 0),
        ebrs=used.get("DP16KD", 0),
        dsps=used.get("MULT18X18D", 0),
    )


def _slowest_paths(paths: Sequence[Mapping[str, Any]]) -> dict[str, SlowestPath]:
    """Paths from a clock to itself, by the clock's name."""
    found: dict[str, SlowestPath] = {}
    for path in paths:
        edge, _, clock = path["from"].partition(" ")
        steps = path["path"]
        if edge != "posedge" or path["to"] != path["from"] or not steps:
            continue
        found[clock] = SlowestPath(
            start=steps[0]["from"]["cell"],
            end=steps[-1]["to"]["cell"],
            delay_ns=sum(step["delay"] for step in steps),
            wires_ns=sum(step["delay"] for step in steps if step["type"] == "routing"),
            tables=sum(step["type"] == "logic" for step in steps),
        )
    return found


def read_route_report(path: Path) -> RouteReport:
    """Read the JSON of nextpnr-ecp5's ``--report``.

    Raises:
        ValueError: the design has no clock.
    """
    report = json.loads(path.read_text(encoding="utf-8"))
    clocks = tuple(
        ClockTiming(name, wanted_mhz=clock["constraint"], achieved_mhz=clock["achieved"])
        for name, clock in report["fmax"].items()
    )
    if not clocks:
        raise ValueError(f"{path}: the routed design has no clock")
    return RouteReport(
        used=_resources({name: cells["used"] for name, cells in report["utilization"].items()}),
        clocks=clocks,
        slowest=_slowest_paths(report["critical_paths"]),
    )


def read_packed_resources(log: str) -> Resources:
    """Read the resources of a design from nextpnr's log; zeros if it ends before they are counted."""
    used = {}
    for line in log.splitlines():
        # such as "Info:   DP16KD:   240/   208   115%"
        name, _, counts = line.removeprefix("Info:").strip().partition(":")
        if "/" in counts and counts.split("/")[0].strip().isdigit():
            used[name] = int(counts.split("/")[0])
    return _resources(used)
