"""Equalization of a site's channels, so that one scale for all of its inputs wastes fewer levels.

A factor for each input channel folds into the preceding norm or projection (``golden/models/folding.py``) and costs
nothing at run time. The idea, including a search of the strength, is that of SmoothQuant (arXiv 2211.10438) and AWQ
(arXiv 2306.00978). Here salient activations have their own codes, so that less strength is needed, and the search
minimizes the error of the quantized layers.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from spikequant.golden.quantizer.statistics import SiteStatistics

LEAST = 1e-6
"""Lower limit of a channel's magnitude, relative to the largest."""

WORTHWHILE = 0.98
"""Factors are folded only if they lower the error below this share."""

OutputError = Callable[[SiteStatistics, Sequence[Tensor]], float]
"""Error of a site's quantized layers, from the input's statistics and the layers' float weights."""


def channel_factors(
    statistics: SiteStatistics, weights: Sequence[Tensor], *, of_inputs: float, of_weights: float
) -> Tensor:
    """Divisor of each input: ``rms(x)**of_inputs / rms(w)**of_weights``, each with geometric mean 1.

    Args:
        statistics: of the site.
        weights: float [N, K] of every layer that reads it.
        of_inputs: strength on the inputs' magnitude, 0..1.
        of_weights: strength on the columns' magnitude, 0..1.

    Returns:
        float32 [K], positive.
    """
    inputs = _even(statistics.power.sqrt())
    columns = _even(torch.stack([weight.square().sum(0) for weight in weights]).sum(0).sqrt())
    return inputs**of_inputs / columns**of_weights


def _even(magnitudes: Tensor) -> Tensor:
    magnitudes = magnitudes.clamp(min=max(float(magnitudes.max()) * LEAST, torch.finfo(torch.float32).tiny))
    return magnitudes / magnitudes.log().mean().exp()


def search_factors(
    statistics: SiteStatistics,
    weights: Sequence[Tensor],
    strengths: Sequence[float],
    *,
    foldable: Callable[[Tensor], Tensor],
    error: OutputError,
) -> Tensor:
    """The factors with the least error, over strengths for the inputs alone, and for inputs and weights.

    Args:
        statistics: of the site.
        weights: float [N, K] of every layer that reads it.
        strengths: candidates, 0..1.
        foldable: gives the nearest factors that fold.
        error: error of the quantized layers.

    Returns:
        float32 [K]; ones if no candidate lowers the error enough.
    """
    best = torch.ones_like(statistics.power)
    least = WORTHWHILE * error(statistics, weights)
    for strength in filter(None, strengths):
        for of_weights in (0.0, strength):
            factors = foldable(channel_factors(statistics, weights, of_inputs=strength, of_weights=of_weights))
            found = error(statistics.divided(factors), [weight * factors for weight in weights])
            if found < least:
                best, least = factors, found
    return best
