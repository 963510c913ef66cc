"""Uniform quantization grids, and rounding to them.

An asymmetric grid has codes ``0..top`` and an integer zero point. A symmetric one of B bits has codes
``-2**(B-1)..2**(B-1) - 1``, and the largest represents the end of the range.
"""

import torch
from torch import Tensor

from spikequant.golden.quantizer.affine import affine_grid, positive
from spikequant.golden.support.errors import InputError

MAX_BITS = 8


def check_bits(*, least: int, weight_bits: int, activation_bits: int) -> None:
    """Check the widths of a method.

    Raises:
        InputError: a width is outside ``least..8``.
    """
    for name, bits in (("weight_bits", weight_bits), ("activation_bits", activation_bits)):
        if not least <= bits <= MAX_BITS:
            raise InputError(f"{name}: {bits}, expected {least}..{MAX_BITS}")


def asymmetric_grid(values: Tensor, top: int | Tensor) -> tuple[Tensor, Tensor]:
    """The grid that spans the last axis, zero included.

    Args:
        values: float [..., K].
        top: largest code.

    Returns:
        Step (positive) and zero point (``0..top``), float [..., 1] each.
    """
    low = values.amin(-1, keepdim=True).clamp_(max=0)
    high = values.amax(-1, keepdim=True).clamp_(min=0)
    return affine_grid(low, high, top)


def round_asymmetric(values: Tensor, grid: tuple[Tensor, Tensor], top: int) -> Tensor:
    """Values on the grid, clipped to its ends; step and zero point broadcast to their shape."""
    step, zero = grid
    return (values / step).round_().add_(zero).clamp_(0, top).sub_(zero).mul_(step)


def symmetric_step(values: Tensor, bits: int, clip: float = 1.0) -> Tensor:
    """Step of the grid with ``clip`` times the largest magnitude of the last axis as its largest code.

    Args:
        values: float [..., K].
        bits: width of a code, 2 or more.
        clip: share of the range that is kept.

    Returns:
        float [..., 1], positive.
    """
    return positive(values.abs().amax(-1, keepdim=True).mul_(clip / (2 ** (bits - 1) - 1)))


def round_symmetric(values: Tensor, step: Tensor, bits: int) -> Tensor:
    """Values on the grid, clipped to its ends; the step broadcasts to their shape."""
    return (values / step).round_().clamp_(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1).mul_(step)


def round_tokens_asymmetric(values: Tensor, *, bits: int) -> Tensor:
    """Inputs [..., K] rounded to a grid for each token, found at run time."""
    top = 2**bits - 1
    return round_asymmetric(values, asymmetric_grid(values, top), top)


def round_rows_asymmetric(weight: Tensor, *, bits: int) -> Tensor:
    """Weights [N, K] rounded to a grid for each output channel."""
    return round_tokens_asymmetric(weight.detach().float(), bits=bits)


def round_tokens_symmetric(values: Tensor, *, bits: int, clip: float = 1.0) -> Tensor:
    """Inputs [..., K] rounded to a grid for each token, found at run time."""
    return round_symmetric(values, symmetric_step(values, bits, clip), bits)


def round_groups_symmetric(values: Tensor, *, bits: int, clip: float, group: int) -> Tensor:
    """Inputs [..., K] rounded to a grid for each token and group of adjacent inputs; the last may be smaller."""
    whole = values.shape[-1] // group * group
    parts = []
    if whole:
        grouped = values[..., :whole].unflatten(-1, (-1, group))
        parts.append(round_tokens_symmetric(grouped, bits=bits, clip=clip).flatten(-2))
    if whole < values.shape[-1]:
        parts.append(round_tokens_symmetric(values[..., whole:], bits=bits, clip=clip))
    return parts[0] if len(parts) == 1 else torch.cat(parts, -1)
