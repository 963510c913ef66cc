"""Saliency: distance from the median, on the scale of the median absolute deviation."""

from typing import TypeVar

from torch import Tensor

NORMAL_CONSISTENCY = 1.4826
"""Makes the median absolute deviation estimate the standard deviation of a normal distribution."""

Deviation = TypeVar("Deviation", float, Tensor)


def median_and_deviation(values: Tensor) -> tuple[Tensor, Tensor]:
    """Median and median absolute deviation along the last axis [..., K] of floats, [..., 1] each."""
    median = values.median(-1, keepdim=True).values
    return median, (values - median).abs().median(-1, keepdim=True).values


def saliency_threshold(deviation: Deviation, k: float) -> Deviation:
    """Distance from the median beyond which a value is salient: ``k * 1.4826 * MAD``."""
    return deviation * (k * NORMAL_CONSISTENCY)


def is_salient(values: Tensor, *, median: float | Tensor, threshold: float | Tensor) -> Tensor:
    """``|x - median| > threshold``, bool of the values' shape."""
    return (values - median).abs() > threshold
