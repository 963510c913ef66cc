"""Cones of influence: which registers of a component the checks of a property depend on."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spikequant.cosim.formal.circuit import Circuit
from spikequant.cosim.formal.harness import TOP
from spikequant.cosim.yosys import run_yosys
from spikequant.golden.support.figures import Figures

WHOLE, INSIDE = "whole.json", "inside.json"

SCRIPT = f"""\
memory_collect
simplemap
write_json {WHOLE}
delete t:$check r:FLAVOR=assume %i
opt_clean
write_json {INSIDE}
"""
"""Splits registers into bits; then Yosys removes all cells that no check depends on. Assumptions are no checks."""

HARNESS = "harness."


class Cone(Figures):
    """Share of a component that a property depends on.

    A bit outside of the cone can hold anything without any effect on the property. A memory is inside as a whole, or
    outside; the register at its read port is not counted.

    Attributes:
        bits: bits of the component's registers and memories.
        inside: those that the checks depend on, in the same cycle or over any number of cycles.
        outside: names of registers and memories with bits that are not inside.
    """

    bits: int
    inside: int
    outside: list[str]

    @property
    def share(self) -> float:
        """Bits inside over all bits, 0..1; 1 for a component without registers."""
        return self.inside / self.bits if self.bits else 1.0


def measure_cone(circuit: Circuit, program: str, folder: Path) -> Cone:
    """Measure the cone of influence of a harness's checks.

    Args:
        circuit: made by ``around``.
        program: path of Yosys.
        folder: working directory, which holds the circuit's files.

    Raises:
        YosysError: Yosys failed.
    """
    *commands, _optimization = circuit.commands
    run_yosys(program, "\n".join([*commands, SCRIPT]), folder)
    whole = _registers(folder / WHOLE)
    inside = whole.keys() & _registers(folder / INSIDE).keys()
    return Cone(
        bits=sum(register.bits for register in whole.values()),
        inside=sum(whole[cell].bits for cell in inside),
        outside=sorted({whole[cell].name for cell in whole.keys() - inside}),
    )


@dataclass(frozen=True)
class _Register:
    """A bit of a register, or a memory."""

    name: str
    bits: int


def _registers(path: Path) -> dict[str, _Register]:
    """Registers and memories in submodules of the harness, by the name of the cell."""
    module = json.loads(path.read_text(encoding="utf-8"))["modules"][TOP]
    names: dict[Any, str] = {}
    for name, net in module["netnames"].items():
        inner = _inner(name)
        for bit in net["bits"] if inner else ():
            names[bit] = min(inner, names.get(bit, inner), key=len)
    registers = {}
    for cell, content in module["cells"].items():
        if content["type"] == "$mem_v2":
            parameters = content["parameters"]
            inner = _inner(parameters["MEMID"].removeprefix("\\"))
            if inner:
                bits = int(parameters["SIZE"], 2) * int(parameters["WIDTH"], 2)
                registers[cell] = _Register(inner, bits)
        elif output := content["connections"].get("Q"):
            inner = names.get(output[0], "")
            if inner:
                registers[cell] = _Register(inner, 1)
    return registers


def _inner(name: str) -> str:
    """Return a name in a submodule of the harness, without the harness; nothing for other names."""
    inner = name.removeprefix(HARNESS)
    return inner if inner != name and "." in inner else ""
