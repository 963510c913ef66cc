"""The command: what it lists, proves, remembers and refuses."""

import json
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from spikequant.cosim.formal.property import Bounded
from spikequant.cosim.formal.prove import figures, find_tools
from spikequant.cosim.formal.run import prove_all
from spikequant.cosim.formal.streams import properties

Run = Callable[..., subprocess.CompletedProcess[str]]


def test_it_says_what_there_is_to_prove(run_formal: Run) -> None:
    done = run_formal("--list")
    assert done.returncode == 0
    for name in ("fabric.multiplier", "stream.accelerator", "readout.halving-8", "encoder.plain", "progress.writer"):
        assert name in done.stdout
    assert "induction, k = " in done.stdout
    assert "bounded, " in done.stdout


def test_bounded_is_not_called_proved(tmp_path: Path) -> None:
    (claim,) = (claim for claim in properties() if claim.name == "stream.order.register-stage")
    bounded = replace(claim, method=Bounded(10))
    found = figures([bounded], prove_all([bounded], find_tools(), folder=tmp_path, jobs=1))
    assert (found.ok, found.proved, found.held) == (True, 0, 1)
    assert (found.properties[0].outcome, found.properties[0].proves) == ("held", False)


def test_proofs_are_remembered(run_formal: Run, tmp_path: Path) -> None:
    done = run_formal("--only", "stream.order.register-stage", "--json", "found.json", "--out", "kept")
    assert done.returncode == 0, done.stderr
    assert "1 proved, 0 held for their bounded cycles" in done.stdout
    (claim,) = json.loads((tmp_path / "found.json").read_text())["properties"]
    assert (claim["outcome"], claim["proves"], claim["remembered"]) == ("proved", True, False)
    again = run_formal("--only", "stream.order.register-stage", "--json", "found.json", "--out", "kept")
    assert again.returncode == 0, again.stderr
    (claim,) = json.loads((tmp_path / "found.json").read_text())["properties"]
    assert claim["remembered"]


def test_an_unknown_property_is_bad_input(run_formal: Run) -> None:
    done = run_formal("--only", "nothing")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "--list" in done.stderr
