"""Residual stream: integers on one step for the whole model, to which layers add their results.

A layer that writes to the stream has a power of two as its scale, so its result ``code << e`` meets the stream after a
shift that is constant for the layer. No multiplier; one adder, and one shifter for the code's exponent.
"""

from math import frexp

import torch
from torch import Tensor

from spikequant.golden.block.fixed_point import round_shift, saturate


def enter(values: Tensor, *, bits: int, fraction: int) -> tuple[Tensor, Tensor]:
    """The stream from floats, such as a token's embedding, rounded half to even.

    Args:
        values: float32, finite.
        bits: signed width.
        fraction: fractional bits.

    Returns:
        int64 in ``-2**(bits - 1)..2**(bits - 1) - 1``, and bool flags of saturated values.
    """
    # a float64 holds the product exactly, and integers far beyond any width
    scaled = (values.double() * 2.0**fraction).round().clamp(-(2.0**60), 2.0**60)
    return saturate(scaled.long(), bits)


def result_shift(scale: float, fraction: int) -> int | None:
    """Places to the right from a layer's result to the stream; None for a scale that is no power of two.

    Args:
        scale: one unit of the result, positive.
        fraction: fractional bits of the stream.
    """
    part, exponent = frexp(scale)
    return -(exponent - 1 + fraction) if part == 1 / 2 else None


def add(stream: Tensor, result: Tensor, *, shift: int, bits: int) -> tuple[Tensor, Tensor]:
    """``stream + result * 2**-shift``, with the result rounded half to even, and the sum saturated.

    Args:
        stream: int64 of ``bits`` signed bits.
        result: int64 of the stream's shape: ``code << e``, of at most 31 bits.
        shift: by ``result_shift``, -30..62.
        bits: width of the stream.

    Returns:
        The new stream, and bool flags of saturated sums.
    """
    return saturate(stream + round_shift(result, shift), bits)


def leave(stream: Tensor, fraction: int) -> Tensor:
    """The stream as float32, exact for up to 25 signed bits."""
    return torch.ldexp(stream.float(), torch.tensor(-fraction))
