"""Carry chains without the lookup tables that the packer puts at their ends.

Before a chain whose carry-in is tied to a constant, nextpnr places a carry cell that makes the constant, and behind
one whose carry-out has a net, a cell that brings it out, even if nobody reads the net: two lookup tables each. Here
the netlist loses what makes no difference, so that both are left out.
"""

import json
from collections import Counter
from dataclasses import dataclass
from typing import Any

CARRY_CELL = "CCU2C"

CONSTANTS = ("0", "1", "x")
"""How a Yosys netlist writes a tied bit; nets are integers."""

UNCONNECTED = ["x"]


@dataclass(frozen=True)
class Trimmed:
    """A netlist with free ends.

    Attributes:
        netlist: Yosys' JSON.
        carry_ins: constants taken off a chain's beginning.
        carry_outs: nets without a reader taken off a chain's end.
    """

    netlist: bytes
    carry_ins: int
    carry_outs: int


def trim_carry_ends(netlist: bytes) -> Trimmed:
    """Unconnect each carry-out that nobody reads, and each constant carry-in that makes no difference.

    The function of every module stays the same.

    Args:
        netlist: JSON that Yosys' ``write_json`` wrote.
    """
    design = json.loads(netlist)
    carry_ins = carry_outs = 0
    for module in design["modules"].values():
        readers = _readers(module)
        for cell in module["cells"].values():
            if cell["type"] != CARRY_CELL:
                continue
            ports = cell["connections"]
            if ports.get("CIN", UNCONNECTED)[0] in CONSTANTS and _ignores_carry_in(cell, readers):
                carry_ins += ports.get("CIN", UNCONNECTED) != UNCONNECTED
                ports["CIN"] = UNCONNECTED
            if "COUT" in ports and ports["COUT"] != UNCONNECTED and not readers[ports["COUT"][0]]:
                carry_outs += 1
                ports["COUT"] = UNCONNECTED
    text = json.dumps(design, separators=(",", ":"))
    return Trimmed(netlist=text.encode(), carry_ins=carry_ins, carry_outs=carry_outs)


def _readers(module: dict[str, Any]) -> Counter[int | str]:
    """How many inputs of cells, or ports of the module, each net goes to."""
    readers: Counter[int | str] = Counter()
    for port in module["ports"].values():
        readers.update(port["bits"])
    for cell in module["cells"].values():
        for name, bits in cell["connections"].items():
            if cell["port_directions"][name] != "output":
                readers.update(bits)
    return readers


def _ignores_carry_in(cell: dict[str, Any], readers: Counter[int | str]) -> bool:
    """Whether the cell's first bit neither passes its carry-in on nor shows it.

    A lookup table of zeros passes no carry on and makes none. The carry is in the bit's sum unless ``INJECT1_0`` keeps
    it out.
    """
    parameters = cell["parameters"]
    if parameters["INIT0"].strip("0"):
        return False
    total = cell["connections"].get("S0", UNCONNECTED)[0]
    return parameters["INJECT1_0"] == "YES" or not readers[total]
