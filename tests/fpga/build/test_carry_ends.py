"""A carry chain through the real tools, with its ends and without."""

import json
from pathlib import Path
from typing import Any

import pytest

from spikequant.fpga.build.build import FLATTEN
from spikequant.fpga.build.carry_ends import trim_carry_ends
from spikequant.fpga.build.report import read_packed_resources
from spikequant.fpga.toolchain import CONSOLE, ToolError, ToolRun, find_tool, run_tool

CELL = """CCU2C #(.INIT0({init}), .INIT1(16'h96AA), .INJECT1_0("{inject}"), .INJECT1_1("NO")) {name} (
    .CIN({carry_in}), .COUT({carry_out}), .B0(1'b0), .B1(1'b0), .D0(1'b1), .D1(1'b1),
    .A0(a[{low}]), .C0(b[{low}]), .S0({first}), .A1(a[{high}]), .C1(b[{high}]), .S1(s[{high}]));
"""


def chain(
    *, init: str = "16'h0000", inject: str = "YES", carry_in: str = "1'b0", first: str = "", last: str = "x"
) -> bytes:
    """A chain of two cells, with the given first bit; ``first`` is its sum, and ``last`` the last carry."""
    cells = [
        CELL.format(name="c0", init=init, inject=inject, carry_in=carry_in, carry_out="c", low=0, high=1, first=first),
        CELL.format(name="c1", init="16'h96AA", inject="NO", carry_in="c", carry_out=last, low=2, high=3, first="s[2]"),
    ]
    ports = "input [3:0] a, input [3:0] b, output [3:0] s, output carry"
    return f"module top({ports}); wire c, x; {''.join(cells)} endmodule\n".encode()


def synthesized(source: bytes, cache: Path) -> bytes:
    script = f"read_verilog -lib +/ecp5/cells_sim.v +/ecp5/cells_bb.v; read_verilog top.v; {FLATTEN}; "
    arguments = ["-q", "-p", f"{script} synth_ecp5 -top top -json top.json"]
    run = ToolRun(find_tool("yosys"), arguments, {"top.v": source}, ("top.json",))
    return (run_tool(run, cache=cache) / "top.json").read_bytes()


def packed_luts(netlist: bytes, cache: Path) -> int:
    """Number of TRELLIS_COMB cells after nextpnr's packer."""
    options = ["--25k", "--package", "CABGA381", "--lpf-allow-unconstrained", "--pack-only"]
    run = ToolRun(find_tool("nextpnr-ecp5"), ["--json", "top.json", *options], {"top.json": netlist}, ())
    return read_packed_resources((run_tool(run, cache=cache) / CONSOLE).read_text()).luts


def alone(netlist: bytes, name: str, *, carry_in: str) -> bytes:
    """Only the top module, under another name, with ``carry_in`` where a carry-in is open and no output open."""
    design: dict[str, Any] = json.loads(netlist)
    top = design["modules"]["top"]
    del top["attributes"]["top"]
    for cell in top["cells"].values():
        if cell["type"] == "CCU2C":
            connections = cell["connections"]
            connections["CIN"] = [carry_in] if connections["CIN"] == ["x"] else connections["CIN"]
            cell["connections"] = {port: bits for port, bits in connections.items() if bits != ["x"]}
    return json.dumps({"creator": design["creator"], "modules": {name: top}}).encode()


def prove_equal(gold: bytes, gate: bytes, cache: Path) -> None:
    """By a solver, with Yosys' own models of the cells.

    Raises:
        ToolError: they differ.
    """
    script = (
        "read_json gold.json; read_json gate.json; read_verilog -DNO_INCLUDES +/ecp5/cells_sim.v; "
        "hierarchy; proc; flatten; "
        "miter -equiv -flatten gold gate miter; hierarchy -top miter; opt -full; sat -verify -prove trigger 0 miter"
    )
    run = ToolRun(find_tool("yosys"), ["-q", "-p", script], {"gold.json": gold, "gate.json": gate}, ())
    run_tool(run, cache=cache)


FREE = {
    "plain": chain(),
    "carry-in 1": chain(carry_in="1'b1"),
    "unseen sum": chain(inject="NO"),
    "sum": chain(first="s[0]"),
}
"""Chains of which both ends can go."""

SEEN_CARRY = chain(last="carry")

PASSED_ON = chain(init="16'h96AA")
"""A chain whose first bit passes its carry-in on."""


@pytest.mark.parametrize("name", FREE)
def test_ends_without_a_meaning_cost_two_luts_each(name: str, build_cache: Path) -> None:
    netlist = synthesized(FREE[name], build_cache)
    trimmed = trim_carry_ends(netlist)
    assert (trimmed.carry_ins, trimmed.carry_outs) == (1, 1)
    assert packed_luts(netlist, build_cache) - packed_luts(trimmed.netlist, build_cache) == 4


def test_a_carry_out_that_is_read_stays(build_cache: Path) -> None:
    netlist = synthesized(SEEN_CARRY, build_cache)
    trimmed = trim_carry_ends(netlist)
    assert (trimmed.carry_ins, trimmed.carry_outs) == (1, 0)
    assert packed_luts(netlist, build_cache) - packed_luts(trimmed.netlist, build_cache) == 2


def test_a_carry_in_that_is_passed_on_stays(build_cache: Path) -> None:
    trimmed = trim_carry_ends(synthesized(PASSED_ON, build_cache))
    assert (trimmed.carry_ins, trimmed.carry_outs) == (0, 1)


@pytest.mark.parametrize(("inject", "free"), [("NO", 0), ("YES", 1)])
def test_a_carry_in_that_a_sum_shows_stays(inject: str, free: int, build_cache: Path) -> None:
    design = json.loads(synthesized(chain(inject=inject), build_cache))
    top = design["modules"]["top"]
    (first,) = (
        cell for cell in top["cells"].values() if cell["type"] == "CCU2C" and cell["connections"]["CIN"] == ["0"]
    )
    # Yosys itself would see that the sum is constant
    top["ports"]["s"]["bits"][0] = first["connections"]["S0"][0]
    assert trim_carry_ends(json.dumps(design).encode()).carry_ins == free


@pytest.mark.parametrize("carry_in", ["0", "1"])
@pytest.mark.parametrize("source", [*FREE.values(), SEEN_CARRY], ids=[*FREE, "seen carry"])
def test_the_function_stays_whatever_an_open_carry_in_is(source: bytes, carry_in: str, build_cache: Path) -> None:
    netlist = synthesized(source, build_cache)
    trimmed = trim_carry_ends(netlist).netlist
    prove_equal(alone(netlist, "gold", carry_in="0"), alone(trimmed, "gate", carry_in=carry_in), build_cache)


def test_the_proof_finds_a_carry_in_that_counts(build_cache: Path) -> None:
    netlist = synthesized(PASSED_ON, build_cache)
    gold = alone(netlist, "gold", carry_in="0")
    other = alone(netlist, "gate", carry_in="0").replace(b'"CIN": ["0"]', b'"CIN": ["1"]')
    assert other.count(b'"CIN": ["1"]') == 1
    with pytest.raises(ToolError, match="proof did fail"):
        prove_equal(gold, other, build_cache)


def test_trimming_again_changes_nothing(build_cache: Path) -> None:
    trimmed = trim_carry_ends(synthesized(chain(), build_cache))
    again = trim_carry_ends(trimmed.netlist)
    assert (again.netlist, again.carry_ins, again.carry_outs) == (trimmed.netlist, 0, 0)
