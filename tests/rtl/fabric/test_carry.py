"""Each primitive form is proved equal to its portable twin, for all inputs, with the vendor's models of the cells."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from amaranth.back import verilog
from amaranth.hdl import Module
from amaranth.lib.wiring import Component, In, Out
from amaranth_boards.ulx3s import ULX3S_85F_Platform

from spikequant.cosim.formal.fabric import CIRCUITS, SideBySide
from spikequant.fpga.toolchain import find_tool
from spikequant.rtl.fabric import on_ecp5
from spikequant.rtl.fabric.registers import Replica
from support.equal_forms import proof, text_of


@pytest.mark.parametrize("circuit", CIRCUITS.values(), ids=CIRCUITS.keys())
def test_primitives_and_their_twins_are_equal(circuit: Callable[[], Component], tmp_path: Path) -> None:
    text = text_of(circuit)
    assert "CCU2C" in text
    done = proof(text, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("circuit", "table"),
    [
        ("4 sums of 4", "6996"),
        ("accumulator of 7", "663c"),
        ("add or subtract 6", "6996"),
        ("gated difference of 6", "95aa"),
        ("choosing adder of 7", "569a"),
        ("joined add or subtract 6", "9996"),
    ],
)
def test_a_wrong_table_does_not_pass(circuit: str, table: str, tmp_path: Path) -> None:
    text = text_of(CIRCUITS[circuit])
    assert table in text
    done = proof(text.replace(table, table[:-1] + "0", 1), tmp_path)
    assert done.returncode != 0
    assert "proof did fail" in done.stdout + done.stderr


def test_only_an_ecp5_has_them() -> None:
    assert on_ecp5(ULX3S_85F_Platform())
    assert not on_ecp5(None)
    portable = verilog.convert(SideBySide(CIRCUITS["4 sums of 4"]), name="both", platform=None)
    assert "CCU2C" not in portable


INDUCTION = "-tempinduct -seq 2"
"""Forms with a register behind each output never differ once they hold the same."""


@pytest.mark.parametrize("init", [None, 0b0110])
def test_registers_of_their_own_are_registers(init: int | None, tmp_path: Path) -> None:
    text = text_of(lambda: Replica(4, init=init))
    assert text.count("TRELLIS_FF #(") == 4
    done = proof(text, tmp_path, INDUCTION)
    assert done.returncode == 0, done.stdout + done.stderr
    if init is not None:
        wrong = proof(text.replace('"SET"', '"RESET"', 1), tmp_path, INDUCTION)
        assert "proof did fail" in wrong.stdout + wrong.stderr


class EqualRegisters(Component):
    """Registers that hold the same, each with its own output."""

    def __init__(self, count: int) -> None:
        self._count = count
        super().__init__({"i": In(1), "o": Out(count)})

    def elaborate(self, _platform: object) -> Module:
        m = Module()
        for number in range(self._count):
            m.submodules[f"copy_{number}"] = copy = Replica(1)
            m.d.comb += [copy.i.eq(self.i), self.o[number].eq(copy.o)]
        return m


def test_synthesis_leaves_equal_registers_alone(tmp_path: Path) -> None:
    (tmp_path / "copies.v").write_text(
        verilog.convert(EqualRegisters(5), name="copies", platform=ULX3S_85F_Platform(), strip_internal_attrs=True)
    )
    script = "read_verilog copies.v; synth_ecp5 -top copies; select -assert-count 5 t:TRELLIS_FF"
    command = [str(find_tool("yosys").path), "-q", "-p", script]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
