"""How well a model predicts text: perplexity, and what its quantized layers did meanwhile."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from golden.linear import SpikeQuantLinear, Tally
from golden.model import site_name
from golden.progress import track


@dataclass(frozen=True)
class Score:
    """What a model scored on some windows.

    Attributes:
        perplexity: exp of the mean negative log-likelihood of the scored tokens.
        tokens: scored tokens.
        salient_ratio: share of salient values at the quantized input sites, 0 without such sites.
        silent_ratio: share of values at level 0 there, 0 without such sites.
        clipped_tokens: tokens, summed over sites, whose salient window was limited.
        divergence: mean Kullback-Leibler divergence from the reference's predictions, in nats; None without one.
        agreement: share of positions whose likeliest token is the reference's; None without one.
    """

    perplexity: float
    tokens: int
    salient_ratio: float
    silent_ratio: float
    clipped_tokens: int
    divergence: float | None = None
    agreement: float | None = None


def quantized_layers(model: PreTrainedModel) -> dict[str, SpikeQuantLinear]:
    """The quantized layers of a model by name, in its order."""
    return {name: module for name, module in model.named_modules() if isinstance(module, SpikeQuantLinear)}


@contextmanager
def _tallied(model: PreTrainedModel) -> Iterator[Tally]:
    """Count what every quantized site encodes; a site shared by layers counts once."""
    tally = Tally()
    one_per_site = {site_name(name): layer for name, layer in quantized_layers(model).items()}
    for layer in one_per_site.values():
        layer.tally = tally
    try:
        yield tally
    finally:
        for layer in one_per_site.values():
            layer.tally = None


def window_loss(logits: Tensor, window: Tensor) -> float:
    """Sum of the negative log-likelihoods of a window's tokens but the first.

    Args:
        logits: float [n, vocabulary].
        window: int64 [n].
    """
    return float(nn.functional.cross_entropy(logits[:-1].float(), window[1:], reduction="sum"))


@torch.no_grad()
def score(model: PreTrainedModel, windows: list[Tensor], reference: PreTrainedModel | None = None) -> Score:
    """Score a model, float or quantized, on windows of tokens that do not see each other.

    Args:
        model: in evaluation mode.
        windows: int64 [n] each, n >= 2.
        reference: a float model of the same vocabulary to compare predictions with.
    """
    loss, divergence, agreed, tokens = 0.0, 0.0, 0, 0
    with _tallied(model) as tally:
        for window in track(windows, "scoring"):
            logits = model(window[None]).logits[0, :-1].float()
            loss += float(nn.functional.cross_entropy(logits, window[1:], reduction="sum"))
            tokens += window.numel() - 1
            if reference is not None:
                expected = reference(window[None]).logits[0, :-1].float()
                divergence += _divergence(expected, logits)
                agreed += int((expected.argmax(-1) == logits.argmax(-1)).count_nonzero())
    values = max(1, tally.values)
    return Score(
        perplexity=float(torch.tensor(loss / tokens, dtype=torch.float64).exp()),
        tokens=tokens,
        salient_ratio=tally.salient / values,
        silent_ratio=tally.silent / values,
        clipped_tokens=tally.clipped_tokens,
        divergence=None if reference is None else divergence / tokens,
        agreement=None if reference is None else agreed / tokens,
    )


def _divergence(expected: Tensor, logits: Tensor) -> float:
    """Sum over positions of KL(expected || predicted), both as logits [n, vocabulary]."""
    return float(
        nn.functional.kl_div(logits.log_softmax(-1), expected.log_softmax(-1), reduction="sum", log_target=True)
    )
