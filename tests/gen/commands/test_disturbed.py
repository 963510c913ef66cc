"""Runs on lines that are disturbed; it is here because the board takes its time to compile."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner, Result

from spikequant.cosim.scoreboard import Verdict
from spikequant.gen.commands.line_faults import TRIALS, Outcome, main, outcomes_table
from spikequant.golden.layer.random_layers import random_vectors
from spikequant.golden.layer.spec import Spec
from spikequant.golden.layer.vectors import save_vectors
from spikequant.golden.support.errors import InputError


def run(*arguments: object) -> Result:
    app = typer.Typer()
    app.command()(main)
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


def test_what_counts_as_right() -> None:
    right = Verdict(outputs=5, mismatches=0, saturated=0, first="")
    good = Outcome("it", right, disturbed=True, reason="", lost=False, may_end=False, health=None, seconds=1.0)
    ended = replace(good, verdict=None, reason="port: lost", lost=True, may_end=True)
    assert good.ok
    assert ended.ok
    bad = [
        replace(good, disturbed=False),
        replace(good, verdict=replace(right, mismatches=1)),
        replace(good, verdict=replace(right, saturated=1)),
        replace(ended, may_end=False),
        replace(ended, lost=False),
        replace(ended, disturbed=False),
        replace(good, may_end=True),
    ]
    assert not any(outcome.ok for outcome in bad)
    console = Console(width=80)
    with console.capture() as shown:
        console.print(outcomes_table([good, ended, bad[0]]))
    assert [line.split()[-1] for line in shown.get().splitlines()[-3:]] == ["right", "ended", "FAILED"]


def test_bad_input_is_one_line(options: list[object]) -> None:
    for arguments, expected in (
        ([*options, "--trial", "eaten"], "disturbed: unknown trial 'eaten', expected some of undisturbed, corrupted"),
        ([], "disturbed: expected either --vectors IN.npz, or --checkpoint DIR with --layer NAME"),
    ):
        result = run(*arguments)
        assert isinstance(result.exception, InputError)
        assert str(result.exception).startswith(expected)
