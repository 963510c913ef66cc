import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from golden.cli import add_commands
from golden.errors import InputError
from golden.model import LanguageModel


@pytest.fixture
def app() -> typer.Typer:
    app = typer.Typer()
    add_commands(app)
    return app


@pytest.fixture
def files(float_model: LanguageModel, tmp_path: Path, prose: str) -> Path:
    """A folder with a float model and two texts."""
    float_model.model.save_pretrained(tmp_path / "model")
    float_model.tokenizer.save_pretrained(tmp_path / "model")
    (tmp_path / "calibrate.txt").write_text(prose)
    (tmp_path / "score.txt").write_text("a spike comes early where the level is high, and late where it is low. " * 9)
    return tmp_path


def run(app: typer.Typer, *arguments: object) -> None:
    CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False, standalone_mode=False)


def evaluate(app: typer.Typer, files: Path, model: Path, *options: object) -> dict[str, object]:
    out = files / "result.json"
    run(app, "eval", model, "--text", files / "score.txt", "--tokens", 300, "--ctx", 64, "--json", out, *options)
    return json.loads(out.read_text())


def test_a_quantized_folder_scores_as_the_model_quantized_on_the_spot(app: typer.Typer, files: Path) -> None:
    calibration = ("--calibration", files / "calibrate.txt", "--calibration-tokens", 400)
    run(app, "quantize", files / "model", "--out", files / "quantized", *calibration, "--json", files / "facts.json")
    facts = json.loads((files / "facts.json").read_text())
    assert (facts["layers"], facts["sites"]) == (14, 8)
    saved = evaluate(app, files, files / "quantized")
    spot = evaluate(app, files, files / "model", *calibration)
    assert saved["perplexity"] == spot["perplexity"]
    assert saved["tokens"] == 300
    assert saved["method"] == "spikequant"
    assert 0 < saved["salient_ratio"] < 0.1
    assert "300 tokens of score.txt, windows of 64" in saved["protocol"]
    coded = evaluate(app, files, files / "quantized", "--output-bits", 12, "--reference", files / "model")
    assert coded["perplexity"] == pytest.approx(saved["perplexity"], rel=0.02)
    assert coded["divergence"] > 0
    with pytest.raises(InputError, match="a quantized checkpoint, expected --method spikequant, got fp"):
        evaluate(app, files, files / "quantized", "--method", "fp")


@pytest.mark.parametrize("method", ["fp", "rtn"])
def test_the_other_methods_have_no_salient_values(app: typer.Typer, files: Path, method: str) -> None:
    result = evaluate(app, files, files / "model", "--method", method)
    assert result["method"] == method
    assert result["salient_ratio"] == 0
    assert result["perplexity"] > 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--method", "magic"), "method 'magic': unknown, expected one of fp, rtn, spikequant"),
        (("--text", "/no/such.txt"), "text /no/such.txt: cannot read"),
        (("--tokens", "0"), "tokens: 0, expected 1 or more"),
        (("--ctx", "1"), "context: 1, expected 2 or more"),
        (("--wide", "2"), "wide_fraction: 2.0, expected 0..1"),
        (("--output-bits", "40"), "output-bits: 40"),
        (("--calibration-tokens", "0"), "tokens: 0, expected 1 or more"),
    ],
)
def test_bad_options_are_one_line(app: typer.Typer, files: Path, options: tuple[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        evaluate(app, files, files / "model", *options)


def test_a_folder_that_cannot_be_written_is_refused_before_any_work(app: typer.Typer, files: Path) -> None:
    with pytest.raises(InputError, match="cannot write here"):
        run(app, "quantize", "no/such/model/anyway", "--out", files / "score.txt" / "out")
