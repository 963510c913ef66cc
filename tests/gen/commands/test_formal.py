"""The command: what it lists, proves, remembers and refuses."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

Run = Callable[..., subprocess.CompletedProcess[str]]


def test_it_says_what_there_is_to_prove(run_formal: Run) -> None:
    done = run_formal("--list")
    assert done.returncode == 0
    for name in ("fabric.multiplier", "stream.accelerator", "readout.halving-8", "encoder.plain", "progress.writer"):
        assert name in done.stdout
    assert "induction, k = " in done.stdout
    assert "bounded, " in done.stdout


def test_bounded_is_not_called_proved(run_formal: Run, tmp_path: Path) -> None:
    done = run_formal("--only", "stream.order.register-stage", "--json", "found.json", "--out", "kept")
    assert done.returncode == 0, done.stderr
    assert "0 proved, 1 held for their bounded cycles" in done.stdout
    (claim,) = json.loads((tmp_path / "found.json").read_text())["properties"]
    assert (claim["outcome"], claim["proves"], claim["remembered"]) == ("held", False, False)
    again = run_formal("--only", "stream.order.register-stage", "--json", "found.json", "--out", "kept")
    assert again.returncode == 0, again.stderr
    (claim,) = json.loads((tmp_path / "found.json").read_text())["properties"]
    assert claim["remembered"]


def test_an_unknown_property_is_bad_input(run_formal: Run) -> None:
    done = run_formal("--only", "nothing")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "--list" in done.stderr
