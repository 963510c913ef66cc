"""Scale and zero point of an asymmetric grid, for weights, activations and baselines."""

import torch
from torch import Tensor


def positive(scale: Tensor) -> Tensor:
    """Scales, with 1 instead of 0, or of numbers too small for a normal float32, for values that are all (almost) 0."""
    return torch.where(scale >= torch.finfo(torch.float32).tiny, scale, torch.ones_like(scale))


def affine_grid(low: Tensor, high: Tensor, top: int | Tensor) -> tuple[Tensor, Tensor]:
    """The grid with codes ``0..top`` that spans ``low..high``.

    Args:
        low: smallest value, 0 or less.
        high: largest value, 0 or more.
        top: largest code.

    Returns:
        Scale, positive, and zero point, a whole number in ``0..top``.
    """
    scale = positive((high - low) / top)
    # high is not negative, so that -low / scale exceeds top by rounding errors at most
    return scale, (-low / scale).round_()
