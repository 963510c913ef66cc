"""Activations into signed integer levels: what the spikes carry."""

from dataclasses import dataclass

import torch
from torch import Tensor

from golden.quantize import MAX_CODE, SALIENT_BITS, Site
from golden.saliency import is_salient

MAX_SALIENT_SHIFT = 11
"""Default limit of the salient codes' power of two, as in the default spec."""


@dataclass(frozen=True)
class Levels:
    """Encoded activations of any number of tokens.

    Attributes:
        level: signed integers n as floats [..., K], ready for a float matrix product.
        salient: bool [..., K], levels from salient codes.
        shift: int32 [...], power of two m of a token's salient codes.
        offset: int32 [...], smallest salient code c0 of a token, in ``-(2**salient_bits - 1)..0``.
        clipped: bool [...], tokens that needed a larger shift than allowed: their window misses some value.
    """

    level: Tensor
    salient: Tensor
    shift: Tensor
    offset: Tensor
    clipped: Tensor


def _window_shift(span: Tensor, codes: int) -> Tensor:
    """The smallest m >= 0 with ``span <= codes * 2**m``, int32 of the span's shape."""
    exponent = torch.frexp(span / codes).exponent
    # frexp's exponent is never too small by more than the division's rounding, and too large by one at most
    below = span <= torch.ldexp(torch.full_like(span, codes), exponent - 1)
    above = span > torch.ldexp(torch.full_like(span, codes), exponent)
    return (exponent - below.int() + above.int()).clamp(min=0)


def encode(
    values: Tensor, site: Site, *, salient_bits: int = SALIENT_BITS, max_shift: int = MAX_SALIENT_SHIFT
) -> Levels:
    """Levels of activations at a calibrated site.

    Normal values: ``n = clip(round(x/s) + z, 0, 15) - z``. Salient ones share a window per token: with
    ``r = x/s`` and its extremes over the token's salient values, zero included, m is the smallest integer
    with ``r_max - r_min <= 31 * 2**m``, ``c0 = round(r_min / 2**m)``, and
    ``n = clip(round(r / 2**m), c0, c0 + 31) * 2**m`` (31 is ``2**salient_bits - 1``). Rounding is half to even.

    Args:
        values: float [..., K].
        site: the calibrated site.
        salient_bits: width of a salient code; 0 treats every value as normal.
        max_shift: limit of m; tokens that need more are clipped and marked.
    """
    ratio = values / site.scale
    level = ratio.round().clamp_(-site.zero, MAX_CODE - site.zero)
    tokens = values.shape[:-1]
    if not salient_bits:
        none = torch.zeros(tokens, dtype=torch.int32)
        return Levels(level, torch.zeros_like(values, dtype=torch.bool), none, none, none.bool())
    codes = 2**salient_bits - 1
    salient = is_salient(values, median=site.median, threshold=site.threshold)
    ratio.masked_fill_(~salient, 0)
    low, high = ratio.amin(-1).clamp_(max=0), ratio.amax(-1).clamp_(min=0)
    needed = _window_shift(high - low, codes)
    shift = needed.clamp(max=max_shift)
    step = torch.ldexp(torch.ones_like(low), shift)
    offset = (low / step).round().clamp_(min=-codes)
    first = offset.unsqueeze(-1)
    code = (ratio / step.unsqueeze(-1)).round_().clamp_(first, first + codes)
    level = torch.where(salient, code.mul_(step.unsqueeze(-1)), level)
    return Levels(level, salient, shift, offset.int(), needed > max_shift)
