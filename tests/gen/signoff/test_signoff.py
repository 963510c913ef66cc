"""The sign-off: rows judged from evidence, evidence of other hardware, the page, and the ledger's tests."""

import importlib
import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from spikequant.cosim.formal.prove import FormalFigures, PropertyFigures
from spikequant.cosim.mutation.campaign import CampaignFigures
from spikequant.cosim.random.verify import SeedResult, VerifyFigures
from spikequant.gen.cli import app
from spikequant.gen.signoff.checklist import CHECKS, FORMAL, MUTATION, VERIFY, Row, judge
from spikequant.gen.signoff.evidence import read_evidence, sources_digest, write_evidence
from spikequant.gen.signoff.ledger import read_ledger
from spikequant.gen.signoff.page import SignoffFigures
from spikequant.golden.layer.spec import Spec
from spikequant.golden.support.errors import InputError
from spikequant.golden.support.figures import Figures

ROOT = Path(__file__).parents[3]


def seeds(count: int, *, seconds: float, failure: str = "") -> VerifyFigures:
    totals = {"programs": 40, "packets": 900, "results": 300, "outputs": 2400, "resets": 7, "cycles": 50_000}
    one = {"spec": Spec(), "design": "d", "steps": 200, "seconds": seconds, "failure": ""}
    results = [SeedResult.model_validate(totals | one | {"seed": seed}) for seed in range(count)]
    results[-1] = results[-1].model_copy(update={"failure": failure})
    return VerifyFigures.of(results)


def proofs(*, unbounded: bool, answered: bool = True) -> FormalFigures:
    claim = PropertyFigures(
        outcome="no answer" if not answered else "proved" if unbounded else "held",
        seconds=1.0,
        property="stream.queue-4",
        component="StreamQueue",
        specification="in order",
        method="bounded, 20 cycles",
        solver="abc",
        proves=unbounded,
    )
    counts = {"proved": int(unbounded), "held": int(not unbounded), "FAILED": 0, "no answer": 0}
    return FormalFigures(ok=claim.ok, properties=[claim], **counts)


def mutants(killed: int) -> CampaignFigures:
    counts = {"mutants": 102, "killed": killed, "killed_by_timing": 1, "equivalent": 2, "survived": 100 - killed}
    return CampaignFigures(**counts, score=killed / 100, ok=True, seed=1, components={}, survivors=[])


def rows(folder: Path) -> dict[str, Row]:
    """Rows by name, without those that are checked at once."""
    return {row.name: row for row in judge(folder, [check for check in CHECKS if check.campaign])}


def test_without_evidence_only_what_is_checked_at_once_is_met(tmp_path: Path) -> None:
    found = {row.name: row for row in judge(tmp_path)}
    assert {name for name, row in found.items() if row.outcome == "met"} == {"lint", "open tasks"}
    assert {row.outcome for row in found.values()} == {"met", "no evidence"}
    assert all(row.command for row in found.values() if row.outcome == "no evidence")


@pytest.mark.parametrize(
    ("file", "figures", "name", "outcome"),
    [
        (VERIFY.file, seeds(40, seconds=1.0), "random accelerators", "met"),
        (VERIFY.file, seeds(39, seconds=1.0), "random accelerators", "not met"),
        (VERIFY.file, seeds(40, seconds=1.0, failure="program 3"), "random accelerators", "not met"),
        (VERIFY.file, seeds(40, seconds=719.0), "soak", "not met"),
        (VERIFY.file, seeds(40, seconds=721.0), "soak", "met"),
        (VERIFY.file, seeds(40, seconds=721.0, failure="program 3"), "soak", "not met"),
        (FORMAL.file, proofs(unbounded=True), "unbounded proofs", "met"),
        (FORMAL.file, proofs(unbounded=False), "unbounded proofs", "not met"),
        (FORMAL.file, proofs(unbounded=False), "proofs", "met"),
        (FORMAL.file, proofs(unbounded=False, answered=False), "proofs", "not met"),
        (MUTATION.file, mutants(98), "mutants", "met"),
        (MUTATION.file, mutants(97), "mutants", "not met"),
    ],
)
def test_rows_are_judged_by_the_figures(tmp_path: Path, file: str, figures: Figures, name: str, outcome: str) -> None:
    write_evidence(figures, tmp_path / file)
    assert rows(tmp_path)[name].outcome == outcome


def test_results_of_other_hardware_do_not_count(tmp_path: Path) -> None:
    path = tmp_path / MUTATION.file
    write_evidence(mutants(100), path)
    evidence = read_evidence(tmp_path, MUTATION)
    assert evidence
    assert evidence.current
    path.write_text(json.dumps(json.loads(path.read_text()) | {"hardware": "0" * 64}))
    assert rows(tmp_path)["mutants"].outcome == "out of date"


@pytest.mark.parametrize("name", ["rtl", "golden.layer", "fpga.sdram", "fpga.link"])
def test_every_source_of_the_hardware_counts(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = sources_digest()
    monkeypatch.setattr(importlib.import_module(f"spikequant.{name}"), "__path__", [str(tmp_path)])
    assert sources_digest() != before


@pytest.mark.parametrize("text", ["{}", "[]", "no JSON", '{"hardware": "0"}'])
def test_a_file_that_no_campaign_wrote_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / FORMAL.file).write_text(text)
    with pytest.raises(InputError, match=re.escape(str(tmp_path / FORMAL.file))):
        rows(tmp_path)


def test_a_stage_is_reached_with_all_before_it() -> None:
    made = [Row(stage=stage, name=stage, claim="", outcome="met") for stage in ("V1", "V2", "V3")]
    assert SignoffFigures.of(made, [], stage="V3").ok
    made[1] = made[1].model_copy(update={"outcome": "out of date"})
    found = SignoffFigures.of(made, [], stage="V1")
    assert (found.ok, found.reached) == (True, "V1")
    assert not SignoffFigures.of(made, [], stage="V2").ok
    made[0] = made[0].model_copy(update={"outcome": "no evidence"})
    found = SignoffFigures.of(made, [], stage="V1")
    assert (found.ok, found.reached) == (False, "")


def test_the_command_writes_page_and_figures(tmp_path: Path) -> None:
    write_evidence(seeds(40, seconds=1.0), tmp_path / VERIFY.file)
    done = CliRunner().invoke(app, ["signoff", str(tmp_path), "--stage", "V1", "--json", str(tmp_path / "s.json")])
    assert done.exit_code == 0, done.output
    assert "reached: V1" in done.output
    page = (tmp_path / "signoff.html").read_text()
    assert "40 accelerators" in page
    assert "no evidence" in page
    assert json.loads((tmp_path / "s.json").read_text())["reached"] == "V1"


def test_every_defect_is_held_by_a_test_or_property_that_exists(
    run_formal: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    properties = run_formal("--list").stdout
    defects = read_ledger()
    assert [one.fixed for one in defects] == sorted(one.fixed for one in defects)
    for name in (name for one in defects for name in one.held):
        file, _, function = name.partition("::")
        assert f"{name} " in properties if not function else f"def {function}(" in (ROOT / file).read_text(), name
