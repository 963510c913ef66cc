"""Netlists of the accelerator: the stages of a netlist, and a synthesized netlist together with its design."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Stage = Literal["synth", "route"]
"""Stage of a netlist: synthesized, or placed and routed."""


@dataclass(frozen=True)
class Synthesis:
    """Input and output of a synthesis, and descriptions of the cells in both.

    Attributes:
        top: name of the module to compare.
        design: RTLIL of the accelerator for the device, with the cells that it instantiates itself.
        flatten: Yosys commands that start the synthesis.
        netlist: result, as Yosys's JSON.
        cells: Verilog declarations of all cells, by file name.
        models: Verilog models of the cells that are logic, by file name.
    """

    top: str
    design: str
    flatten: str
    netlist: str
    cells: Mapping[str, str]
    models: Mapping[str, str]
