"""Activation sites: the grid of levels for the input of a layer."""

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from spikequant.golden.quantizer.affine import affine_grid, positive
from spikequant.golden.quantizer.saliency import salient_band
from spikequant.golden.quantizer.statistics import SiteStatistics

ACTIVATION_BITS = 4
SALIENT_BITS = 5

ROUNDING = 0.5
"""Dead zone of plain rounding, in steps."""

LEAST_THRESHOLD = 0.5
"""Smallest distance from the median at which a value is salient, in steps: closer ones round to the same code."""

ZeroPoint = Literal["free", "symmetric"]
"""Free: the zero point follows the range. Symmetric: it is in the middle of the codes, ``2**(bits - 1)``."""

SalientFormat = Literal["window", "float"]
"""Window: integer codes times a power of two per token. Float: a sign, an exponent, and one bit of mantissa."""


@dataclass(frozen=True)
class Grid:
    """Position of the levels: numbers for a static site, tensors [..., 1] for a grid per token.

    Attributes:
        median: centre of the salient rule.
        threshold: distance from the median beyond which a value is salient.
        scale: value of one level (s), positive.
        zero: zero point of the normal codes (z).
    """

    median: float | Tensor
    threshold: float | Tensor
    scale: float | Tensor
    zero: int | Tensor


@dataclass(frozen=True, kw_only=True)
class Codes:
    """Format of a site's codes.

    Attributes:
        bits: width of a normal code, 1..8.
        salient_bits: width of a salient code, 2..8 (3..8 for floats), or 0 for none.
        salient_format: spacing of the salient codes.
        dead_zone: inputs below this many steps are silent; 1/2, where they round to 0, or more.
    """

    bits: int = ACTIVATION_BITS
    salient_bits: int = SALIENT_BITS
    salient_format: SalientFormat = "window"
    dead_zone: float = ROUNDING

    def __post_init__(self) -> None:
        """Check the widths.

        Raises:
            ValueError: a width is out of range.
        """
        # a float has a sign, a bit of mantissa, and an exponent
        fewest = 2 if self.salient_format == "window" else 3
        if not 1 <= self.bits <= 8 or (self.salient_bits and not fewest <= self.salient_bits <= 8):
            got = f"{self.bits} and {self.salient_bits}"
            raise ValueError(f"expected bits in 1..8 and salient_bits 0 or {fewest}..8, got {got}")
        if not ROUNDING <= self.dead_zone < 2**self.bits:
            raise ValueError(f"expected dead_zone in {ROUNDING}..{2**self.bits} steps, got {self.dead_zone}")


@dataclass(frozen=True)
class Site(Codes):
    """Activation site with a static grid; its numbers are exact in float32.

    Attributes:
        median: centre of the salient rule.
        threshold: distance from the median beyond which a value is salient.
        scale: value of one level (s), positive.
        zero: zero point of the normal codes (z), ``0..2**bits - 1``.
    """

    median: float
    threshold: float
    scale: float
    zero: int

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ValueError: a number is out of range.
        """
        super().__post_init__()
        finite = all(map(math.isfinite, (self.median, self.threshold, self.scale)))
        if not finite or self.threshold < 0 or self.scale <= 0 or not 0 <= self.zero < 2**self.bits:
            raise ValueError(
                f"expected finite numbers, threshold >= 0, scale > 0, zero in 0..{2**self.bits - 1}, got {self}"
            )

    def grid(self, values: Tensor) -> Grid:  # noqa: ARG002 - the grid of a TokenSite depends on them
        """The same grid for all tokens."""
        return Grid(self.median, self.threshold, self.scale, self.zero)


@dataclass(frozen=True)
class TokenSite(Codes):
    """Activation site with a grid for each token.

    Attributes:
        k: saliency factor.
        zero_point: position of the zero point.
    """

    k: float
    zero_point: ZeroPoint = "free"

    def grid(self, values: Tensor) -> Grid:
        """The grid of each token of values [..., K]: its own median, deviation and extremes."""
        median, threshold = salient_band(values, self.k)
        low = torch.maximum(median - threshold, values.amin(-1, keepdim=True)).clamp(max=0)
        high = torch.minimum(median + threshold, values.amax(-1, keepdim=True)).clamp(min=0)
        scale, zero = _scale_and_zero(low, high, self.bits, self.zero_point)
        return Grid(median, threshold.maximum(scale * LEAST_THRESHOLD), scale, zero)


AnySite = Site | TokenSite


def _scale_and_zero(low: Tensor, high: Tensor, bits: int, zero_point: ZeroPoint) -> tuple[Tensor, Tensor]:
    """Scale and zero point of codes that span ``low..high``, which includes 0; scale 1 for an empty span."""
    codes = 2**bits - 1
    if zero_point == "free":
        return affine_grid(low, high, codes)
    zero = torch.full_like(low, 2 ** (bits - 1))
    return positive(torch.maximum(-low / zero, high / (codes - zero).clamp(min=1))), zero


def calibrate_site(
    statistics: SiteStatistics,
    k: float,
    *,
    bits: int = ACTIVATION_BITS,
    salient_bits: int = SALIENT_BITS,
    zero_point: ZeroPoint = "free",
    salient_format: SalientFormat = "window",
    dead_zone: float = ROUNDING,
) -> Site:
    """The site whose codes span the values that are not salient, zero included.

    ``thr = k * 1.4826 * MAD``, ``lo = min(0, max(med - thr, min))``, ``hi = max(0, min(med + thr, max))``,
    ``s = (hi - lo) / 15``, ``z = round(-lo / s)``, where 15 is ``2**bits - 1``. See ``salient_band`` for distributions
    whose median absolute deviation is 0 or says little. A site that is always zero gets scale 1. No threshold is less
    than half a step.
    """
    median, threshold = map(float, salient_band(statistics.sample.flatten().float(), k))
    low = min(0.0, max(median - threshold, float(statistics.low.min())))
    high = max(0.0, min(median + threshold, float(statistics.high.max())))
    scale, zero = _scale_and_zero(
        torch.tensor(low, dtype=torch.float64), torch.tensor(high, dtype=torch.float64), bits, zero_point
    )
    threshold = min(max(threshold, float(scale) * LEAST_THRESHOLD), float(np.finfo(np.float32).max))
    return Site(
        median=float(np.float32(median)),
        threshold=float(np.float32(threshold)),
        scale=float(np.float32(float(scale))),
        zero=int(zero),
        bits=bits,
        salient_bits=salient_bits,
        salient_format=salient_format,
        dead_zone=dead_zone,
    )


def salient_outside(site: Site) -> Site:
    """The same grid, where a value is salient exactly if it rounds to no normal code.

    In codes, normal values are in ``-1/2 .. 2**bits - 1/2``; the median becomes the middle of that.
    """
    codes = 2**site.bits
    return replace(
        site,
        median=float(np.float32(site.scale * ((codes - 1) / 2 - site.zero))),
        threshold=float(np.float32(site.scale * codes / 2)),
    )
