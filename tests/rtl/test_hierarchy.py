"""Modules by kind of component: shared where they are equal, equal in behaviour to those of each instance."""

from collections.abc import Callable
from pathlib import Path

import pytest
from amaranth.back import verilog
from amaranth.hdl import Module, Signal, Value
from amaranth.lib.wiring import Component, In, Out

from spikequant.cosim.yosys import run_yosys
from spikequant.fpga.build.build import find_tools
from spikequant.golden.layer.spec import Spec
from spikequant.rtl.charge_buffer import ChargeBuffer
from spikequant.rtl.fabric.memory import PairMemory
from spikequant.rtl.hierarchy import kinds_of
from spikequant.rtl.integrator import IntegratorGroup
from spikequant.rtl.verilog import write_modules


class Counter(Component):
    """Counts by a step."""

    def __init__(self, bits: int) -> None:
        super().__init__({"step": In(bits), "count": Out(bits), "is_zero": Out(1)})

    def elaborate(self, _platform: object) -> Module:
        m = Module()
        total = Signal.like(self.count)
        m.d.sync += total.eq(total + self.step)
        m.d.comb += [self.count.eq(total), self.is_zero.eq(total == 0)]
        return m


class Counters(Component):
    """Two counters of one kind, one by a constant and one with an unused output, and one of another width."""

    def __init__(self) -> None:
        super().__init__({"sum": Out(8), "step": In(4)})

    def elaborate(self, _platform: object) -> Module:
        m = Module()
        m.submodules.one, m.submodules.two, m.submodules.wide = one, two, wide = Counter(4), Counter(4), Counter(5)
        m.d.comb += [one.step.eq(1), two.step.eq(self.step), wide.step.eq(one.is_zero)]
        m.d.comb += self.sum.eq(one.count + two.count + wide.count)
        return m


def test_equal_components_are_one_module() -> None:
    kinds = kinds_of(Counters(), name="top", platform=None)
    assert [kind.module for kind in kinds] == ["top", "top_counter_2", "top_counter"]
    assert [kind.summary for kind in kinds[1:]] == ["Counts by a step."] * 2
    assert kinds[0].text.count("cell \\top_counter ") == 2


def test_wires_have_the_names_of_signals_and_of_instances() -> None:
    top, wide, narrow = write_modules(Counters(), name="top")
    assert "top_counter one (" in top
    assert ".step(4'h1)" in top
    assert ".count(one_count)" in top
    assert "total" not in top
    assert "  always @(posedge clk) begin\n" in narrow
    assert "module top_counter_2(clk, rst, step, count, is_zero);" in wide
    assert "\\" not in "".join([top, wide, narrow])


def test_a_module_has_only_the_controls_that_it_uses() -> None:
    text = "".join(write_modules(PairMemory(bits=4, depth=16), name="top"))
    assert "module top(clk, address, write_data, write_enable, \\output );" in text


@pytest.mark.parametrize("rows", [0, 1])
def test_of_contents_without_a_one_only_the_rows_that_matter_are_left(rows: int) -> None:
    text = "".join(write_modules(PairMemory(bits=4, depth=16, zero_rows=rows), name="top"))
    assert text.count("rows[0] = ") == rows
    assert "rows[1] = " not in text


SMALL = Spec(neurons=8, lanes=2, depth=16, membrane_slots=2, score_words=64)

COMPONENTS: dict[str, Callable[[], Component]] = {
    "counters": Counters,
    "charge buffer": lambda: ChargeBuffer(SMALL),
    "integrators": lambda: IntegratorGroup(SMALL, 2),
}


@pytest.mark.parametrize("name", COMPONENTS)
def test_modules_are_proved_equal_to_those_of_each_instance(name: str, tmp_path: Path) -> None:
    """Yosys pairs the registers of both by their values, and proves that they stay equal."""
    gold = COMPONENTS[name]()
    ports = {
        signal.name: (signal, None) for _, _, value in gold.signature.flatten(gold) for signal in [Value.cast(value)]
    }
    (tmp_path / "gold.v").write_text(verilog.convert(gold, name="gold", ports=ports, emit_src=False))
    (tmp_path / "gate.v").write_text("".join(write_modules(COMPONENTS[name](), name="gate")))
    script = "".join(
        f"read_verilog {side}.v\nhierarchy -check -top {side}\nproc\nflatten\nmemory_map\nopt_clean\n"
        f"design -stash {side}\n"
        for side in ("gold", "gate")
    )
    script += (
        "design -copy-from gold gold\ndesign -copy-from gate gate\nequiv_make gold gate equal\nhierarchy -top equal\n"
        "equiv_simple -undef\nequiv_induct -undef\nequiv_status -assert\n"
    )
    run_yosys(str(find_tools().yosys.path), script, tmp_path)
