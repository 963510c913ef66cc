"""Conversion of nextpnr's netlist for simulation.

nextpnr moves constants from pins to parameters, and an open pin has the fabric's default value. Both are put back on
the pins here, and block RAMs and pads get the names and pins of the models.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

from spikequant.fpga.toolchain import ToolError

Cell = dict[str, Any]

COMB_INPUTS = ("A", "B", "C", "D")
"""Inputs of a lookup table, which are high when open."""

BLOCK_CONTROLS = (
    *("CLKA", "CLKB", "RSTA", "RSTB", "WEA", "WEB", "CEA", "CEB", "OCEA", "OCEB"),
    *(f"CS{port}{pin}" for port in "AB" for pin in range(3)),
)
"""Pins of a block RAM that are high when open, or low if inverted."""

WIDEST = 36
"""Row width of a block RAM with one write port and one read port."""

WIDE_PINS: Mapping[str, str] = {
    **{f"ADA{pin}": f"BE{pin}" for pin in range(4)},
    **{f"ADA{pin + 5}": f"ADW{pin}" for pin in range(9)},
    **{f"ADB{pin}": f"ADR{pin}" for pin in range(14)},
    **{f"DIA{pin}": f"DI{pin}" for pin in range(18)},
    **{f"DIB{pin}": f"DI{pin + 18}" for pin in range(18)},
    **{f"DOA{pin}": f"DO{pin + 18}" for pin in range(18)},
    **{f"DOB{pin}": f"DO{pin}" for pin in range(18)},
    **{f"CSA{pin}": f"CSW{pin}" for pin in range(3)},
    **{f"CSB{pin}": f"CSR{pin}" for pin in range(3)},
    **{"CLKA": "CLKW", "CLKB": "CLKR", "CEA": "CEW", "CEB": "CER", "OCEB": "OCER", "RSTA": "RST"},
}
"""Pins of such a block RAM by their names at a block RAM with two ports."""

WIDE_PARAMETERS: Mapping[str, str] = {
    "DATA_WIDTH_A": "DATA_WIDTH_W",
    "DATA_WIDTH_B": "DATA_WIDTH_R",
    "CSDECODE_A": "CSDECODE_W",
    "CSDECODE_B": "CSDECODE_R",
    "REGMODE_B": "REGMODE",
    "RESETMODE": "RESETMODE",
    "GSR": "GSR",
}


def _parameter(cell: Cell, name: str, default: str = "") -> str:
    """A parameter as text; Yosys puts a space after one that looks like bits."""
    return str(cell["parameters"].get(name, default)).strip()


def _refuse(name: str, cell: Cell, what: str) -> ToolError:
    return ToolError(f"routed netlist, {cell['type']} {name}: {what} is not modelled", console="")


def _open(cell: Cell, pin: str) -> bool:
    return not cell["connections"].get(pin)


def _comb(name: str, cell: Cell) -> None:
    for pin in COMB_INPUTS:
        if _open(cell, pin):
            cell["connections"][pin] = ["1"]
    for parameter, usual in (("WREMUX", "WRE"), ("WCKMUX", "WCK")):
        if _parameter(cell, parameter, usual) != usual:
            raise _refuse(name, cell, parameter)
    wide = not _open(cell, "FXA")
    kept = {key: value for key, value in cell["parameters"].items() if key in ("MODE", "INITVAL", "CCU2_INJECT1")}
    cell["parameters"] = {**kept, "WIDE": f"{int(wide):032b}"}
    for pin in ("DI0", "DI1"):
        cell["connections"].pop(pin, None)


def _flip_flop(name: str, cell: Cell) -> None:
    # the input is pin M, or else the output of the lookup table
    if _parameter(cell, "SD", "1") == "0":
        cell["connections"]["DI"] = cell["connections"].pop("M")
    else:
        cell["connections"].pop("M", None)
    if _open(cell, "LSR"):
        cell["connections"]["LSR"] = ["0"]
        if _parameter(cell, "LSRMUX", "LSR") != "LSR":
            raise _refuse(name, cell, "LSRMUX")
    enable = _parameter(cell, "CEMUX", "CE")
    if _open(cell, "CE"):
        if enable not in ("0", "1"):
            raise _refuse(name, cell, "an open CE")
        cell["connections"]["CE"] = [enable]
        cell["parameters"]["CEMUX"] = "CE"
    cell["parameters"].pop("SD", None)


def _block_pin(name: str, cell: Cell, pin: str) -> None:
    """Set an input of a block RAM to its net, or to the constant of its multiplexer."""
    chosen = _parameter(cell, f"{pin}MUX", pin)
    if pin in BLOCK_CONTROLS:
        if chosen not in (pin, "INV"):
            raise _refuse(name, cell, f"{pin}MUX {chosen}")
        constant = "0" if chosen == "INV" else "1"
    else:
        # an open data or address pin without a constant has no effect
        constant = chosen if chosen in ("0", "1") else "0"
    if _open(cell, pin):
        cell["connections"][pin] = [constant]
    elif chosen != pin:
        raise _refuse(name, cell, f"{pin}MUX {chosen} with a net")


def _block_ram(name: str, cell: Cell) -> None:
    for pin, direction in cell["port_directions"].items():
        if direction == "input":
            _block_pin(name, cell, pin)
    parameters = {key: value for key, value in cell["parameters"].items() if not key.endswith("MUX")}
    cell["parameters"] = parameters
    if int(str(parameters["DATA_WIDTH_A"]), 2) != WIDEST:
        return
    unknown = set(parameters) - set(WIDE_PARAMETERS) - {"REGMODE_A"}
    if unknown:
        raise _refuse(name, cell, min(unknown))
    cell["type"] = "PDPW16KD"
    cell["parameters"] = {WIDE_PARAMETERS[key]: parameters[key] for key in parameters if key in WIDE_PARAMETERS}
    for group in ("connections", "port_directions"):
        cell[group] = {WIDE_PINS[pin]: value for pin, value in cell[group].items() if pin in WIDE_PINS}


def _pad(name: str, cell: Cell) -> None:
    direction = _parameter(cell, "DIR")
    pins = {"INPUT": {"B": "input", "O": "output"}, "OUTPUT": {"I": "input", "B": "output"}}.get(direction)
    if pins is None or not _open(cell, "T"):
        raise _refuse(name, cell, f"DIR {direction}")
    cell["type"] = "PAD_IN" if direction == "INPUT" else "PAD_OUT"
    cell["parameters"] = {}
    cell["port_directions"] = pins
    cell["connections"] = {pin: cell["connections"][pin] for pin in pins}


def _clock_buffer(_name: str, cell: Cell) -> None:
    if _open(cell, "CE"):
        cell["connections"]["CE"] = ["1"]


RULES: Mapping[str, Callable[[str, Cell], None]] = {
    "TRELLIS_COMB": _comb,
    "TRELLIS_RAMW": lambda _name, _cell: None,
    "TRELLIS_FF": _flip_flop,
    "DP16KD": _block_ram,
    "TRELLIS_IO": _pad,
    "DCCA": _clock_buffer,
}
"""Conversion of each type of cell; other types are refused."""


def spell_out(routed: bytes) -> bytes:
    """Convert a routed netlist, JSON of nextpnr's ``--write``, to the cells of ``routed.v`` and of Yosys' models.

    Raises:
        ToolError: a cell or a setting without a model.
    """
    design = json.loads(routed)
    for module in design["modules"].values():
        for name, cell in module["cells"].items():
            if cell["type"] not in RULES:
                raise _refuse(name, cell, "the cell")
            RULES[cell["type"]](name, cell)
            cell["attributes"] = {}
    return json.dumps(design, separators=(",", ":")).encode()
