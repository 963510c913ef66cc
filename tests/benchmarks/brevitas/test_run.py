"""The run of settings around Brevitas, which a small program stands for."""

import json
import sys
from pathlib import Path

import pytest
import torch

from spikequant.benchmarks.brevitas import environment, run
from spikequant.benchmarks.brevitas.environment import INSTALLED, environment_python
from spikequant.benchmarks.brevitas.run import SettingScore, check_settings, measure_settings
from spikequant.benchmarks.brevitas.show import settings_table
from spikequant.golden.comparison.evaluation_text import EvaluationText
from spikequant.golden.comparison.widths import plain_widths
from spikequant.golden.evaluation.accuracy import measure_accuracy
from spikequant.golden.models.model import LanguageModel, load_model
from spikequant.golden.models.prefix import add_prefix
from spikequant.golden.models.windows import TextWindows
from spikequant.golden.support.errors import InputError, SpikeQuantError
from spikequant.golden.support.store import ResultFolder

STAND_IN = """\
import json, sys
from pathlib import Path

job = json.loads(Path(sys.argv[1]).read_text())
Path("{seen}").write_text(json.dumps(job))
assert Path(job["model"], "model.safetensors").stat().st_size
count = sum(len(window) - 1 for window in job["texts"]["prose"])
score = dict(loss=count * 3.0, float_loss=count * 2.5, divergence=count * 0.25, agreed=count / 2, tokens=count)
score |= dict(speed=5.0, float_speed=10.0)
Path(sys.argv[2]).write_text(json.dumps(dict(seconds=7, texts=dict(prose=score))))
"""


def measure(
    model: LanguageModel, windows: list[torch.Tensor], names: list[str], kept: Path | None = None
) -> list[list[run.ExternalRow]]:
    read = TextWindows(windows, tokens=sum(map(len, windows)), texts=1, protocol="prose")
    results = ResultFolder(kept, SettingScore)
    text = [EvaluationText("prose", read)]
    return list(measure_settings(model, names, text, calibration=read, python=Path(sys.executable), kept=results))


@pytest.fixture
def seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The job that a stand-in for the worker was given."""
    seen, worker = tmp_path / "seen.json", tmp_path / "stand_in.py"
    worker.write_text(STAND_IN.format(seen=seen))
    monkeypatch.setattr(run, "WORKER", worker)
    return seen


def test_a_setting_becomes_a_row(
    float_model: LanguageModel, windows: list[torch.Tensor], tmp_path: Path, seen: Path
) -> None:
    ((row,), (rotated,)) = measure(float_model, windows, ["rtn", "rotation-gptq"], tmp_path / "kept")
    assert row.perplexity == pytest.approx(20.0855, rel=1e-5)
    assert (row.ratio, row.divergence, row.agreement) == pytest.approx((1.64872, 0.25, 0.5), rel=1e-5)
    assert (row.tokens, row.speed_ratio, row.seconds, row.bits) == (sum(map(len, windows)) - len(windows), 0.5, 7, 4)
    assert (row.bits_note, rotated.bits_note) == ("", "some inputs rotated at run time")
    job = json.loads(seen.read_text())
    assert job["calibration"] == job["texts"]["prose"] == [window.tolist() for window in windows]
    assert {"--gptq", "--weight-bit-width"} <= set(job["options"])
    assert settings_table([row, rotated]).row_count == 2
    # kept results are not measured again
    run.WORKER.write_text("raise SystemExit(1)")
    assert measure(float_model, windows, ["rtn"], tmp_path / "kept") == [[row]]


def test_the_prefix_is_passed_on_and_named(
    float_model: LanguageModel, windows: list[torch.Tensor], tmp_path: Path, seen: Path
) -> None:
    ((plain,),) = measure(float_model, windows, ["rtn"], tmp_path / "kept")
    assert json.loads(seen.read_text())["prefix"] == []
    add_prefix(float_model.model, (3, 5))
    # results without the prefix do not count
    ((row,),) = measure(float_model, windows, ["rtn"], tmp_path / "kept")
    assert json.loads(seen.read_text())["prefix"] == [3, 5]
    assert row.how == f"{plain.how}; prefix [3, 5]"


def test_a_failure_of_brevitas_is_one_line(
    float_model: LanguageModel, windows: list[torch.Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = tmp_path / "stand_in.py"
    worker.write_text("raise RuntimeError('too little memory')")
    monkeypatch.setattr(run, "WORKER", worker)
    with pytest.raises(SpikeQuantError, match="setting rtn: Brevitas failed: RuntimeError: too little memory"):
        measure(float_model, windows, ["rtn"])


def test_unknown_settings_are_refused() -> None:
    for names in ([], ["rtn", "none"]):
        with pytest.raises(InputError, match=r"unknown, expected one of rtn, "):
            check_settings(names)


def test_plain_widths_count_a_scale_and_a_zero_point(float_model: LanguageModel) -> None:
    widths = plain_widths(float_model.model, 4)
    # inputs of 32 or 48 values share 16 + 4 bits
    assert (widths.weight_bits, widths.activation_bits) == (4, 4)
    assert widths.activation_bits_stored == pytest.approx(4 + 4 * 20 / (3 * 32 + 48))
    assert 4 + 20 / 48 < widths.weight_bits_stored < 4 + 20 / 32


def test_a_folder_of_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="holds other files, expected an empty folder or a virtual environment"):
        environment_python(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def interpreter(path: Path, *, installs: bool) -> Path:
    """A program that makes an environment with itself as its interpreter, and installs packages or fails."""
    last = "true" if installs else "{ echo 'first line'; echo 'ERROR: no such package'; } >&2; exit 1"
    make = 'mkdir -p "$3/bin" && cp "$0" "$3/bin/python"'
    path.write_text(f'#!/bin/sh\nif [ "$2" = venv ]; then {make}; else {last}; fi\n')
    path.chmod(0o755)
    return path


def test_an_environment_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = interpreter(tmp_path / "python", installs=True)
    monkeypatch.setattr(environment.sys, "executable", str(program))
    python = environment_python(tmp_path / "env")
    assert python.read_text() == program.read_text()
    program.unlink()
    assert environment_python(tmp_path / "env") == python


def test_packages_that_cannot_be_installed_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment.sys, "executable", str(interpreter(tmp_path / "python", installs=False)))
    with pytest.raises(SpikeQuantError, match="cannot make the environment for Brevitas: ERROR: no such package"):
        environment_python(tmp_path / "env")
    assert not (tmp_path / "env" / INSTALLED).exists()


def test_an_exported_model_scores_the_same(
    float_model: LanguageModel, windows: list[torch.Tensor], tmp_path: Path
) -> None:
    run.export_floats(float_model, tmp_path)
    found = measure_accuracy(load_model(str(tmp_path)).model, windows).perplexity
    assert found == measure_accuracy(float_model.model, windows).perplexity
