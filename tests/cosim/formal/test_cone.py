"""Cones of influence of properties."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from amaranth.hdl import Elaboratable, Module, Signal
from amaranth.lib.memory import Memory

from spikequant.cosim.formal.circuit import around
from spikequant.cosim.formal.cone import measure_cone
from spikequant.cosim.formal.harness import Harness, anything, check, suppose
from spikequant.cosim.formal.prove import find_tools


class Parts(Elaboratable):
    """Two chains of registers of 3 bits each, of which the second reads a memory of 4 rows of 8 bits."""

    def __init__(self) -> None:
        self.i = Signal(2)
        self.o = Signal(3)
        self.read = Signal(3)

    def elaborate(self, _platform: object) -> Module:
        m = Module()
        m.submodules.memory = memory = Memory(shape=8, depth=4, init=[])
        port = memory.read_port()
        early = Signal(3)
        m.d.comb += port.addr.eq(self.i)
        m.d.sync += [early.eq(self.i), self.o.eq(early), self.read.eq(port.data)]
        return m


class Watching(Harness):
    """Checks or assumes something about some outputs."""

    def __init__(self, watched: Callable[[Parts], Signal], supposed: Callable[[Parts], Signal] | None = None) -> None:
        self._watched = watched
        self._supposed = supposed

    def describe(self, m: Module) -> None:
        m.submodules.component = parts = Parts()
        own = Signal(20)  # of the check, not of the component
        m.d.sync += own.eq(own + 1)
        m.d.comb += parts.i.eq(anything(m, 2, "input"))
        check(m, self._watched(parts).any() | (own == 3), "what is watched")
        if self._supposed:
            suppose(m, self._supposed(parts).any())


@pytest.mark.parametrize(
    ("harness", "inside", "outside"),
    [
        (Watching(lambda parts: parts.o), 6, {"component.read", "component.memory"}),
        # the highest bit of a register alone
        (Watching(lambda parts: parts.o[2]), 2, {"component.o", "component.early", "component.read"}),
        (Watching(lambda parts: parts.read), 3 + 32, {"component.o", "component.early"}),
        # an assumption restricts the proof, but is not proved
        (Watching(lambda parts: parts.o, lambda parts: parts.read), 6, {"component.read"}),
    ],
)
def test_the_cone_is_what_the_checks_depend_on(
    harness: Harness, inside: int, outside: set[str], tmp_path: Path
) -> None:
    circuit = around(partial(lambda made: made, harness))
    for name, text in circuit.files.items():
        (tmp_path / name).write_text(text)
    cone = measure_cone(circuit, find_tools().path("yosys"), tmp_path)
    assert (cone.bits, cone.inside) == (3 + 3 + 3 + 32, inside)
    assert outside <= {name.removesuffix(".rows") for name in cone.outside}
