import copy

import pytest
import torch

from spikequant.golden.evaluation.accuracy import measure_accuracy, tallied_sites
from spikequant.golden.models.model import LanguageModel


def test_a_model_that_knows_nothing_has_the_vocabulary_as_perplexity(
    float_model: LanguageModel, windows: list[torch.Tensor]
) -> None:
    model = float_model.model
    model.get_output_embeddings().weight.data.zero_()
    result = measure_accuracy(model, windows)
    assert result.perplexity == pytest.approx(model.config.vocab_size)
    assert result.tokens == 200
    assert (result.salient_ratio, result.silent_ratio) == (0, 0)
    assert (result.divergence, result.agreement, result.ratio, result.speed_ratio) == (None, None, None, None)


def test_perplexity_is_the_models_own_loss(float_model: LanguageModel, windows: list[torch.Tensor]) -> None:
    window = windows[0]
    loss = float_model.model(window[None], labels=window[None]).loss.detach()
    assert measure_accuracy(float_model.model, [window]).perplexity == pytest.approx(float(loss.exp()), rel=1e-5)


def test_ratios_are_those_of_the_encoded_inputs(quantized_model: LanguageModel, windows: list[torch.Tensor]) -> None:
    result = measure_accuracy(quantized_model.model, windows)
    assert 0 < result.salient_ratio < 0.1
    assert 0.05 < result.silent_ratio < 0.9
    assert result.clipped_tokens == 0
    assert result.tokens_per_second > 0


def test_a_site_shared_by_layers_counts_once(quantized_model: LanguageModel, windows: list[torch.Tensor]) -> None:
    with tallied_sites(quantized_model.model) as tallies:
        quantized_model.model(windows[0][None])
    quantized_model.model(windows[0][None])
    inputs = {"self_attn.qkv": 32, "self_attn.o": 32, "mlp.gate_up": 32, "mlp.down": 48}
    assert {site: tally.values for site, tally in tallies.items()} == {
        f"model.layers.{block}.{site}": 64 * size for block in range(2) for site, size in inputs.items()
    }


def test_a_reference_measures_how_far_predictions_moved(
    float_model: LanguageModel, quantized_model: LanguageModel, windows: list[torch.Tensor]
) -> None:
    moved = measure_accuracy(quantized_model.model, windows, float_model.model)
    assert moved.divergence is not None
    assert moved.agreement is not None
    assert moved.divergence > 1e-4
    assert 0.3 < moved.agreement < 1
    expected = measure_accuracy(float_model.model, windows).perplexity
    assert moved.ratio == pytest.approx(moved.perplexity / expected)
    assert moved.speed_ratio is not None
    assert 0 < moved.speed_ratio < 2


@pytest.mark.parametrize("itself", [False, True])
def test_a_model_compared_with_its_like_is_equal(
    float_model: LanguageModel, windows: list[torch.Tensor], itself: bool
) -> None:
    reference = float_model.model if itself else copy.deepcopy(float_model.model)
    same = measure_accuracy(float_model.model, windows, reference)
    assert (same.divergence, same.agreement, same.ratio) == (pytest.approx(0, abs=1e-6), 1.0, 1.0)
    if itself:
        assert same.speed_ratio == 1
