import copy
import json
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from spikequant.gen.cli import app
from spikequant.golden.checkpoint.checkpoint import save_checkpoint
from spikequant.golden.models.model import LanguageModel
from spikequant.golden.models.prefix import attach_prefix, compute_prefix
from spikequant.golden.quantizer.calibrate import quantize_model
from spikequant.golden.quantizer.recipe import Activations, Recipe, Weights
from spikequant.golden.quantizer.spikequant import spikequant
from spikequant.golden.support.errors import InputError


@pytest.fixture
def folder(float_model: LanguageModel, windows: list[torch.Tensor], tmp_path: Path) -> Path:
    """A folder with a float model, a text, and two checkpoints: one with wider dead zones, and with a prefix."""
    float_model.model.save_pretrained(tmp_path / "model")
    float_model.tokenizer.save_pretrained(tmp_path / "model")
    (tmp_path / "text.txt").write_text("a spike comes early where the level is high, and late where it is low. " * 9)
    for name, dead_zone in (("loud", 0.5), ("quiet", 1.0)):
        recipe = Recipe(equalize=(), weights=Weights(wide_fraction=0.1), activations=Activations(dead_zone=dead_zone))
        quantized = copy.deepcopy(float_model)
        if name == "quiet":
            attach_prefix(quantized.model, compute_prefix(quantized.model, (3,)))
        quantize_model(quantized.model, windows, spikequant(recipe))
        save_checkpoint(tmp_path / name, quantized, recipe, calibration="prose")
    return tmp_path


def run(folder: Path, *options: object) -> str:
    shared = ("--reference", folder / "model", "--text", folder / "text.txt", "--cache", folder / "cache")
    sizes = ("--tokens", 100, "--ctx", 40, "--traced", 2, "--config", "base")
    arguments = [str(option) for option in ("silence", *options, *shared, *sizes)]
    return CliRunner().invoke(app, arguments, catch_exceptions=False, standalone_mode=False).output


def test_more_silence_saves_cycles_traffic_and_energy(folder: Path) -> None:
    figures, picture = folder / "silence.json", folder / "silence.png"
    page = run(folder, folder / "quiet", folder / "loud", "--json", figures, "--plot", picture)
    assert "100 tokens of text.txt" in " ".join(page.split())
    loud, quiet = json.loads(figures.read_text())["points"]
    assert loud["checkpoint"].endswith("loud")
    assert quiet["silent_ratio"] > 1.3 * loud["silent_ratio"]
    assert quiet["divergence"] > loud["divergence"]
    assert quiet["cycles"] < loud["cycles"]
    assert quiet["traffic"] < loud["traffic"] < loud["whole_traffic"]
    assert all(quiet["energy"][model] > saved for model, saved in loud["energy"].items())
    # the twin skips nothing; layers that run as one have a few wide columns more or less in common
    assert quiet["twin_cycles"] == pytest.approx(loud["twin_cycles"], rel=0.01)
    assert "prefix [3]" in quiet["protocol"]
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert f"{quiet['ratio']:.3f} x fp" in page  # not shortened in 80 columns
    assert f"{quiet['energy']['22nm-main-memory']:.2f}" in page
    assert "22nm-main-memory" in page


def test_bad_input_is_one_line_and_leaves_nothing(folder: Path) -> None:
    with pytest.raises(InputError, match=r"model: no spikequant.json here, expected a folder that quantize wrote"):
        run(folder, folder / "loud", folder / "model", "--json", folder / "silence.json")
    assert not (folder / "silence.json").exists()
