"""Netlists of the accelerator: one package makes them, another one simulates them and compares them with the design."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from spikequant.golden.layer.spec import Spec

Stage = Literal["synth", "route"]
"""How far a netlist has come: its cells are chosen, or they have their places on a device."""


@dataclass(frozen=True)
class Synthesis:
    """What went into synthesis, what came out, and what the cells of both are.

    Attributes:
        top: name of the one module that counts.
        design: RTLIL of the accelerator for the device, with the cells that it names itself.
        flatten: Yosys commands that synthesis begins with.
        netlist: what synthesis gave, as Yosys's JSON.
        cells: Verilog by file name, of which cells there are.
        models: Verilog by file name, of what those do that are logic.
    """

    top: str
    design: str
    flatten: str
    netlist: str
    cells: Mapping[str, str]
    models: Mapping[str, str]


@dataclass(frozen=True)
class NetlistMaker:
    """Makes netlists; both may end the program with a line on stderr where a tool fails.

    Attributes:
        verilog: a netlist and the models of its cells, texts by file name.
        synthesis: a netlist beside its design.
    """

    verilog: Callable[[Spec, Stage], Mapping[str, str]]
    synthesis: Callable[[Spec], Synthesis]
