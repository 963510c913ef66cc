"""Sensitivities against divergences that are measured."""

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from spikequant.golden.compensation.sensitivity import output_sensitivities
from spikequant.golden.models.model import LanguageModel, decoder_linears


@torch.no_grad()
def disturbed_divergence(model: PreTrainedModel, linear: nn.Linear, size: float, windows: list[Tensor]) -> float:
    """Mean divergence a token from Gaussian errors of this size in a layer's outputs."""
    generator = torch.Generator().manual_seed(5)

    def disturb(_module: object, _inputs: object, output: Tensor) -> Tensor:
        return output + size * torch.randn(output.shape, generator=generator)

    total = 0.0
    for window in windows:
        truth = model(window[None]).logits.log_softmax(-1)
        handle = linear.register_forward_hook(disturb)
        found = model(window[None]).logits.log_softmax(-1)
        handle.remove()
        total += float((truth.exp() * (truth - found)).sum())
    return total / sum(window.numel() for window in windows)


def test_half_the_sensitivity_times_a_squared_error_is_its_divergence(
    float_model: LanguageModel, windows: list[Tensor]
) -> None:
    model = float_model.model
    found = output_sensitivities(model, windows * 8)
    assert all(found[name].shape == (linear.out_features,) for name, linear in decoder_linears(model).items())
    for name in ("model.layers.0.mlp.up_proj", "model.layers.1.self_attn.o_proj", "model.layers.0.self_attn.v_proj"):
        size = 0.02 / float((found[name].sum() / 2).sqrt())
        divergence = disturbed_divergence(model, decoder_linears(model)[name], size, windows * 6)
        assert 0.6 < divergence / 0.02**2 < 1.6, name
