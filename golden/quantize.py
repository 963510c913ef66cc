"""The quantizers: one activation site from its statistics, one weight matrix into codes."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from golden.saliency import saliency_threshold

WEIGHT_BITS = 4
ACTIVATION_BITS = 4
SALIENT_BITS = 5
MAX_CODE = 15
"""Largest 4-bit code, of weights and of normal activations."""

LOW_STEPS = 16
"""Steps of a wide column's low half in one step of its high half."""

SEARCH_ROWS = 16

CLIP_GRID = tuple(1.0 - 0.05 * i for i in range(11))
"""Fractions of a row's range that the clip search tries."""


@dataclass(frozen=True)
class SiteStatistics:
    """What calibration text says about the input of one or more layers.

    Attributes:
        median: median of all values.
        deviation: median absolute deviation of all values.
        low: smallest value.
        high: largest value.
        power: float64 [K], mean of x**2 per input.
    """

    median: float
    deviation: float
    low: float
    high: float
    power: Tensor


@dataclass(frozen=True)
class Site:
    """Static quantization of an activation site; the numbers are exact in float32.

    Attributes:
        median: centre of the salient rule.
        threshold: distance from the median beyond which a value is salient.
        scale: value of one level (s), positive.
        zero: zero point of the normal codes (z), 0..15.
    """

    median: float
    threshold: float
    scale: float
    zero: int

    def __post_init__(self) -> None:
        """Refuse numbers that no calibration gives.

        Raises:
            ValueError: there is one.
        """
        finite = all(map(math.isfinite, (self.median, self.threshold, self.scale)))
        if not finite or self.threshold < 0 or self.scale <= 0 or not 0 <= self.zero <= MAX_CODE:
            raise ValueError(f"expected finite numbers, threshold >= 0, scale > 0, zero in 0..{MAX_CODE}, got {self}")


def calibrate_site(statistics: SiteStatistics, k: float) -> Site:
    """The site's scale spans what is not salient, zero included.

    ``thr = k * 1.4826 * MAD``, ``lo = min(0, max(med - thr, min))``, ``hi = max(0, min(med + thr, max))``,
    ``s = (hi - lo) / 15``, ``z = round(-lo / s)``. A site that is always zero gets scale 1.
    """
    threshold = saliency_threshold(statistics.deviation, k)
    low = min(0.0, max(statistics.median - threshold, statistics.low))
    high = max(0.0, min(statistics.median + threshold, statistics.high))
    scale = float(np.float32((high - low) / MAX_CODE)) or 1.0
    return Site(
        median=float(np.float32(statistics.median)),
        threshold=float(np.float32(threshold)),
        scale=scale,
        zero=min(MAX_CODE, round(-low / scale)),
    )


@dataclass(frozen=True)
class QuantizedWeight:
    """A weight matrix as codes: ``w = scales * (codes - zeros)``, plus ``scales * low / 16`` in wide columns.

    Attributes:
        codes: uint8 [N, K], 0..15.
        zeros: uint8 [N], 0..15.
        scales: float32 [N], positive.
        wide: int32 [M], ascending indices of the 8-bit columns.
        low: uint8 [N, M], low halves of the wide columns, 0..15.
    """

    codes: Tensor
    zeros: Tensor
    scales: Tensor
    wide: Tensor
    low: Tensor

    def steps(self) -> Tensor:
        """Signed weights in steps of the row's scale, float32 [N, K]; multiples of 1/16 in wide columns."""
        steps = self.codes.float() - self.zeros.float()[:, None]
        if self.wide.numel():
            steps[:, self.wide.long()] += self.low.float() / LOW_STEPS
        return steps

    def values(self) -> Tensor:
        """The real weights that the codes stand for, float32 [N, K]."""
        return self.steps() * self.scales[:, None]


def _row_grid(low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """Scale and zero point of rows that span ``low..high``, zero included; a row of zeros gets scale 1."""
    scales = (high - low) / MAX_CODE
    scales = torch.where(scales > 0, scales, torch.ones_like(scales))
    return scales, (-low / scales).round().clamp(0, MAX_CODE)


def _rounded(weight: Tensor, scales: Tensor, zeros: Tensor, wide: Tensor) -> Tensor:
    """Weights on the grid, in steps with the zero point added: 0..15, and 0..15+15/16 in the wide columns."""
    ratio = weight / scales[:, None]
    grid = (ratio.round() + zeros[:, None]).clamp(0, MAX_CODE)
    if wide.numel():
        fine = (ratio[:, wide] * LOW_STEPS).round() + zeros[:, None] * LOW_STEPS
        grid[:, wide] = fine.clamp(0, MAX_CODE * LOW_STEPS + LOW_STEPS - 1) / LOW_STEPS
    return grid


def _searched_range(weight: Tensor, low: Tensor, high: Tensor, power: Tensor, wide: Tensor) -> tuple[Tensor, Tensor]:
    """Each row's range times the fraction of ``CLIP_GRID`` with the least error weighted by input power."""
    fractions = []
    # a few rows at a time stay in the cache, which makes the search several times faster
    for rows, row_low, row_high in zip(*(values.split(SEARCH_ROWS) for values in (weight, low, high)), strict=True):
        best = torch.full_like(row_low, torch.inf)
        fraction = torch.ones_like(row_low)
        for candidate in CLIP_GRID:
            scales, zeros = _row_grid(row_low * candidate, row_high * candidate)
            values = (_rounded(rows, scales, zeros, wide) - zeros[:, None]) * scales[:, None]
            error = (values - rows).square() @ power
            better = error < best
            best = torch.where(better, error, best)
            fraction = torch.where(better, candidate, fraction)
        fractions.append(fraction)
    fraction = torch.cat(fractions)
    return low * fraction, high * fraction


def choose_wide(weight: Tensor, power: Tensor, count: int) -> Tensor:
    """The ``count`` columns that gain most from 8 bits: (4-bit minus 8-bit error) times E[x**2].

    Args:
        weight: float [N, K].
        power: float [K], mean of x**2 per input.
        count: 0..K.

    Returns:
        int64 [count], ascending.
    """
    low, high = weight.amin(1).clamp(max=0), weight.amax(1).clamp(min=0)
    scales, zeros = _row_grid(low, high)

    def error(wide: Tensor) -> Tensor:
        values = (_rounded(weight, scales, zeros, wide) - zeros[:, None]) * scales[:, None]
        return (values - weight).square().sum(0)

    gain = (error(torch.arange(0)) - error(torch.arange(weight.shape[1]))) * power
    return gain.topk(count).indices.sort().values


def quantize_weight(
    weight: Tensor, *, power: Tensor | None = None, wide_fraction: float = 0.0, clip_search: bool = False
) -> QuantizedWeight:
    """Asymmetric 4-bit codes per output channel.

    The row's range is its own minimum and maximum, zero included; ``clip_search`` shrinks it where that
    lowers the error weighted by input power.

    Args:
        weight: float [N, K].
        power: float [K], mean of x**2 per input; ones by default.
        wide_fraction: 0..1, share of the columns with 8 bits, rounded to whole columns.
        clip_search: whether to search each row's range.
    """
    weight = weight.detach().float()
    power = torch.ones(weight.shape[1]) if power is None else power.float()
    wide = choose_wide(weight, power, round(wide_fraction * weight.shape[1]))
    low, high = weight.amin(1).clamp(max=0), weight.amax(1).clamp(min=0)
    if clip_search:
        low, high = _searched_range(weight, low, high, power, wide)
    scales, zeros = _row_grid(low, high)
    grid = _rounded(weight, scales, zeros, wide)
    codes = grid.floor()
    return QuantizedWeight(
        codes=codes.to(torch.uint8),
        zeros=zeros.to(torch.uint8),
        scales=scales,
        wide=wide.to(torch.int32),
        low=((grid - codes)[:, wide] * LOW_STEPS).to(torch.uint8),
    )
