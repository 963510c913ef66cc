"""Figures before synthesis, against what they stand for."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from spikequant.fpga.build.build import STATISTICS, find_tools, synthesize
from spikequant.fpga.build.core import make_design
from spikequant.fpga.build.report import read_synthesis_report
from spikequant.fpga.estimate.estimate import estimate, estimate_ebrs
from spikequant.fpga.estimate.measurement import hardware_digest, load_measured
from spikequant.gen.cli import app
from spikequant.golden.layer.spec import PRESETS, Spec
from spikequant.rtl.accelerator import Accelerator


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["estimate", *map(str, arguments)])


def test_block_rams_are_those_of_the_netlist(build_cache: Path) -> None:
    spec = PRESETS["tiny"]
    design = make_design(lambda: Accelerator(spec), device="LFE5U-25F", frequency_hz=50e6)
    netlist = synthesize(design, find_tools(), cache=build_cache)
    assert estimate_ebrs(spec) == read_synthesis_report(netlist / STATISTICS).ebrs


def test_a_larger_array_takes_more_and_needs_fewer_cycles() -> None:
    small, large = (estimate(Spec(neurons=neurons), load_measured()) for neurons in (16, 64))
    assert small.luts < large.luts
    assert small.ebrs < large.ebrs
    assert small.cycles > 1.5 * large.cycles
    assert large.tokens_per_second(2 * large.cycles) == pytest.approx(2)


def test_what_is_larger_than_all_that_was_measured_is_told() -> None:
    measured = replace(load_measured(), largest=256, hardware=hardware_digest())
    assert estimate(Spec(), measured).notes == ()
    (note,) = estimate(Spec(neurons=72), measured).notes
    assert note == "larger than all that was measured (up to 256 weight-ops a cycle): errors may be too"
    (note,) = estimate(Spec(), replace(measured, hardware="other")).notes
    assert note.startswith("the hardware has changed since it was measured")


def test_the_command_tells_its_errors_and_whether_it_fits(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    result = run("--config", "base", "--board", "ulx3s_85f", "--frequency", 100, "--json", file)
    assert result.exit_code == 0, result.output
    assert result.stdout.count("up to") == 5
    figures = json.loads(file.read_text())
    assert figures["fits"]
    assert set(figures["errors"]) == {"luts", "ffs", "ebrs", "cycles"}
    assert figures["tokens_per_second"] == pytest.approx(100e6 / figures["cycles_per_token"])


def test_an_array_that_does_not_fit_is_a_failed_check(tmp_path: Path) -> None:
    config = tmp_path / "large.toml"
    config.write_text("neurons = 256\nlanes = 8\ndepth = 4088\n")
    result = run("--config", config, "--board", "ulx3s_25f")
    assert result.exit_code == 1
    assert "the LFE5U-25F will not hold it" in result.output
