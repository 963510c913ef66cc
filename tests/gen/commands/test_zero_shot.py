import importlib.util
import json
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from spikequant.gen.cli import app
from spikequant.gen.commands.zero_shot import HARNESS
from spikequant.golden.models.model import LanguageModel
from spikequant.golden.support.errors import InputError
from support.zero_shot import with_end_of_text, write_task


def run(*arguments: object) -> str:
    runner = CliRunner()
    done = runner.invoke(app, [str(part) for part in arguments], catch_exceptions=False, standalone_mode=False)
    return done.stdout


def test_a_float_model_on_a_task_of_local_files(float_model: LanguageModel, tmp_path: Path) -> None:
    pytest.importorskip("lm_eval", reason="lm-eval is not installed")
    model = with_end_of_text(float_model)
    model.model.save_pretrained(tmp_path / "model")
    model.tokenizer.save_pretrained(tmp_path / "model")
    out = tmp_path / "result.json"
    shown = run("zero-shot", tmp_path / "model", "--tasks", write_task(tmp_path), "--limit", 4, "--json", out)
    result = json.loads(out.read_text())
    assert [(score["task"], score["metric"]) for score in result["scores"]] == [
        ("spikes", "acc"),
        ("spikes", "acc_norm"),
    ]
    assert {score["value"] * 4 % 1 for score in result["scores"]} == {0}
    assert (result["limit"], result["scores"][0]["documents"]) == (4, 4)
    assert "acc_norm" in shown


def test_the_missing_package_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(InputError, match=r"zero-shot: needs lm-evaluation-harness, install it: pip install lm-eval=="):
        run("zero-shot", "smollm2", "--tasks", "hellaswag")


def test_the_requirement_is_the_same_everywhere() -> None:
    root = Path(__file__).parents[3]
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["optional-dependencies"]["zero-shot"] == [HARNESS]
    for page in ("Makefile", "docs/how-to/own-model.md"):
        assert HARNESS in (root / page).read_text(encoding="utf-8")


def test_no_task_is_one_line() -> None:
    with pytest.raises(InputError, match="tasks: empty, expected names or files"):
        run("zero-shot", "smollm2", "--tasks", " , ")
