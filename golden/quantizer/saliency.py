"""Which activations are salient: far from the median, on the scale of the median absolute deviation."""

from typing import TypeVar

from torch import Tensor

NORMAL_CONSISTENCY = 1.4826
"""Makes the median absolute deviation estimate the standard deviation of a normal distribution."""

Deviation = TypeVar("Deviation", float, Tensor)


def median_absolute_deviation(values: Tensor) -> tuple[float, float]:
    """The median of all values and the median of their distances from it.

    Args:
        values: float, any shape, at least one value.
    """
    flat = values.flatten()
    median = flat.median()
    return float(median), float((flat - median).abs().median())


def saliency_threshold(deviation: Deviation, k: float) -> Deviation:
    """Distance from the median beyond which a value is salient: ``k * 1.4826 * MAD``."""
    return deviation * (k * NORMAL_CONSISTENCY)


def is_salient(values: Tensor, *, median: float | Tensor, threshold: float | Tensor) -> Tensor:
    """Bool of the values' shape: ``|x - median| > threshold``."""
    return (values - median).abs() > threshold
