"""Memories against plain lists, and block RAMs against their portable twins on the same random traffic."""

import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from amaranth.back import verilog
from amaranth.hdl import Cat, Const, Fragment, Module, Mux, Signal, Value
from amaranth.lib.wiring import Component, In, Out
from amaranth_boards.ulx3s import ULX3S_85F_Platform

from spikequant.cosim.simulator.verilator import tool_environment
from spikequant.rtl.fabric import CELL_MODELS
from spikequant.rtl.fabric.memory import BlockMemory, PairMemory, block_rams
from spikequant.rtl.shapes import bits_for_index

SIZES = [(2, 1), (2, 70), (512, 36), (512, 41), (513, 18), (1024, 19), (1025, 20), (2048, 9), (2049, 3), (4096, 6)]
"""Depths and widths: the ends of each shape of block RAM, and widths that are no multiple of theirs."""

LATENCY = 2
"""From an address to its row."""

TRAFFIC = 20_000
"""Cycles of random traffic; every row of the deepest memory is then written a few times."""

NOISE_BITS = 128


@dataclass(frozen=True)
class Case:
    """A memory of either kind."""

    dual: bool
    depth: int
    bits: int

    def build(self) -> BlockMemory | PairMemory:
        if self.dual:
            return PairMemory(bits=self.bits, depth=self.depth)
        return BlockMemory(shape=self.bits, depth=self.depth)


def row_of(noise: Value, depth: int) -> Value:
    """An address below ``depth``: one of all rows, or one of a few at either end, so that rows meet often."""
    bits = bits_for_index(depth)
    any_row, few = noise[:bits], noise[bits : bits + 1]
    below = Mux(any_row >= depth, any_row - depth, any_row)
    return Mux(noise[14], below, Mux(noise[15], few, depth - 1 - few))[:bits]


class SideBySide(Component):
    """Both forms of a memory on the same traffic, which keeps the rules of the memory.

    ``differs`` where the outputs do, and ``seen`` where they had something to show.
    """

    def __init__(self, case: Case) -> None:
        self._case = case
        super().__init__({"noise": In(NOISE_BITS), "differs": Out(1), "seen": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        forms = [self._case.build(), self._case.build()]
        m.submodules.portable = Fragment.get(forms[0], None)
        m.submodules.primitive = Fragment.get(forms[1], platform)
        first, second = (row_of(self.noise[start : start + 16], self._case.depth) for start in (0, 16))
        data = self.noise[40:]
        # a row must not be read in the cycle in which it is written
        write = self.noise[32] & (first != second)
        outputs = [[Value.cast(form.output) for form in forms]]
        known = Signal(LATENCY)
        for form in forms:
            if self._case.dual:
                m.d.comb += [form.write_data.eq(data), form.write_enable.eq(write)]
                m.d.comb += [form.address[0].eq(first), form.address[1].eq(second)]
            else:
                m.d.comb += [
                    form.write.address.eq(first),
                    form.write.data.eq(data),
                    form.write.enable.eq(write),
                    form.address.eq(second),
                    form.read.eq(self.noise[33] | self.noise[34]),
                    form.advance.eq(self.noise[33] | self.noise[35]),
                ]
        if self._case.dual:
            # the port that writes has nothing to show
            m.d.sync += known.eq(Cat(~write, known))
            outputs = [[Value.cast(form.output[port]) for form in forms] for port in range(2)]
        else:
            m.d.comb += known.eq(-1)
        compared = [known[-1], Const(1)]
        m.d.comb += self.differs.eq(
            Cat(know & (one != other) for know, (one, other) in zip(compared, outputs, strict=False)).any()
        )
        m.d.sync += self.seen.eq(Cat(one.any() for one, _ in outputs).all())
        return m


class Bench(Component):
    """All cases side by side; a bit each."""

    def __init__(self, cases: Sequence[Case]) -> None:
        self._cases = cases
        super().__init__({"noise": In(NOISE_BITS), "differs": Out(len(cases)), "seen": Out(len(cases))})

    def elaborate(self, _platform: object) -> Module:
        m = Module()
        for index, case in enumerate(self._cases):
            m.submodules[f"case_{index}"] = both = SideBySide(case)
            m.d.comb += [
                both.noise.eq(self.noise),
                self.differs[index].eq(both.differs),
                self.seen[index].eq(both.seen),
            ]
        return m


DRIVER = """
module driver;
    reg clock = 0;
    reg [{noise}:0] noise = 0;
    wire [{last}:0] differs, seen;
    reg [{last}:0] differed = 0, saw = 0;
    bench bench (.clk(clock), .rst(1'b0), .noise(noise), .differs(differs), .seen(seen));
    integer cycle;
    initial begin
        for (cycle = 0; cycle < {cycles}; cycle = cycle + 1) begin
            #1 clock = 0;
            noise = {{{words}}};
            #1 differed = differed | differs;
            saw = saw | seen;
            clock = 1;
        end
        $display("differed %b saw %b", differed, saw);
        $finish;
    end
endmodule
"""


def write_bench(cases: Sequence[Case], folder: Path, *, old: str = "", new: str = "") -> None:
    """The Verilog of models, memories and driver; the models or the memories changed by a replacement."""
    models = (CELL_MODELS / "block_ram.v").read_text()
    design = verilog.convert(Bench(cases), name="bench", platform=ULX3S_85F_Platform(), strip_internal_attrs=True)
    text = models + design
    if old:
        assert old in text
        text = text.replace(old, new)
    words = ", ".join(["$urandom"] * (NOISE_BITS // 32))
    text += DRIVER.format(noise=NOISE_BITS - 1, last=len(cases) - 1, cycles=TRAFFIC, words=words)
    (folder / "bench.v").write_text(text)


def verilator(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    environment = tool_environment(delays=True)
    # compiling takes longer than running
    environment["MAKEFLAGS"] += " OPT_FAST=-O0 OPT_SLOW=-O0 OPT_GLOBAL=-O0"
    command = ["verilator", *options, "--timing", "--Mdir", ".", "--top-module", "driver", "--x-initial", "0"]
    command += ["-Wno-lint", "-Wno-style", "bench.v"]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=300
    )


def compare(folder: Path) -> tuple[str, str]:
    """Random traffic on both forms of memories.

    Returns:
        For each case, last one first, a 1 where the forms differed, and a 1 where they showed something.
    """
    built = verilator(folder, "--binary", "-o", "driver", "-j", "1")
    assert built.returncode == 0, built.stdout + built.stderr
    run = subprocess.run(
        ["./driver", "+verilator+seed+5"], cwd=folder, capture_output=True, text=True, check=True, timeout=300
    )
    _, differed, _, saw = next(line for line in run.stdout.splitlines() if line.startswith("differed")).split()
    return differed, saw


def test_block_rams_and_their_twins_are_equal(tmp_path: Path) -> None:
    cases = [Case(dual, depth, bits) for dual in (False, True) for depth, bits in SIZES]
    write_bench(cases, tmp_path)
    differed, saw = compare(tmp_path)
    assert [case for case, bit in zip(cases, reversed(differed), strict=True) if bit == "1"] == []
    assert saw == "1" * len(cases)


def test_a_difference_shows(tmp_path: Path) -> None:
    # upper bytes that are never written: only the first memory has them
    cases = [Case(True, 513, 18), Case(True, 513, 9), Case(False, 512, 36), Case(True, 2048, 9)]
    write_bench(cases, tmp_path, old="halves[1] ?", new="0 ?")
    assert compare(tmp_path)[0] == "0001"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('REGMODE("OUTREG")', 'REGMODE("NOREG")', "PDPW16KD: REGMODE"),
        ('REGMODE_A("OUTREG")', 'REGMODE_A("LATCH")', "DP16KD: REGMODE"),
        ('"NORMAL")', '"WRITETHROUGH")', "DP16KD: WRITEMODE"),
        ('CSDECODE_R("0b000")', 'CSDECODE_R("0b001")', "PDPW16KD: CSDECODE"),
        ("DATA_WIDTH_A(32'd9)", "DATA_WIDTH_A(32'd8)", "DP16KD: DATA_WIDTH_A"),
        ("DATA_WIDTH_B(32'd9)", "DATA_WIDTH_B(32'd18)", "DP16KD: different widths"),
    ],
)
def test_the_models_refuse_what_they_do_not_model(tmp_path: Path, old: str, new: str, message: str) -> None:
    write_bench([Case(False, 512, 36), Case(True, 2048, 9)], tmp_path, old=old, new=new)
    checked = verilator(tmp_path, "--lint-only")
    assert checked.returncode != 0
    assert f"{message} is not modelled" in checked.stderr or f"{message} are not modelled" in checked.stderr


def random_rows(rng: np.random.Generator, depth: int) -> list[int]:
    """Two of a few rows at either end."""
    near = rng.integers(0, min(depth, 5), 2)
    return [int(row if rng.random() < 0.5 else depth - 1 - row) for row in near]


@pytest.mark.parametrize(("depth", "bits"), [(2, 5), (13, 70), (513, 18)])
@pytest.mark.parametrize("distributed", [False, True])
def test_a_memory_is_a_list_whose_rows_come_two_cycles_later(
    play: Callable[..., Any], depth: int, bits: int, distributed: bool
) -> None:
    rng = np.random.default_rng(depth)
    rows, latch, output = [0] * depth, 0, 0
    frames, expected = [], []
    for _ in range(600):
        expected.append(output)
        write, read, advance = (int(value) for value in rng.random(3) < 0.7)
        here, there = random_rows(rng, depth)
        written = int.from_bytes(rng.bytes(12)) >> (96 - bits)
        write &= int(there != here)
        frames.append(
            {"write.address": there, "write.data": written, "write.enable": write}
            | {"address": here, "read": read, "advance": advance}
        )
        output, latch = latch if advance else output, rows[here] if read else latch
        if write:
            rows[there] = written
    memory = BlockMemory(shape=bits, depth=depth, distributed=distributed)
    assert [output for (output,) in play(memory, frames, ["output"])] == expected
    assert len(set(expected)) > 10


@pytest.mark.parametrize(("depth", "bits"), [(2, 5), (13, 70), (513, 18)])
def test_two_rows_come_at_once(play: Callable[..., Any], depth: int, bits: int) -> None:
    rng = np.random.default_rng(depth)
    rows = [0] * depth
    frames, expected = [], []
    for _ in range(600):
        address = random_rows(rng, depth)
        written = int.from_bytes(rng.bytes(12)) >> (96 - bits)
        write = int(rng.random() < 0.4 and address[0] != address[1])
        frames.append({"address": address, "write_data": written, "write_enable": write})
        expected.append([None if write else rows[address[0]], rows[address[1]]])
        if write:
            rows[address[0]] = written
    sampled = play(PairMemory(bits=bits, depth=depth), frames + [{}] * LATENCY, ["output"])[LATENCY:]
    for (found,), (first, second) in zip(sampled, expected, strict=True):
        assert found[1] == second
        assert first is None or found[0] == first


@pytest.mark.parametrize(
    ("bits", "depth", "dual", "expected"),
    [
        *((36, 512, False, 1), (37, 512, False, 2), (36, 512, True, 2), (18, 513, False, 1), (9, 2048, True, 1)),
        *((19, 1024, True, 2), (4, 4096, False, 1), (5, 4096, False, 2), (1, 16384, False, 1), (2, 16385, False, 4)),
    ],
)
def test_block_rams_of_a_memory(bits: int, depth: int, dual: bool, expected: int) -> None:
    assert block_rams(bits, depth, dual=dual) == expected
    if depth <= 16384:
        text = verilog.convert(Bench([Case(dual, depth, bits)]), name="bench", platform=ULX3S_85F_Platform())
        assert text.count("DP16KD #(") + text.count("PDPW16KD #(") == expected


def test_a_small_memory_of_lookup_tables_takes_no_block_ram() -> None:
    memory = BlockMemory(shape=36, depth=64, distributed=True)
    text = verilog.convert(memory, name="memory", platform=ULX3S_85F_Platform())
    assert "DP16KD" not in text
    assert "PDPW16KD" not in text
    assert 'ram_style = "distributed"' in text
