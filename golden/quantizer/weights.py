"""Weight quantizer: from a matrix to codes."""

from dataclasses import dataclass

import torch
from torch import Tensor

from spikequant.golden.quantizer.affine import affine_grid
from spikequant.golden.quantizer.gptq import gptq

WEIGHT_BITS = 4

LOW_BITS = 4
"""Width of the low half of a wide column."""

LOW_STEPS = 2**LOW_BITS
"""Steps of a wide column's low half in one step of its high half."""

SEARCH_ROWS = 16

CLIP_GRID = tuple(1.0 - 0.05 * i for i in range(11))
"""Candidate fractions of a row's range in the clip search."""


@dataclass(frozen=True)
class QuantizedWeight:
    """A weight matrix as codes: ``w = scales * (codes - zeros)``, plus ``scales * low / 16`` in wide columns.

    Attributes:
        codes: uint8 [N, K], ``0..2**bits - 1``.
        zeros: uint8 [N], ``0..2**bits - 1``.
        scales: float32 [N], positive.
        wide: int32 [M], ascending indices of the columns with a low half.
        low: uint8 [N, M], low halves of the wide columns, 0..15.
        bits: width of a code, 1..8.
    """

    codes: Tensor
    zeros: Tensor
    scales: Tensor
    wide: Tensor
    low: Tensor
    bits: int = WEIGHT_BITS

    def steps(self) -> Tensor:
        """Signed weights in steps of the row's scale, float32 [N, K]; multiples of 1/16 in wide columns."""
        steps = self.codes.float() - self.zeros.float()[:, None]
        if self.wide.numel():
            steps[:, self.wide.long()] += self.low.float() / LOW_STEPS
        return steps

    def values(self) -> Tensor:
        """The weights that the codes represent, float32 [N, K]."""
        return self.steps() * self.scales[:, None]


@dataclass(frozen=True)
class WeightGrid:
    """The grid of each row: the values that its weights can have.

    Attributes:
        scales: float32 [N], one step, positive.
        zeros: float32 [N], zero points, ``0..2**bits - 1``.
        fine: float32 [K], subdivision of a step: 16 in wide columns, else 1.
        bits: width of a code.
    """

    scales: Tensor
    zeros: Tensor
    fine: Tensor
    bits: int

    def steps(self, ratio: Tensor, columns: slice = slice(None)) -> Tensor:
        """The nearest signed steps to weights in units of the scale, float [N, columns]."""
        return nearest_steps(ratio, self.zeros, self.fine[columns], self.bits)

    def values(self, weight: Tensor, columns: slice = slice(None)) -> Tensor:
        """The nearest values to real weights, float [N, columns]."""
        scales = self.scales[:, None]
        return self.steps(weight / scales, columns) * scales

    def pack(self, steps: Tensor) -> QuantizedWeight:
        """Codes of steps [N, K] on this grid."""
        codes = steps + self.zeros[:, None]
        high = codes.floor()
        wide = (self.fine > 1).nonzero().flatten()
        return QuantizedWeight(
            codes=high.to(torch.uint8),
            zeros=self.zeros.to(torch.uint8),
            scales=self.scales.clone(),
            wide=wide.to(torch.int32),
            low=((codes - high)[:, wide] * LOW_STEPS).to(torch.uint8),
            bits=self.bits,
        )


def nearest_steps(ratio: Tensor, zeros: Tensor, fine: Tensor, bits: int) -> Tensor:
    """The nearest signed steps to weights [N, K] in units of the scale; other arguments as of ``WeightGrid``."""
    zeros = zeros[:, None]
    low, high = -zeros * fine, (2**bits - zeros) * fine - 1
    return (ratio * fine).round_().clamp_(low, high).div_(fine)


def row_grid(low: Tensor, high: Tensor, fine: Tensor, bits: int) -> WeightGrid:
    """The grid of rows with ranges ``low..high`` [N], zero included; a row of zeros gets scale 1."""
    return WeightGrid(*affine_grid(low, high, 2**bits - 1), fine, bits)


def row_range(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Smallest and largest weight of each row [N], zero included."""
    return weight.amin(1).clamp(max=0), weight.amax(1).clamp(min=0)


def _searched_range(weight: Tensor, low: Tensor, high: Tensor, power: Tensor, bits: int) -> tuple[Tensor, Tensor]:
    """Each row's range times the fraction of ``CLIP_GRID`` with the least error weighted by input power."""
    fine = torch.ones(weight.shape[1])
    fractions = []
    # a few rows at a time fit the processor's cache, which makes the search several times faster
    for rows, row_low, row_high in zip(*(values.split(SEARCH_ROWS) for values in (weight, low, high)), strict=True):
        best = torch.full_like(row_low, torch.inf)
        fraction = torch.ones_like(row_low)
        for candidate in CLIP_GRID:
            grid = row_grid(row_low * candidate, row_high * candidate, fine, bits)
            error = (grid.values(rows) - rows).square_() @ power
            better = error < best
            best = torch.where(better, error, best)
            fraction = torch.where(better, candidate, fraction)
        fractions.append(fraction)
    fraction = torch.cat(fractions)
    return low * fraction, high * fraction


def choose_wide(weight: Tensor, power: Tensor, count: int, bits: int = WEIGHT_BITS) -> Tensor:
    """The ``count`` columns that gain most from a low half: (error without it - error with it) * E[x**2].

    Args:
        weight: float [N, K].
        power: float [K], mean of x**2 per input.
        count: 0..K.
        bits: width of a code.

    Returns:
        int64 [count], ascending.
    """
    if not count:
        return torch.arange(0)

    def error(steps: int) -> Tensor:
        fine = torch.full((weight.shape[1],), float(steps))
        return (row_grid(*row_range(weight), fine, bits).values(weight) - weight).square_().sum(0)

    return ((error(1) - error(LOW_STEPS)) * power).topk(count).indices.sort().values


def find_grid(
    weight: Tensor,
    *,
    power: Tensor | None = None,
    bits: int = WEIGHT_BITS,
    wide_fraction: float = 0.0,
    clip_search: bool = False,
) -> WeightGrid:
    """The grid of an asymmetric quantizer per output channel.

    A row's range is its minimum to maximum, zero included. ``clip_search`` shrinks the range of the narrow columns
    if that lowers the error weighted by input power; wide columns are never clipped, because their inputs carry
    massive values.

    Args:
        weight: float [N, K].
        power: float [K], mean of x**2 per input; ones by default.
        bits: width of a code, 1..8.
        wide_fraction: 0..1, share of the columns with a low half, rounded to whole columns.
        clip_search: whether to search each row's range.
    """
    power = torch.ones(weight.shape[1]) if power is None else power.float()
    wide = choose_wide(weight, power, round(wide_fraction * weight.shape[1]), bits)
    fine = torch.ones(weight.shape[1])
    fine[wide] = LOW_STEPS
    low, high = row_range(weight)
    if clip_search and wide.numel() < weight.shape[1]:
        narrow = fine == 1
        low, high = _searched_range(weight[:, narrow], *row_range(weight[:, narrow]), power[narrow], bits)
        if wide.numel():
            wide_low, wide_high = row_range(weight[:, wide])
            low, high = torch.minimum(low, wide_low), torch.maximum(high, wide_high)
    return row_grid(low, high, fine, bits)


def quantize_weight(
    weight: Tensor,
    *,
    power: Tensor | None = None,
    bits: int = WEIGHT_BITS,
    wide_fraction: float = 0.0,
    clip_search: bool = False,
    second_moment: Tensor | None = None,
) -> QuantizedWeight:
    """Quantize a matrix on the grid of ``find_grid``, whose arguments these are.

    Args:
        weight: float [N, K].
        power: float [K].
        bits: width of a code.
        wide_fraction: share of the columns with a low half.
        clip_search: whether to search each row's range.
        second_moment: float [K, K], mean of x x^T for GPTQ; None rounds each weight to the nearest.
    """
    weight = weight.detach().float()
    grid = find_grid(weight, power=power, bits=bits, wide_fraction=wide_fraction, clip_search=clip_search)
    if second_moment is None:
        return grid.pack(grid.steps(weight / grid.scales[:, None]))
    values = gptq(weight, second_moment, lambda k, column: grid.values(column[:, None], slice(k, k + 1))[:, 0])
    return grid.pack(grid.steps(values / grid.scales[:, None]))
