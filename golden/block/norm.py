"""Root-mean-square norm of the residual stream, with results in steps of the next site.

With h the stream's integers, K channels, g the gains and s the site's step::

    ratio[k] = g[k] / s * h[k] / sqrt(sum(h**2) / K + eps)
             = (h[k] / sqrt(sum(h**2) + K * eps)) * (sqrt(K) * g[k] / s)

The first factor is a number in -1..1 whatever the token, the second one a constant for each channel. Structure: one
pass over the token squares and accumulates while the stream is written; then the inverse root, once a token; then a
second pass multiplies each channel by the inverse root, and by its gain. Three multipliers of 18 bits in a pipeline,
or two where the first pass shares one with the second. Newton's step takes three products a token on any of them.
"""

from dataclasses import dataclass
from fractions import Fraction
from functools import cache

import torch
from torch import Tensor

from spikequant.golden.block.fixed_point import bit_length, floor_shift, round_shift, rounded_root, saturate
from spikequant.golden.block.settings import BlockWidths
from spikequant.golden.support.errors import InputError

MOST_TOTAL_BITS = 61
"""Largest width of a sum of squares."""


@dataclass(frozen=True)
class NormConstants:
    """Constants of one norm and its site.

    Attributes:
        gains: int64 [K], ``sqrt(K) * g / s * 2**gain_fraction``, in ``gain_bits`` signed bits.
        gain_fraction: fractional bits of the gains: one place for all.
        epsilon: ``K * eps`` in squared steps of the stream, 0 or more.
    """

    gains: Tensor
    gain_fraction: int
    epsilon: int


def norm_constants(gains: Tensor, epsilon: float, step: float, fraction: int, widths: BlockWidths) -> NormConstants:
    """Constants, each rounded once from exact fractions.

    Args:
        gains: float32 [K].
        epsilon: added to the mean square; not negative.
        step: value of one level of the site (s).
        fraction: fractional bits of the stream.
        widths: of the block.

    Raises:
        InputError: the sum of squares may have more than 61 bits.
    """
    channels = gains.numel()
    total_bits = 2 * (widths.residual_bits - 1) + channels.bit_length()
    if total_bits > MOST_TOTAL_BITS:
        raise InputError(
            f"integer block: {channels} squares of {widths.residual_bits} bits have a sum of {total_bits} bits, "
            f"expected {MOST_TOTAL_BITS} at most"
        )
    exact = [Fraction(gain) / Fraction(step) for gain in gains.tolist()]
    squares = [channels * value * value for value in exact]
    limit = 2 ** (widths.gain_bits - 1)
    places = _root_fraction(max(squares), limit)
    rounded = [rounded_root(square * Fraction(4) ** places) for square in squares]
    signed = [-root if value < 0 else root for root, value in zip(rounded, exact, strict=True)]
    added = round(channels * Fraction(epsilon) * Fraction(4) ** fraction)
    return NormConstants(torch.tensor(signed), places, added)


def _root_fraction(square: Fraction, limit: int) -> int:
    """The most fractional bits with which a root stays below a limit; 0 for the root of 0."""
    if not square:
        return 0
    # an estimate from above, half the logarithm's difference
    fraction = limit.bit_length() + (square.denominator.bit_length() - square.numerator.bit_length() + 1) // 2 + 1
    while rounded_root(square * Fraction(4) ** fraction) >= limit:
        fraction -= 1
    return fraction


@cache
def root_table(index_bits: int, bits: int) -> Tensor:
    """Inverse roots of x in 1..4, int64 ``[2**index_bits]``, the first quarter of them unused.

    Entry i is ``2**bits / sqrt(x)`` in the middle ``x = (i + 1/2) / 2**(index_bits - 2)`` of its interval, rounded
    half up: a number in ``2**(bits - 1)..2**bits - 1``, whose highest bit need not be stored.
    """
    quarter = 2 ** (index_bits - 2)
    entries = [rounded_root(Fraction(4**bits) * quarter * 2 / (2 * index + 1)) for index in range(quarter, 4 * quarter)]
    # where the table is finer than its entries, the first would have one bit more
    return torch.tensor([0] * quarter + [min(entry, 2**bits - 1) for entry in entries])


def inverse_root(total: Tensor, widths: BlockWidths) -> tuple[Tensor, Tensor]:
    """Inverse square roots of positive integers, as a mantissa and an exponent.

    With q the largest integer with ``4**q <= total``, ``x = total / 4**q`` is in 1..4. Its highest bits address the
    table, and each Newton step ``y = y + y * (1 - x * y**2) / 2`` squares the table's error.

    Args:
        total: int64 in ``1..2**61``.
        widths: of the block.

    Returns:
        Mantissas, int64 below ``2**root_bits``, and exponents q, int64:
        ``1 / sqrt(total) = mantissa / 2**(root_bits + q)``.
    """
    bits = widths.root_bits
    exponent = (bit_length(total) - 1) // 2
    index = _top(total, exponent, widths.root_index_bits)
    found = root_table(widths.root_index_bits, bits)[index]
    for _ in range(widths.root_steps):
        # 1 - x * y**2 of at most 2**-(index_bits - 2) in magnitude, in units of 2**-(2 * bits - 2)
        product = (found * found >> bits) * _top(total, exponent, bits)
        correction = 2 ** (2 * bits - 2) - product >> bits - 1
        found = (found + (found * correction >> bits)).clamp(max=2**bits - 1)
    return found, exponent


def _top(total: Tensor, exponent: Tensor, bits: int) -> Tensor:
    """The highest bits of ``total / 4**exponent``, which is in 1..4, as an integer of ``bits`` bits."""
    down = 2 * exponent + 2 - bits
    return torch.where(down > 0, total >> down.clamp(min=0), total << (-down).clamp(min=0))


def normalize(stream: Tensor, constants: NormConstants, widths: BlockWidths) -> tuple[Tensor, Tensor]:
    """The norm of a token's stream in steps of the site.

    Widths: a square has ``2 * residual_bits - 1`` bits, their sum ``ceil(log2(K))`` more. A value over the root of
    that sum is at most 1 in magnitude, and ``1 + 2**-4`` with the error of the smallest table; so it fits
    ``unit_fraction + 2`` signed bits. The ratio saturates.

    Args:
        stream: int64 [..., K].
        constants: of the norm.
        widths: of the block.

    Returns:
        int64 [..., K] of ``ratio_bits`` signed bits, ``ratio_fraction`` of them fractional, truncated, and bool flags
        of saturated ratios.
    """
    total = (stream.square().sum(-1, keepdim=True) + constants.epsilon).clamp(min=1)
    root, exponent = inverse_root(total, widths)
    unit = round_shift(stream * root, widths.root_bits + exponent - widths.unit_fraction)
    places = widths.unit_fraction + constants.gain_fraction - widths.ratio_fraction
    return saturate(floor_shift(unit * constants.gains, places), widths.ratio_bits)
