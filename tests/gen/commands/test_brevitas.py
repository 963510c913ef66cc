import json
import sys
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from spikequant.benchmarks.brevitas import environment, run
from spikequant.gen.cli import app
from spikequant.golden.evaluation import methods
from spikequant.golden.models.model import LanguageModel

STAND_IN = """\
import json, sys
from pathlib import Path

job = Path(sys.argv[1]).read_text()
Path("{seen}").write_text(job)
score = dict(loss=6.0, float_loss=5.0, divergence=0.5, agreed=1, tokens=2, speed=5.0, float_speed=10.0)
Path(sys.argv[2]).write_text(json.dumps(dict(seconds=7, texts=dict.fromkeys(json.loads(job)["texts"], score))))
"""


@pytest.mark.parametrize("recipe", ["compensated", "fast"])
def test_texts_are_read_after_the_prefix_of_eval(
    float_model: LanguageModel, prose: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recipe: str
) -> None:
    float_model.model.save_pretrained(tmp_path / "model")
    float_model.tokenizer.save_pretrained(tmp_path / "model")
    (tmp_path / "score.txt").write_text(prose)
    (tmp_path / "stand_in.py").write_text(STAND_IN.format(seen=tmp_path / "seen.json"))
    monkeypatch.setattr(run, "WORKER", tmp_path / "stand_in.py")
    monkeypatch.setattr(environment, "environment_python", lambda _: Path(sys.executable))
    chosen_on: list[list[torch.Tensor]] = []

    def choose(_model: object, _tokenizer: object, windows: list[torch.Tensor]) -> tuple[int, ...]:
        chosen_on.append(windows)
        return (3, 5)

    monkeypatch.setattr(methods, "choose_prefix", choose)
    out = tmp_path / "rows.json"
    options = ("--settings", "rtn", "--text", tmp_path / "score.txt", "--tokens", 100, "--ctx", 32, "--recipe", recipe)
    text = ("--calibration", tmp_path / "score.txt", "--json", out)
    arguments = [str(part) for part in ("brevitas", tmp_path / "model", *options, *text)]
    CliRunner().invoke(app, arguments, catch_exceptions=False, standalone_mode=False)
    job = json.loads((tmp_path / "seen.json").read_text())
    (row,) = json.loads(out.read_text())["rows"]
    searched = recipe == "compensated"
    assert job["prefix"] == ([3, 5] if searched else [])
    assert row["how"].endswith("; prefix [3, 5]") == searched
    ((_, texts),) = job["texts"].items()
    assert sum(len(window) - 1 for window in texts) == 100
    assert len(chosen_on) == searched
    # eval's calibration windows, which are longer than Brevitas's
    assert all(windows[0].numel() > len(job["calibration"][0]) for windows in chosen_on)
