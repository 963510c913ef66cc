"""Runs on disturbed lines."""

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from spikequant.fpga.virtual.line_faults import TRIALS
from spikequant.gen.commands.line_faults import line_faults
from spikequant.golden.layer.random_layers import random_vectors
from spikequant.golden.layer.spec import Spec
from spikequant.golden.layer.vectors import save_vectors
from spikequant.golden.support.errors import InputError


def run(*arguments: object) -> Result:
    app = typer.Typer()
    app.command()(line_faults)
    return CliRunner().invoke(app, list(map(str, arguments)))


@pytest.fixture
def options(tmp_path: Path, small: Spec) -> list[object]:
    config = tmp_path / "small.toml"
    changed = {"neurons", "lanes", "depth", "membrane_slots"}
    config.write_text("".join(f"{name} = {value}\n" for name, value in small.model_dump(include=changed).items()))
    vectors = random_vectors(small, outputs=40, inputs=60, tokens=30, wide=5, max_shift=2, seed=4)
    save_vectors(tmp_path / "in.npz", vectors)
    return ["--config", config, "--vectors", tmp_path / "in.npz"]


@pytest.mark.usefixtures("board_program")
def test_nothing_wrong_comes_through(tmp_path: Path, options: list[object], build_cache: Path) -> None:
    result = run(*options, "--cache", build_cache, "--json", tmp_path / "result.json")
    assert result.exit_code == 0, result.output
    figures = json.loads((tmp_path / "result.json").read_text())
    assert figures["ok"]
    trials = figures["trials"]
    assert len(trials) == len(TRIALS)
    assert [trial["ok"] for trial in trials] == [True] * len(TRIALS)
    *complete, gone = trials
    assert all(trial["verdict"]["outputs"] == 40 * 30 and not trial["reason"] for trial in complete)
    assert gone["verdict"] is None
    assert "lost, and not back within 2 s" in gone["reason"]
    assert gone["reason"] in result.stdout
    assert [trial["health"]["reopened"] > 0 for trial in complete] == [False, False, False, True, False]


def test_bad_input_is_one_line(options: list[object]) -> None:
    for arguments, expected in (
        ([*options, "--trial", "eaten"], "line-faults: unknown trial 'eaten', expected some of undisturbed, corrupted"),
        ([], "line-faults: expected either --vectors IN.npz, or --checkpoint DIR with --layer NAME"),
    ):
        result = run(*arguments)
        assert isinstance(result.exception, InputError)
        assert str(result.exception).startswith(expected)
