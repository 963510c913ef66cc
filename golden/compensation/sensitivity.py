"""Sensitivity of a float model's predictions to errors in each output of its layers.

The expected squared gradient of the log-likelihood of a label that the model itself draws: the diagonal of the Fisher
information, as in optimal brain damage (LeCun et al. 1989) and SqueezeLLM (arXiv 2306.07629). Half of an error's
square times it is the divergence of the predictions that the error causes, in nats.
"""

from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from spikequant.golden.models.model import decoder_linears
from spikequant.golden.support.progress import track


def output_sensitivities(model: PreTrainedModel, windows: list[Tensor], *, seed: int = 0) -> dict[str, Tensor]:
    """Mean squared gradient of each output of every decoder layer, float32 [N] by layer name.

    Args:
        model: a float model; its parameters no longer need gradients afterwards.
        windows: int64 [n] token windows of calibration text.
        seed: of the drawn labels.
    """
    generator = torch.Generator().manual_seed(seed)
    linears = decoder_linears(model)
    squares = {name: torch.zeros(linear.out_features) for name, linear in linears.items()}
    model.requires_grad_(False)
    with ExitStack() as hooks:
        embeddings = model.get_input_embeddings()
        hooks.callback(embeddings.register_forward_hook(lambda _m, _i, output: output.requires_grad_()).remove)
        for name, linear in linears.items():

            def watch(_module: nn.Module, _inputs: Any, output: Tensor, name: str = name) -> None:
                def add(gradient: Tensor) -> None:
                    squares[name] += gradient.flatten(0, -2).square().sum(0)

                output.register_hook(add)

            hooks.callback(linear.register_forward_hook(watch).remove)
        for window in track(windows, "measuring sensitivities"):
            with torch.enable_grad():
                logits = model(window[None], use_cache=False).logits[0].float()
                label = torch.multinomial(logits.detach().softmax(-1), 1, generator=generator).flatten()
                nn.functional.cross_entropy(logits, label, reduction="sum").backward()
    tokens = sum(window.numel() for window in windows)
    return {name: square / tokens for name, square in squares.items()}
