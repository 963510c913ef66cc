import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from spikequant.gen.cli import app
from spikequant.golden.checkpoint.checkpoint import save_checkpoint
from spikequant.golden.models.model import LanguageModel
from spikequant.golden.quantizer.recipe import Recipe
from spikequant.golden.support.errors import InputError


@pytest.fixture
def folder(quantized_model: LanguageModel, tmp_path: Path) -> Path:
    """A folder with a checkpoint and a text."""
    save_checkpoint(tmp_path / "quantized", quantized_model, Recipe(), calibration="prose")
    (tmp_path / "text.txt").write_text("a spike comes early where the level is high, and late where it is low. " * 9)
    return tmp_path


def run(folder: Path, *options: object) -> str:
    arguments = [str(option) for option in ("energy", folder / "quantized", "--text", folder / "text.txt", *options)]
    return CliRunner().invoke(app, arguments, catch_exceptions=False, standalone_mode=False).output


def test_a_checkpoint(folder: Path) -> None:
    figures, picture = folder / "energy.json", folder / "energy.png"
    page = run(folder, "--tokens", 100, "--ctx", 40, "--config", "tiny", "--json", figures, "--plot", picture)
    assert "100 tokens of text.txt" in " ".join(page.split())
    written = json.loads(figures.read_text())
    assert written["layers"] == len(written["activity"]) == 14
    # three windows, whose first tokens are only context
    assert written["tokens"] == 103
    assert written["config"]["neurons"] == 8
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--tokens", "0"), "tokens: 0, expected 1 or more"),
        (("--ctx", "1"), "context: 1, expected 2 or more"),
        (("--text", "/no/such.txt"), "text /no/such.txt: cannot read"),
        (("--config", "nothing"), "config 'nothing': unknown preset"),
        (("--plot", "bars.svg"), r"plot bars.svg: expected a file name that ends in .png"),
        (("--json", "."), "is a folder, expected a file to write"),
    ],
)
def test_bad_options_are_one_line(folder: Path, options: tuple[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        run(folder, *options)


def test_a_folder_without_a_checkpoint_is_refused(folder: Path) -> None:
    (folder / "quantized" / "spikequant.json").unlink()
    with pytest.raises(InputError, match=r"no spikequant.json here, expected a folder that quantize wrote"):
        run(folder)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("salient_bits = 6", "q_proj of the checkpoint has salient_bits 5, expected 0 or 6"),
        ("activation_bits = 5", "q_proj of the checkpoint has activation_bits 4, expected 5"),
        ("weight_bits = 8", "q_proj of the checkpoint has weight_bits 4, expected 8"),
    ],
)
def test_an_array_of_other_widths_is_refused(folder: Path, line: str, message: str) -> None:
    (folder / "other.toml").write_text(line)
    with pytest.raises(InputError, match=message):
        run(folder, "--config", folder / "other.toml")
