"""Figures before synthesis, against what they stand for."""

import json
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


def test_a_design_larger_than_all_measured_ones_is_noted() -> None:
    measured = load_measured().model_copy(update={"largest": 256, "hardware": hardware_digest()})
    assert estimate(Spec(), measured).notes == ()
    (note,) = estimate(Spec(neurons=72), measured).notes
    assert note == "larger than all measured designs (at most 256 weight-ops a cycle): errors may be larger"
    (note,) = estimate(Spec(), measured.model_copy(update={"hardware": "other"})).notes
    assert note.startswith("the hardware has changed since the measurement")


def test_the_command_prints_its_errors_and_whether_it_fits(tmp_path: Path) -> None:
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
    assert "does not fit the LFE5U-25F" in result.output
