"""A synthesized netlist for a simulator: one name for each net, and its driver."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spikequant.fpga.build.build import NAME
from spikequant.fpga.build.netlist import yosys_models
from spikequant.fpga.build.report import REST, component_of
from spikequant.fpga.toolchain import Tool, ToolRun, run_tool
from spikequant.rtl.fabric import CELL_MODELS

KINDS: Mapping[str, str] = {
    "TRELLIS_FF": "registers",
    "LUT4": "logic",
    "PFUMX": "logic",
    "L6MUX21": "logic",
    "CCU2C": "carry chains",
    "DP16KD": "memories",
    "PDPW16KD": "memories",
    "TRELLIS_DPR16X4": "memories",
    "MULT18X18D": "multipliers",
}
"""Kind of a net, by the cell that drives it."""

PORTS = "ports"
"""Kind of a net that an input port drives."""

SCRIPT = f"""read_json {NAME}.json
cd {NAME}
rename -hide w:*
opt_clean
splitnets
rename -enumerate -pattern n% w:*
cd
write_verilog -noattr sim.v
write_json sim.json
"""
"""Every net gets a short name without hierarchy; cells keep theirs."""


@dataclass(frozen=True)
class Net:
    """One bit of a netlist.

    Attributes:
        kind: a value of ``KINDS``, or ``PORTS``.
        component: the part of the design whose cell drives it.
    """

    kind: str
    component: str


def driven_nets(netlist: bytes) -> dict[str, Net]:
    """Nets with a driver, by their names in a simulator; a net with several names has one of them here.

    Args:
        netlist: JSON that Yosys' ``write_json`` wrote, of one module.
    """
    module: dict[str, Any] = json.loads(netlist)["modules"][NAME]
    drivers: dict[int, Net] = {}
    for port in module["ports"].values():
        if port["direction"] == "input":
            drivers |= dict.fromkeys(port["bits"], Net(PORTS, REST))
    for name, cell in module["cells"].items():
        if cell["type"] not in KINDS:
            continue
        for port, bits in cell["connections"].items():
            if cell["port_directions"][port] == "output":
                net = Net(KINDS[cell["type"]], component_of(name))
                drivers |= {bit: net for bit in bits if isinstance(bit, int)}
    nets: dict[int, tuple[str, Net]] = {}
    for name, wire in module["netnames"].items():
        for index, bit in enumerate(wire["bits"]):
            if bit in drivers:
                nets.setdefault(bit, (f"{name}[{index}]" if len(wire["bits"]) > 1 else name, drivers[bit]))
    return dict(nets.values())


def prepare_netlist(netlist: Path, yosys: Tool, *, cache: Path) -> Path:
    """The folder with ``sim.v`` and ``sim.json`` of a netlist that ``spikequant.fpga.build.build.synthesize`` made.

    Raises:
        ToolError: Yosys failed.
    """
    inputs = {f"{NAME}.json": (netlist / f"{NAME}.json").read_bytes(), "sim.ys": SCRIPT.encode()}
    return run_tool(ToolRun(yosys, ["-q", "sim.ys"], inputs, ["sim.v", "sim.json"]), cache=cache)


def cell_models() -> list[Path]:
    """Verilog of all cells; where a cell is defined twice, the first definition counts.

    Raises:
        InputError: Yosys' own are not installed.
    """
    return [CELL_MODELS / "block_ram.v", CELL_MODELS / "multiplier.v", yosys_models() / "cells_sim.v"]
