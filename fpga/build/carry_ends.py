"""Removal of the lookup tables that the packer puts at the ends of carry chains.

nextpnr places a carry cell before a chain whose carry-in is a constant, and one after a chain whose carry-out has a
net, even if nothing reads that net: two lookup tables each. Disconnecting such ends in the netlist avoids both.
"""

import json
from collections import Counter
from dataclasses import dataclass
from typing import Any

CARRY_CELL = "CCU2C"

CONSTANTS = ("0", "1", "x")
"""Tied bits in a Yosys netlist; nets are integers."""

UNCONNECTED = ["x"]


@dataclass(frozen=True)
class Trimmed:
    """A netlist whose carry chains have free ends.

    Attributes:
        netlist: JSON of Yosys.
        carry_ins: number of disconnected constants.
        carry_outs: number of disconnected nets without a reader.
    """

    netlist: bytes
    carry_ins: int
    carry_outs: int


def trim_carry_ends(netlist: bytes) -> Trimmed:
    """Disconnect each unread carry-out, and each constant carry-in without effect.

    The netlist is JSON of Yosys' ``write_json``. The function of every module stays the same.
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
    """Number of cell inputs and module ports that each net goes to."""
    readers: Counter[int | str] = Counter()
    for port in module["ports"].values():
        readers.update(port["bits"])
    for cell in module["cells"].values():
        for name, bits in cell["connections"].items():
            if cell["port_directions"][name] != "output":
                readers.update(bits)
    return readers


def _ignores_carry_in(cell: dict[str, Any], readers: Counter[int | str]) -> bool:
    """Whether the carry-in affects neither the carry-out nor the sum of the cell's first bit.

    A lookup table of zeros neither propagates nor generates a carry. The carry is in the bit's sum unless
    ``INJECT1_0`` excludes it.
    """
    parameters = cell["parameters"]
    if parameters["INIT0"].strip("0"):
        return False
    total = cell["connections"].get("S0", UNCONNECTED)[0]
    return parameters["INJECT1_0"] == "YES" or not readers[total]
