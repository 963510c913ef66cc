"""The bundled SmolLM2 on held-out Wikipedia: slow, so one model and few tokens serve all."""

import copy

import pytest
import torch

from spikequant.golden.evaluation.accuracy import measure_accuracy
from spikequant.golden.models.model import LanguageModel, load_model
from spikequant.golden.models.text import calibration_corpus, evaluation_corpus
from spikequant.golden.models.windows import token_windows
from spikequant.golden.quantizer.calibrate import quantize_model
from spikequant.golden.quantizer.linear import quantized_layers
from spikequant.golden.quantizer.recipe import RECIPES
from spikequant.golden.quantizer.spikequant import spikequant


@pytest.fixture(scope="module")
def smollm2() -> LanguageModel:
    return load_model()


def test_spikequant_keeps_the_bundled_model_useful(smollm2: LanguageModel) -> None:
    calibration = token_windows(smollm2.tokenizer, calibration_corpus().texts, tokens=1000, context=512)
    held_out = token_windows(smollm2.tokenizer, evaluation_corpus().texts, tokens=511, context=512)
    quantized = copy.deepcopy(smollm2.model)
    quantize_model(quantized, calibration, spikequant(RECIPES["plain"]))
    assert len(quantized_layers(quantized)) == 210
    before = measure_accuracy(smollm2.model, held_out)
    after = measure_accuracy(quantized, held_out, smollm2.model)
    # one window is a small sample, so the bound is loose
    assert before.perplexity < 40
    assert before.perplexity < after.perplexity < 2 * before.perplexity
    assert 0.015 < after.salient_ratio < 0.035
    assert 0.2 < after.silent_ratio < 0.4
    assert after.clipped_tokens == 0
    assert torch.isfinite(torch.tensor(after.divergence))
