import pytest
import torch

from golden.evaluate import score
from golden.model import LanguageModel


def test_a_model_that_knows_nothing_has_the_vocabulary_as_perplexity(
    float_model: LanguageModel, windows: list[torch.Tensor]
) -> None:
    model = float_model.model
    model.get_output_embeddings().weight.data.zero_()
    result = score(model, windows)
    assert result.perplexity == pytest.approx(model.config.vocab_size)
    assert result.tokens == 200
    assert (result.salient_ratio, result.silent_ratio, result.divergence) == (0, 0, None)


def test_perplexity_is_the_models_own_loss(float_model: LanguageModel, windows: list[torch.Tensor]) -> None:
    window = windows[0]
    loss = float_model.model(window[None], labels=window[None]).loss.detach()
    assert score(float_model.model, [window]).perplexity == pytest.approx(float(loss.exp()), rel=1e-5)


def test_ratios_are_those_of_the_encoded_inputs(quantized_model: LanguageModel, windows: list[torch.Tensor]) -> None:
    result = score(quantized_model.model, windows)
    assert 0 < result.salient_ratio < 0.1
    assert 0.05 < result.silent_ratio < 0.9
    assert result.clipped_tokens == 0


def test_a_reference_measures_how_far_predictions_moved(
    float_model: LanguageModel, quantized_model: LanguageModel, windows: list[torch.Tensor]
) -> None:
    same = score(float_model.model, windows, float_model.model)
    assert (same.divergence, same.agreement) == (pytest.approx(0, abs=1e-6), 1.0)
    moved = score(quantized_model.model, windows, float_model.model)
    assert moved.divergence is not None
    assert moved.agreement is not None
    assert moved.divergence > 1e-4
    assert 0.3 < moved.agreement < 1
