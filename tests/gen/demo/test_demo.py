"""The demo on the real model and the tiny accelerator, without the bitstream."""

import hashlib
import json
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from typer.testing import CliRunner, Result

from spikequant.gen.cli import app
from spikequant.gen.demo.demo import check_layer
from spikequant.golden.layer.integer import run_layer
from spikequant.golden.layer.spec import load_spec
from spikequant.golden.layer.vectors import load_vectors
from spikequant.golden.models.model import LanguageModel
from spikequant.golden.support.errors import InputError

LAYER = "model.layers.3.self_attn.k_proj"


def spikequant(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


class Links(HTMLParser):
    def __init__(self, page: Path) -> None:
        super().__init__()
        self.targets: list[Path] = []
        self._folder = page.parent
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.targets.append(self._folder / unquote(str(dict(attrs)["href"])))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("demo")
    (out / "report.html").write_text("of an earlier run")
    result = spikequant(
        *("demo", "--config", "tiny", "--layer", LAYER, "--tokens", "2", "--calibration-tokens", "256"),
        *("--skip-bitstream", "--out", str(out), "--json", str(out / "figures.json")),
    )
    assert result.exit_code == 0, result.output
    assert "bit-exact" in result.output
    return out


def test_verilog_equals_pytorch_integers_and_spikes(folder: Path) -> None:
    record = json.loads((folder / "report.json").read_text())
    assert [(item["against"], item["equal"], item["outputs"]) for item in record["comparisons"]] == [
        ("PyTorch", 384, 384),
        ("integers", 384, 384),
        ("spikes in time", 384, 384),
    ]
    figures = json.loads((folder / "figures.json").read_text())
    assert figures["ok"] is True
    assert (figures["mismatches"], figures["compared"], figures["saturated"]) == (0, 3 * 384, 0)
    assert figures["timing_met"] is None


def test_arrays_hold_the_layer_and_its_outputs(folder: Path) -> None:
    spec = load_spec("tiny")
    vectors = load_vectors(folder / "layer.npz", spec)
    assert (vectors.outputs, vectors.inputs, vectors.tokens) == (192, 576, 2)
    expected = run_layer(vectors, spec)
    with np.load(folder / "output.npz") as output:
        assert np.array_equal(output["membrane"], expected.membrane)
        assert np.array_equal(output["code"], expected.code)
    record = json.loads((folder / "report.json").read_text())
    assert record["salient_ratio"] == pytest.approx(vectors.salient.mean())
    assert record["silent_ratio"] == pytest.approx((vectors.level == 0).mean())
    assert [token["salient"] for token in record["tokens"]] == vectors.salient.sum(1).tolist()


def test_files_are_linked_and_what_they_are_said_to_be(folder: Path) -> None:
    record = json.loads((folder / "report.json").read_text())
    assert [path.relative_to(folder).as_posix() for path in Links(folder / "report.html").targets] == [
        file["path"] for file in record["files"]
    ]
    for file in record["files"]:
        content = (folder / file["path"]).read_bytes()
        assert (file["size"], file["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
    assert {"spikequant.v", "manifest.json", "layer.npz", "output.npz"} <= {file["path"] for file in record["files"]}


def test_report_is_rendered_again(folder: Path, tmp_path: Path) -> None:
    before = (folder / "report.html").read_text(encoding="utf-8")
    assert "of an earlier run" not in before
    (folder / "report.html").unlink()
    result = spikequant("report", str(folder), "--json", str(tmp_path / "figures.json"))
    assert result.exit_code == 0, result.output
    assert (folder / "report.html").read_text(encoding="utf-8") == before
    assert json.loads((tmp_path / "figures.json").read_text())["ok"] is True
    assert spikequant("report", str(folder), "--out", str(tmp_path / "page.html")).exit_code == 0
    assert all(path.is_file() for path in Links(tmp_path / "page.html").targets)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("demo", "--config", "huge"), "config 'huge': unknown preset"),
        (("demo", "--board", "abacus"), "board: unknown board 'abacus'"),
        (("demo", "--layer", "q_proj", "--skip-bitstream"), "layer 'q_proj': not a linear layer of smollm2"),
        (("report", "nowhere"), "expected a demo's folder"),
    ],
)
def test_bad_input_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    result = spikequant(*arguments)
    assert isinstance(result.exception, InputError)
    assert message in str(result.exception)
    assert not list(tmp_path.iterdir())


def test_a_mistyped_layer_is_told_with_close_ones() -> None:
    sizes = {
        "hidden_size": 8,
        "intermediate_size": 8,
        "num_attention_heads": 1,
        "num_hidden_layers": 1,
        "vocab_size": 8,
    }
    model = LlamaForCausalLM(LlamaConfig(**sizes))
    language_model = LanguageModel(model, PreTrainedTokenizerFast(tokenizer_object=Tokenizer(WordLevel())), "small")
    check_layer(language_model, "model.layers.0.mlp.up_proj")
    with pytest.raises(InputError, match=r"layer 'layers.0.up': .* of small, expected one like .*mlp\.up_proj"):
        check_layer(language_model, "layers.0.up")
