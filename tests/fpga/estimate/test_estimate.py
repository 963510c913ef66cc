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
from spikequant.golden.support.errors import InputError
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


def test_a_board_takes_more_than_its_accelerator() -> None:
    measured = load_measured()
    found = estimate(Spec(), measured)
    board, with_memory = (found.on_board(memory=memory) for memory in (False, True))
    for name in ("luts", "ffs", "ebrs"):
        line = getattr(board, name) - getattr(found, name)
        assert line == round(measured.around[name].line)
        assert getattr(with_memory, name) - getattr(board, name) == pytest.approx(measured.around[name].memory, abs=1)
    assert board.luts > found.luts + 1000


def test_designs_on_boards_are_within_the_error() -> None:
    measured = load_measured()
    assert {one.memory is None for one in measured.boards} == {True, False}
    for one in measured.boards:
        board = estimate(measured.designs[one.design].spec, measured).on_board(memory=one.memory is not None)
        assert board.luts == pytest.approx(one.luts, rel=measured.errors["luts"])
        assert board.ffs == pytest.approx(one.ffs, rel=measured.errors["ffs"])
        assert board.ebrs == one.ebrs


def test_settings_beyond_the_measured_ones_have_no_known_error(tmp_path: Path) -> None:
    config, file = tmp_path / "other.toml", tmp_path / "figures.json"
    config.write_text('weight_bits = 8\nreadout = "ramp"\noutput_bits = 5\n')
    result = run("--config", config, "--json", file)
    assert result.exit_code == 0, result.output
    assert "up to" not in result.stdout
    assert result.stdout.count("not known") == 5
    figures = json.loads(file.read_text())
    assert figures["outside"] == ["weight_bits 8 (4)", "readout ramp (halving)"]
    large = estimate(Spec(neurons=128, lanes=8, depth=4088), load_measured())
    assert large.outside == ("1024 weight-ops a cycle (at most 512)",)


def test_a_memory_needs_a_board_that_has_one(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    result = run("--board", "ulx3s_25f", "--memory", "AS4C16M16SA-7", "--json", file)
    assert result.exit_code == 0, result.output
    figures = json.loads(file.read_text())
    assert figures["memory"] == "AS4C16M16SA-7"
    assert figures["ebrs"] == figures["accelerator"]["ebrs"] + 5
    result = run("--board", "ecpix5_45f", "--memory", "AS4C16M16SA-7")
    assert isinstance(result.exception, InputError)
    assert str(result.exception).startswith("board: ecpix5_45f has no SDR SDRAM")


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
