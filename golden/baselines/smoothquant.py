"""SmoothQuant: move part of the range of large input channels into the weights."""

from functools import partial

import torch
from torch import Tensor

from spikequant.golden.baselines.rtn import quantize_layer
from spikequant.golden.baselines.uniform import check_bits
from spikequant.golden.quantizer.method import FloatSite, Method
from spikequant.golden.support.errors import InputError

LEAST = 1e-5
"""Smallest peak and smallest factor, as in the released code."""


def smoothquant(weight_bits: int = 4, activation_bits: int = 4, alpha: float = 0.5) -> Method:
    """SmoothQuant: Accurate and Efficient Post-Training Quantization for Large Language Models (arXiv 2211.10438).

    Input channel k of a site is divided by ``max|x_k|**alpha / max|w_k|**(1 - alpha)``, the second maximum over all
    layers that read it, and their weights are multiplied by it. The factors are folded into the preceding layer, so
    that they cost nothing. Differences, all in its favour:

    - it is designed for 8 bits; any width here, 4 by default, to compare at equal bits;
    - asymmetric weights per output channel and inputs per token, symmetric in the released code;
    - every site that factors fold into is smoothed, only those after a norm in the paper.

    Args:
        weight_bits: 1..8.
        activation_bits: 1..8.
        alpha: share of the range that moves into the weights, 0..1.

    Raises:
        InputError: an argument out of range.
    """
    check_bits(least=1, weight_bits=weight_bits, activation_bits=activation_bits)
    if not 0 <= alpha <= 1:
        raise InputError(f"alpha: {alpha}, expected 0..1")
    return Method(
        name="smoothquant",
        source="SmoothQuant, arXiv 2211.10438",
        differences="4 bits, asymmetric, inputs are smoothed also where no norm precedes",
        quantize=partial(quantize_layer, weight_bits=weight_bits, activation_bits=activation_bits),
        factors=partial(_site_factors, alpha=alpha),
    )


def smoothing_factors(peak: Tensor, weight_peak: Tensor, alpha: float) -> Tensor:
    """Divisors of the inputs, float32 [K], positive.

    Args:
        peak: float [K], largest magnitude of each input.
        weight_peak: float [K], largest magnitude of the weights that multiply it.
        alpha: 0..1.
    """
    inputs, weights = (values.float().clamp(min=LEAST) for values in (peak, weight_peak))
    return (inputs**alpha / weights ** (1 - alpha)).clamp_(min=LEAST)


def _site_factors(site: FloatSite, *, alpha: float) -> Tensor:
    weight_peak = torch.stack([weight.detach().abs().amax(0) for weight in site.weights]).amax(0)
    return site.foldable(smoothing_factors(site.statistics.peak, weight_peak, alpha))
