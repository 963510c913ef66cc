"""Saliency: distance from the median, on the scale of the median absolute deviation."""

from typing import TypeVar

import torch
from torch import Tensor

NORMAL_CONSISTENCY = 1.4826
"""Makes the median absolute deviation estimate the standard deviation of a normal distribution."""

MANY_ZEROS = 1 / 4
"""Share of values that are exactly 0, as after ReLU, from which on the median absolute deviation is not used."""

USUALLY_SALIENT = 1 / 40
"""Share of salient values at the inputs of most layers."""

MOST_SALIENT = 1 / 8
"""Largest share of salient values that a threshold may leave; single sites of real models have up to a tenth."""

Deviation = TypeVar("Deviation", float, Tensor)


def median_and_deviation(values: Tensor) -> tuple[Tensor, Tensor]:
    """Median and median absolute deviation along the last axis [..., K] of floats, [..., 1] each."""
    median = values.median(-1, keepdim=True).values
    return median, (values - median).abs().median(-1, keepdim=True).values


def saliency_threshold(deviation: Deviation, k: float) -> Deviation:
    """Distance from the median beyond which a value is salient: ``k * 1.4826 * MAD``."""
    return deviation * (k * NORMAL_CONSISTENCY)


def salient_band(values: Tensor, k: float) -> tuple[Tensor, Tensor]:
    """Median and saliency threshold along the last axis of floats [..., K], [..., 1] each.

    The threshold is ``k * 1.4826 * MAD``, but at least so large that ``MOST_SALIENT`` of the values are salient. Where
    many values are 0, or most are equal, the median absolute deviation says nothing about the others. There the
    threshold leaves ``USUALLY_SALIENT`` of the values salient, at most half of the others, and never 0 itself.
    """
    median, deviation = median_and_deviation(values)
    distance = (values - median).abs()
    threshold = saliency_threshold(deviation, k).maximum(_exceeded(distance, MOST_SALIENT))
    zeros = (values == 0).mean(-1, keepdim=True, dtype=torch.float32) >= MANY_ZEROS
    degenerate = zeros | (deviation == 0)
    if bool(degenerate.any()):
        others = distance.masked_fill((values == 0) | (distance == 0), torch.nan).nanmedian(-1, keepdim=True).values
        found = _exceeded(distance, USUALLY_SALIENT).maximum(others.nan_to_num())
        threshold = torch.where(degenerate, found.maximum(torch.where(zeros, median.abs(), 0)), threshold)
    return median, threshold


def _exceeded(distance: Tensor, share: float) -> Tensor:
    """The distance that this share of the distances exceeds at most, along the last axis."""
    count = distance.shape[-1]
    return distance.kthvalue(count - int(share * count), dim=-1, keepdim=True).values


def is_salient(values: Tensor, *, median: float | Tensor, threshold: float | Tensor) -> Tensor:
    """``|x - median| > threshold``, bool of the values' shape."""
    return (values - median).abs() > threshold
