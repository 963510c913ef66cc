"""Encoding of activations as signed integer levels, which spikes carry."""

from dataclasses import dataclass

import torch
from torch import Tensor

from spikequant.golden.quantizer.saliency import is_salient
from spikequant.golden.quantizer.site import ROUNDING, AnySite

MAX_SALIENT_SHIFT = 11
"""Default limit of the salient shift, as in the default spec."""


@dataclass(frozen=True)
class Levels:
    """Encoded activations of any number of tokens.

    Attributes:
        level: signed integers n as floats [..., K], ready for a float matrix product.
        scale: value of one level; a number, or float [..., 1] for a scale per token.
        zero: zero point of the normal codes; a number, or float [..., 1].
        salient: bool [..., K], levels from salient codes.
        shift: int32 [...], power of two m of a token's salient codes.
        offset: int32 [...], smallest salient code c0 of a token, in ``-(2**salient_bits - 1)..0``.
        clipped: bool [...], tokens that need a larger shift than allowed, so that some values are clipped.
    """

    level: Tensor
    scale: float | Tensor
    zero: int | Tensor
    salient: Tensor
    shift: Tensor
    offset: Tensor
    clipped: Tensor


def window_shift(span: Tensor, codes: int) -> Tensor:
    """The smallest m >= 0 with ``span <= codes * 2**m``, int32 of the span's shape."""
    exponent = torch.frexp(span / codes).exponent
    # frexp's exponent is one too large at a power of two, and rounding of the division may make it one too small
    below = span <= torch.ldexp(torch.full_like(span, codes), exponent - 1)
    above = span > torch.ldexp(torch.full_like(span, codes), exponent)
    return (exponent - below.int() + above.int()).clamp(min=0)


@dataclass(frozen=True)
class _Salient:
    level: Tensor
    shift: Tensor
    offset: Tensor
    clipped: Tensor


def salient_window(ratio: Tensor, bits: int, max_shift: int) -> _Salient:
    """Levels of salient values in each token's window.

    With r the ratios and their extremes over the token, zero included, m is the smallest integer with
    ``r_max - r_min <= 31 * 2**m``, ``c0 = round(r_min / 2**m)``, and
    ``n = clip(round(r / 2**m), c0, c0 + 31) * 2**m`` (31 is ``2**bits - 1``).

    Args:
        ratio: float [..., K], salient values in steps of the site's scale, 0 elsewhere.
        bits: width of a code.
        max_shift: limit of m.
    """
    codes = 2**bits - 1
    low, high = ratio.amin(-1).clamp_(max=0), ratio.amax(-1).clamp_(min=0)
    needed = window_shift(high - low, codes)
    shift = needed.clamp(max=max_shift)
    step = torch.ldexp(torch.ones_like(low), shift)
    offset = (low / step).round().clamp_(min=-codes)
    first = offset.unsqueeze(-1)
    code = (ratio / step.unsqueeze(-1)).round_().clamp_(first, first + codes)
    return _Salient(code.mul_(step.unsqueeze(-1)), shift, offset.int(), needed > max_shift)


def _salient_float(ratio: Tensor, bits: int, max_shift: int) -> _Salient:
    """Levels of salient values as small floats: a sign, one bit of mantissa, and ``bits - 2`` of exponent.

    The largest magnitude of the token sets its largest exponent; the smallest exponent is that of subnormal numbers.
    Levels are integers, so that small ones have no mantissa. This needs a datapath that shifts each spike by its own
    exponent.
    """
    magnitude = ratio.abs()
    largest = torch.frexp(magnitude.amax(-1, keepdim=True))
    # from 7/8 of a power of two, the largest magnitude rounds up to that power
    top = largest.exponent + (largest.mantissa >= 7 / 8)
    lowest = (top - 2 ** (bits - 2) + 2).clamp(min=0)
    exponent = torch.maximum(torch.frexp(magnitude).exponent, lowest)
    # frexp's mantissa is in 1/2..1, so that one step is a quarter of the power of two
    step = torch.ldexp(torch.ones_like(ratio), exponent - 2).clamp_(min=1)
    limit = torch.ldexp(torch.ones_like(ratio), torch.full_like(exponent, max_shift + bits))
    level = (ratio / step).round_().mul_(step).clamp_(-limit, limit)
    tokens = torch.zeros(ratio.shape[:-1], dtype=torch.int32)
    return _Salient(level, tokens, tokens, (magnitude > limit).any(-1))


def encode(values: Tensor, site: AnySite, *, max_shift: int = MAX_SALIENT_SHIFT) -> Levels:
    """Levels of activations at a calibrated site.

    Normal values: ``n = clip(round(x/s) + z, 0, 15) - z``, and 0 in the site's dead zone. Salient ones
    share a window per token, see ``salient_window``. Rounding is half to even.

    Args:
        values: float [..., K].
        site: the calibrated site.
        max_shift: limit of m; tokens that need more are clipped and flagged.
    """
    grid = site.grid(values)
    ratio = values / grid.scale
    level = ratio.round().clamp_(-grid.zero, 2**site.bits - 1 - grid.zero)
    if site.dead_zone > ROUNDING:
        level.masked_fill_(ratio.abs() < site.dead_zone, 0)
    if not site.salient_bits:
        none = torch.zeros(values.shape[:-1], dtype=torch.int32)
        silent = torch.zeros_like(values, dtype=torch.bool)
        return Levels(level, grid.scale, grid.zero, silent, none, none, none.bool())
    salient = is_salient(values, median=grid.median, threshold=grid.threshold)
    ratio.masked_fill_(~salient, 0)
    spread = salient_window if site.salient_format == "window" else _salient_float
    found = spread(ratio, site.salient_bits, max_shift)
    level = torch.where(salient, found.level, level)
    return Levels(level, grid.scale, grid.zero, salient, found.shift, found.offset, found.clipped)
