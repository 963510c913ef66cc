"""Fixed-point integers: rounding shifts, saturation, and constants that are rounded correctly from exact fractions.

Tensors are int64 and hold integers x that stand for ``x * 2**-fraction``. Nothing here computes in floats.
"""

from fractions import Fraction
from math import isqrt

import torch
from torch import Tensor

WIDEST = 62
"""Largest shift: an int64 shifted by more is 0 or lost."""


def round_shift(values: Tensor, bits: int | Tensor) -> Tensor:
    """``values * 2**-bits``, rounded half to even.

    In hardware, to the right: an arithmetic shift of the value plus ``2**(bits - 1) - 1``, with the lowest bit of the
    result as carry in, so one adder. To the left, it is exact.

    Args:
        values: int64, of a magnitude below ``2**62``, and ``2**(62 + bits)`` where bits are negative.
        bits: places to the right, -62..62; a number, or int64 that broadcasts.
    """
    if isinstance(bits, int):
        if bits <= 0:
            return values << -bits
        return values + (2 ** (bits - 1) - 1) + (values >> bits & 1) >> bits
    right, left = bits.clamp(0, WIDEST), (-bits).clamp(0, WIDEST)
    almost_half = (torch.ones_like(right) << right >> 1) - 1
    rounded = (values + almost_half + (values >> right & 1)) >> right
    return torch.where(right > 0, rounded, values << left)


def floor_shift(values: Tensor, bits: int | Tensor) -> Tensor:
    """``values * 2**-bits``, truncated towards minus infinity; arguments as for ``round_shift``."""
    places = torch.as_tensor(bits)
    return values >> places.clamp(0, WIDEST) << (-places).clamp(0, WIDEST)


def saturate(values: Tensor, bits: int) -> tuple[Tensor, Tensor]:
    """Values clipped to a signed width, and bool flags of those that were outside."""
    limit = 2 ** (bits - 1)
    clipped = values.clamp(-limit, limit - 1)
    return clipped, clipped != values


def bit_length(values: Tensor) -> Tensor:
    """Bits of positive int64 below ``2**62``, without leading zeros: a priority encoder."""
    powers = 1 << torch.arange(WIDEST)
    return torch.bucketize(values, powers, right=True)


def mantissa(value: Fraction, bits: int) -> tuple[int, int]:
    """The integer m of exactly ``bits`` bits and the exponent e with ``value = m * 2**-e``, rounded half to even.

    Args:
        value: positive.
        bits: 1 or more.
    """
    power = value.numerator.bit_length() - value.denominator.bit_length()
    if value < Fraction(2) ** power:
        power -= 1
    exponent = bits - 1 - power
    found = round(value * Fraction(2) ** exponent)
    return (found, exponent) if found < 2**bits else (found // 2, exponent - 1)


def rounded_root(value: Fraction) -> int:
    """Square root of a fraction that is not negative, to the nearest integer, half up."""
    # the floor of twice the root decides, and is a root of whole numbers
    return (isqrt(4 * value.numerator // value.denominator) + 1) // 2
