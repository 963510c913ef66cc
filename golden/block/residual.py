"""Residual stream: integers on a power-of-two step, to which layers add their results.

A layer that writes to the stream has a power of two as its scale, so its result ``code << e`` meets the stream after a
shift that is constant for the layer: one adder, one shifter for the code's exponent, no multiplier.

The stream grows with depth by orders of magnitude, so its step does too: it changes where a layer writes, by another
constant shift. The largest magnitude of each channel follows from the embeddings and from the exponents of all
earlier writers, since a code has a limit; the step is the finest with which that fits. So overflow is impossible.
"""

from dataclasses import dataclass
from math import frexp

import torch
from torch import Tensor

from spikequant.golden.block.fixed_point import round_shift, saturate
from spikequant.golden.block.results import Results

MOST_FRACTION = 24
"""Largest number of fractional bits of the stream."""


@dataclass(frozen=True)
class Addition:
    """Constants of a layer that writes to the stream.

    Attributes:
        stream_shift: places to the right from the stream before to the stream after, 0 or more.
        result_shift: places to the right from the layer's result to the stream after; negative to the left.
        fraction: fractional bits of the stream after.
    """

    stream_shift: int
    result_shift: int
    fraction: int


@dataclass(frozen=True)
class Bound:
    """Largest magnitudes of the stream at one place.

    Attributes:
        channels: int64 [K], of each channel in steps.
        fraction: fractional bits: a step is ``2**-fraction``.
    """

    channels: Tensor
    fraction: int


def entry_bound(largest: Tensor, bits: int) -> Bound:
    """Bound of the stream before the first block, with the finest step that fits.

    Args:
        largest: float [K], largest magnitudes of the embeddings.
        bits: width of the stream.
    """
    fraction = MOST_FRACTION
    while int((found := _rounded(largest, fraction)).max()) >= 2 ** (bits - 1):
        fraction -= 1
    return Bound(found, fraction)


def power_of_two(unit: float) -> int | None:
    """The logarithm of a positive power of two; None for another number."""
    part, exponent = frexp(unit)
    return exponent - 1 if part == 1 / 2 else None


def plan_addition(before: Bound, results: Results, power: int, bits: int) -> tuple[Addition, Bound]:
    """Constants of a layer that writes to the stream, and the stream's bound after it.

    Args:
        before: of the stream.
        results: format of the layer's results.
        power: logarithm of their unit.
        bits: width of the stream.
    """
    most = torch.full_like(results.exponents, 2 ** (results.bits - 1) - 1) << results.exponents
    fraction = before.fraction
    while True:
        addition = Addition(before.fraction - fraction, -(power + fraction), fraction)
        # rounding is odd and monotonous, so the bounds add as their extremes do
        after = add(before.channels, most, addition)
        if int(after.max()) < 2 ** (bits - 1):
            return addition, Bound(after, fraction)
        fraction -= 1


def _rounded(values: Tensor, fraction: int) -> Tensor:
    # a float64 holds the product exactly, and integers far beyond any width
    return (values.double() * 2.0**fraction).round().clamp(-(2.0**60), 2.0**60).long()


def enter(values: Tensor, *, bits: int, fraction: int) -> tuple[Tensor, Tensor]:
    """The stream from floats, such as a token's embedding, rounded half to even.

    Args:
        values: float32, finite.
        bits: signed width.
        fraction: fractional bits.

    Returns:
        int64 in ``-2**(bits - 1)..2**(bits - 1) - 1``, and bool flags of saturated values: none where the values are
        within the embeddings that ``entry_bound`` saw, or come from ``leave``.
    """
    return saturate(_rounded(values, fraction), bits)


def add(stream: Tensor, result: Tensor, addition: Addition) -> Tensor:
    """The stream after a layer, int64: both parts rounded half to even to its step, and added.

    Args:
        stream: int64 [..., K], within the bound before the layer.
        result: int64 [..., K], ``code << e``, of at most 31 bits.
        addition: constants of the layer.
    """
    return round_shift(stream, addition.stream_shift) + round_shift(result, addition.result_shift)


def leave(stream: Tensor, fraction: int) -> Tensor:
    """The stream as float32, exact for up to 25 signed bits."""
    return torch.ldexp(stream.float(), torch.tensor(-fraction))
