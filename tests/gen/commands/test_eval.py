import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from spikequant.gen.cli import app
from spikequant.golden.checkpoint.checkpoint import save_checkpoint
from spikequant.golden.evaluation.accuracy import Accuracy, measure_accuracy
from spikequant.golden.models.model import LanguageModel
from spikequant.golden.quantizer.recipe import Recipe
from spikequant.golden.support.errors import InputError


@pytest.fixture
def files(float_model: LanguageModel, tmp_path: Path, prose: str) -> Path:
    """A folder with a float model and two texts."""
    float_model.model.save_pretrained(tmp_path / "model")
    float_model.tokenizer.save_pretrained(tmp_path / "model")
    (tmp_path / "calibrate.txt").write_text(prose)
    (tmp_path / "score.txt").write_text("a spike comes early where the level is high, and late where it is low. " * 9)
    return tmp_path


def run(*arguments: object) -> None:
    CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False, standalone_mode=False)


def evaluate(files: Path, model: Path, *options: object) -> dict[str, Any]:
    out = files / "result.json"
    run("eval", model, "--text", files / "score.txt", "--tokens", 300, "--ctx", 64, "--json", out, *options)
    return json.loads(out.read_text())


def test_a_quantized_folder_scores_as_the_model_quantized_on_the_spot(files: Path) -> None:
    calibration = ("--calibration", files / "calibrate.txt", "--calibration-tokens", 400, "--recipe", "fast")
    run("quantize", files / "model", "--out", files / "quantized", *calibration, "--json", files / "facts.json")
    facts = json.loads((files / "facts.json").read_text())
    assert (facts["layers"], facts["sites"]) == (14, 8)
    saved = evaluate(files, files / "quantized")
    spot = evaluate(files, files / "model", *calibration)
    assert saved["perplexity"] == spot["perplexity"]
    assert saved["tokens"] == 300
    assert saved["method"] == "spikequant"
    assert 0 < saved["salient_ratio"] < 0.1
    assert "300 tokens of score.txt, windows of 64" in saved["protocol"]
    assert "codes of 8 bits" in saved["protocol"]
    exact = evaluate(files, files / "quantized", "--membranes", "--reference", files / "model")
    assert "membranes" in exact["protocol"]
    coded = evaluate(files, files / "quantized", "--output-bits", 12, "--reference", files / "model")
    assert coded["perplexity"] == pytest.approx(exact["perplexity"], rel=0.02)
    assert coded["divergence"] > 0
    with pytest.raises(InputError, match="a quantized checkpoint, expected --method spikequant, got fp"):
        evaluate(files, files / "quantized", "--method", "fp")


def test_blocks_compute_in_integers(files: Path) -> None:
    calibration = ("--calibration", files / "calibrate.txt", "--calibration-tokens", 400, "--recipe", "fast")
    expected = evaluate(files, files / "model", *calibration)
    found = evaluate(files, files / "model", *calibration, "--integer-block", "--integers")
    assert "codes of 8 bits; integer block" in found["protocol"]
    assert "integer block" not in expected["protocol"]
    assert found["perplexity"] != expected["perplexity"]
    assert found["perplexity"] == pytest.approx(expected["perplexity"], rel=0.02)
    assert found["saturated_values"] == 0
    for options in (("--membranes",), ("--method", "fp"), ("--layers", files / "layers.json")):
        with pytest.raises(InputError, match="integer-block: expected method spikequant alone, read from output codes"):
            evaluate(files, files / "model", "--integer-block", *options)


@pytest.mark.parametrize("method", ["fp", "rtn"])
def test_the_other_methods_have_no_salient_values(files: Path, method: str) -> None:
    result = evaluate(files, files / "model", "--method", method)
    assert result["method"] == method
    assert result["salient_ratio"] == 0
    assert result["perplexity"] > 1


def test_windows_overlap_by_a_stride(files: Path) -> None:
    result = evaluate(files, files / "model", "--method", "fp", "--stride", 16)
    assert result["tokens"] == 300
    assert "windows of 64 within a text, one every 16 tokens, each token scored once" in result["protocol"]
    with pytest.raises(InputError, match="stride: 64, expected 1 to 63 with windows of 64 tokens"):
        evaluate(files, files / "model", "--method", "fp", "--stride", 64)


def test_several_texts_stand_in_a_list(files: Path) -> None:
    result = evaluate(files, files / "model", "--method", "fp", "--text", files / "calibrate.txt")
    assert [row["text"].rpartition("/")[2] for row in result["texts"]] == ["score.txt", "calibrate.txt"]
    assert result["perplexity"] == result["texts"][0]["perplexity"] != result["texts"][1]["perplexity"]
    assert "300 tokens of calibrate.txt" in result["texts"][1]["protocol"]


def test_all_methods_in_one_table(files: Path) -> None:
    calibration = ("--calibration", files / "calibrate.txt", "--calibration-tokens", 400)
    run("quantize", files / "model", "--out", files / "taught", *calibration)
    more = ("--checkpoint", files / "taught", "--text", files / "calibrate.txt", "--plot", files / "all.png")
    result = evaluate(files, files / "model", "--method", "all", *calibration, *more)
    labels = ["fp", "rtn", "smoothquant", "atom", "spikellm", "quarot", "spikequant", "spikequant (taught)"]
    assert [row["label"] for row in result["rows"]] == [label for label in labels for _ in range(2)]
    by_label = {row["label"]: row for row in result["rows"][::2]}
    assert by_label["fp"]["ratio"] == 1
    assert by_label["spikequant"]["divergence"] > 0
    assert by_label["spikequant (taught)"]["perplexity"] == by_label["spikequant"]["perplexity"]
    assert (result["method"], result["perplexity"]) == ("all", by_label["spikequant"]["perplexity"])
    assert set(result["sources"]) == set(labels) - {"fp", "spikequant (taught)"}
    assert (files / "all.png").stat().st_size > 10_000
    # what an unfinished run leaves is gone
    assert not list(files.glob("*.partial"))


def test_an_interrupted_run_resumes(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = ("--sweep", "bits", "--bits", "3-4", "--calibration", files / "calibrate.txt", "--calibration-tokens", 400)
    whole = evaluate(files, files / "model", *sweep)
    scored = 0

    def count(*arguments: Any, **named: Any) -> Accuracy:
        nonlocal scored
        if scored == 2:
            raise RuntimeError("the power went out")
        scored += 1
        return measure_accuracy(*arguments, **named)

    with monkeypatch.context() as patch:
        patch.setattr("spikequant.golden.comparison.evaluation.measure_accuracy", count)
        with pytest.raises(RuntimeError, match="power"):
            evaluate(files, files / "model", *sweep)
        assert len(list((files / "result.json.partial").iterdir())) == 2
        scored = -10
        again = evaluate(files, files / "model", *sweep)
    assert scored == -10 + len(whole["rows"]) - 2
    assert [row["perplexity"] for row in again["rows"]] == [row["perplexity"] for row in whole["rows"]]
    assert not (files / "result.json.partial").exists()


def test_a_sweep_over_widths(files: Path) -> None:
    calibration = ("--calibration", files / "calibrate.txt", "--calibration-tokens", 400, "--recipe", "fast")
    plot = files / "sweep.png"
    result = evaluate(files, files / "model", "--sweep", "bits", "--bits", "2,8", *calibration, "--plot", plot)
    assert result["sweep"] == "bits"
    assert [(row["method"], row["bits"]) for row in result["rows"]] == [
        ("fp", None),
        ("rtn", 2),
        ("spikequant", 2),
        ("rtn", 8),
        ("spikequant", 8),
    ]
    for narrow, wide in zip(result["rows"][1:3], result["rows"][3:], strict=True):
        assert narrow["divergence"] > 20 * wide["divergence"]
    assert plot.stat().st_size > 10_000


def test_a_page_with_every_layer(files: Path) -> None:
    calibration = ("--calibration", files / "calibrate.txt", "--calibration-tokens", 400)
    run("quantize", files / "model", "--out", files / "quantized", *calibration)
    result = evaluate(files, files / "quantized", "--layers", files / "layers.html")
    assert result["tokens"] == 300
    assert "300 tokens of score.txt" in (files / "layers.html").read_text()
    evaluate(files, files / "model", *calibration, "--layers", files / "layers.json", "--config", "tiny")
    layers = json.loads((files / "layers.json").read_text())
    assert len(layers["layers"]) == 14
    assert layers["membrane_bits"] == 32


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--method", "magic"), "method 'magic': unknown, expected one of fp, rtn, "),
        (("--text", "/no/such.txt"), "text /no/such.txt: cannot read"),
        (("--tokens", "0"), "tokens: 0, expected 1 or more"),
        (("--ctx", "1"), "context: 1, expected 2 or more"),
        (("--ctx", "4096"), "ctx: 4096, expected 2048 at most"),
        (("--output-bits", "40"), "output-bits: 40"),
        (("--calibration-tokens", "0"), "tokens: 0, expected 1 or more"),
        (("--recipe", "distilled"), "recipe: trains for [0-9]+ steps"),
        (("--sweep", "neurons"), "sweep 'neurons': unknown, expected bits"),
        (("--sweep", "bits", "--bits", "0"), "bits '0': expected widths"),
        (("--sweep", "bits", "--method", "rtn"), "method rtn: expected no --method with --sweep"),
        (("--plot", "bars.pdf"), "plot bars.pdf: expected a file name that ends in .png"),
        (("--plot", "bars.png"), "plot bars.png: nothing to compare"),
        (("--layers", "layers.txt"), "layers layers.txt: expected a file name that ends in .json or .html"),
        (("--layers", "layers.json", "--method", "rtn"), "layers: expected method spikequant alone, got rtn"),
        (
            ("--layers", "layers.json", "--recipe", "research-groups"),
            "layers: recipe gives layers that the integer datapath",
        ),
        (("--row", "rows.json"), "row rows.json: expected --method all"),
        (("--checkpoint", "somewhere"), "checkpoint somewhere: expected --method all, or the folder as the model"),
        (("--checkpoint", "somewhere", "--method", "all"), "checkpoint somewhere/spikequant.json: cannot read"),
        (("--config", "nothing"), "config 'nothing': unknown preset"),
    ],
)
def test_bad_options_are_one_line(files: Path, options: tuple[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        evaluate(files, files / "model", *options)


def test_a_checkpoint_of_another_model_is_refused(files: Path, quantized_model: LanguageModel) -> None:
    quantized_model.model.config.vocab_size = 77
    save_checkpoint(files / "other", quantized_model, Recipe(), calibration="prose")
    with pytest.raises(InputError, match=r"other: vocabulary of 77, expected 30 as in the float model"):
        evaluate(files, files / "model", "--method", "all", "--checkpoint", files / "other")


def test_a_folder_that_cannot_be_written_is_refused_before_any_work(files: Path) -> None:
    with pytest.raises(InputError, match="cannot write here"):
        run("quantize", "no/such/model/anyway", "--out", files / "score.txt" / "out")
