"""Accuracy of a model on held-out text: perplexity, divergence from a reference, and counts at its input sites."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import isnan
from statistics import median

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from spikequant.golden.block.block import saturated_values
from spikequant.golden.models.model import site_name
from spikequant.golden.quantizer.linear import quantized_layers
from spikequant.golden.quantizer.tally import Tally
from spikequant.golden.support.errors import SpikeQuantError
from spikequant.golden.support.figures import Figures
from spikequant.golden.support.progress import track


class Accuracy(Figures):
    """Prediction of held-out text by a model; the last four compare it with a reference model, None without one.

    Attributes:
        perplexity: exp of the mean negative log-likelihood of the scored tokens.
        tokens: number of scored tokens.
        salient_ratio: share of salient values at the quantized input sites, 0 without such sites.
        silent_ratio: share of values at level 0 at these sites, 0 without such sites.
        clipped_tokens: tokens whose salient window was limited, summed over sites.
        saturated_values: values that saturated in integer blocks, 0 without them.
        tokens_per_second: speed of the model, median over the windows.
        divergence: mean Kullback-Leibler divergence from the reference's predictions, in nats.
        agreement: share of positions whose most likely token is the reference's.
        ratio: perplexity over that of the reference.
        speed_ratio: tokens per second over those of the reference, measured window by window in alternation.
    """

    perplexity: float
    tokens: int
    salient_ratio: float
    silent_ratio: float
    clipped_tokens: int
    saturated_values: int = 0
    tokens_per_second: float
    divergence: float | None = None
    agreement: float | None = None
    ratio: float | None = None
    speed_ratio: float | None = None


@contextmanager
def tallied_sites(model: PreTrainedModel, *, histogram: bool = False) -> Iterator[dict[str, Tally]]:
    """Count the encoded inputs of every quantized site, by site name; a site that several layers share counts once."""
    one_per_site = {site_name(name): layer for name, layer in quantized_layers(model).items()}
    tallies = {site: Tally(histogram=histogram) for site in one_per_site}
    for site, layer in one_per_site.items():
        layer.tally = tallies[site]
    try:
        yield tallies
    finally:
        for layer in one_per_site.values():
            layer.tally = None


@dataclass(frozen=True)
class _Prediction:
    """Logits [n, vocabulary] of the n scored tokens, their summed loss in nats, and the tokens per second."""

    logits: Tensor
    loss: float
    speed: float


def _predict(model: PreTrainedModel, window: Tensor, scored: int) -> _Prediction:
    began = time.perf_counter()
    logits = model(window[None], use_cache=False).logits[0, -scored - 1 : -1].float()
    speed = window.numel() / (time.perf_counter() - began)
    return _Prediction(logits, float(nn.functional.cross_entropy(logits, window[-scored:], reduction="sum")), speed)


@torch.no_grad()
def measure_accuracy(
    model: PreTrainedModel,
    windows: list[Tensor],
    reference: PreTrainedModel | None = None,
    *,
    scored: list[int] | None = None,
    description: str = "scoring",
) -> Accuracy:
    """Measure a float or quantized model on independent windows of tokens.

    Args:
        model: in evaluation mode.
        windows: int64 [n] each, n >= 2.
        reference: a float model of the same vocabulary to compare predictions with, window by window, so that
            memory holds the predictions of one window only; may be the model itself.
        scored: number of tokens at the end of each window that count; None for all but the first.
        description: label of the progress bar.

    Raises:
        SpikeQuantError: the model's predictions are not numbers.
    """
    counts = scored if scored is not None else [window.numel() - 1 for window in windows]
    loss, expected_loss, divergence, agreed, tokens = 0.0, 0.0, 0.0, 0, 0
    speeds: list[float] = []
    expected_speeds: list[float] = []
    saturated_before = sum(saturated_values(model).values())
    with tallied_sites(model) as tallies:
        for window, count in track(list(zip(windows, counts, strict=True)), description):
            found = _predict(model, window, count)
            loss += found.loss
            speeds.append(found.speed)
            tokens += count
            if reference is not None:
                expected = found if reference is model else _predict(reference, window, count)
                expected_loss += expected.loss
                expected_speeds.append(expected.speed)
                divergence += _divergence(expected.logits, found.logits)
                agreed += int((expected.logits.argmax(-1) == found.logits.argmax(-1)).count_nonzero())
    if isnan(loss) or isnan(expected_loss):
        raise SpikeQuantError(f"{description}: predictions are not numbers, expected layers without overflow")
    values = max(1, sum(tally.values for tally in tallies.values()))
    compared = reference is not None
    return Accuracy(
        perplexity=_exp(loss / tokens),
        tokens=tokens,
        salient_ratio=sum(tally.salient for tally in tallies.values()) / values,
        silent_ratio=sum(tally.silent for tally in tallies.values()) / values,
        clipped_tokens=sum(tally.clipped_tokens for tally in tallies.values()),
        saturated_values=sum(saturated_values(model).values()) - saturated_before,
        tokens_per_second=median(speeds),
        divergence=divergence / tokens if compared else None,
        agreement=agreed / tokens if compared else None,
        ratio=_exp((loss - expected_loss) / tokens) if compared else None,
        speed_ratio=median(speeds) / median(expected_speeds) if compared else None,
    )


def _exp(value: float) -> float:
    """Exponential that is infinite where ``math.exp`` would raise."""
    return float(torch.tensor(value, dtype=torch.float64).exp())


def _divergence(expected: Tensor, logits: Tensor) -> float:
    """Sum over positions of KL(expected || predicted), both as logits [n, vocabulary]."""
    return float(
        nn.functional.kl_div(logits.log_softmax(-1), expected.log_softmax(-1), reduction="sum", log_target=True)
    )
