"""Rounding of a weight matrix for correlated inputs: GPTQ, row scales by least squares, and coordinate descent."""

from dataclasses import replace

import torch
from torch import Tensor

from spikequant.golden.quantizer.gptq import gptq
from spikequant.golden.quantizer.weights import QuantizedWeight, WeightGrid, find_grid

DAMPING = 0.02
"""Of GPTQ, as a share of the second moment's mean diagonal."""

BLOCK = 128
"""Number of columns whose changes are propagated to the rest of the matrix together."""


def round_weight(
    weight: Tensor, moment: Tensor, *, bits: int, wide_fraction: float, clip_search: bool, sweeps: int
) -> QuantizedWeight:
    """Round a matrix to the grid, for the least expected squared error of the outputs.

    No stage raises the error of a row; a row for which GPTQ loses to rounding to the nearest starts from the latter.

    Args:
        weight: float32 [N, K].
        moment: float32 [K, K], second moment of the inputs.
        bits: width of a code, 1..8.
        wide_fraction: share of the columns with a low half, 0..1.
        clip_search: whether to search each row's range.
        sweeps: passes of coordinate descent over all codes, each with a fit of the scales.
    """
    power = moment.diagonal()
    grid = find_grid(weight, power=power, bits=bits, wide_fraction=wide_fraction, clip_search=clip_search)
    order = power.argsort(descending=True)
    values = gptq(
        weight,
        moment,
        lambda k, column: grid.values(column[:, None], slice(k, k + 1))[:, 0],
        damping=DAMPING,
        order=order,
    )
    steps = grid.steps(values / grid.scales[:, None])
    nearest = grid.steps(weight / grid.scales[:, None])
    worse = _errors(weight, steps, grid, moment) > _errors(weight, nearest, grid, moment)
    steps = torch.where(worse[:, None], nearest, steps)
    grid = fit_scales(weight, steps, grid, moment)
    for _ in range(sweeps):
        steps = descend(weight, steps, grid, moment, order)
        grid = fit_scales(weight, steps, grid, moment)
    return grid.pack(steps)


def _errors(weight: Tensor, steps: Tensor, grid: WeightGrid, moment: Tensor) -> Tensor:
    """Expected squared error of each output, float32 [N]."""
    difference = steps * grid.scales[:, None] - weight
    return ((difference @ moment) * difference).sum(1)


def fit_scales(weight: Tensor, steps: Tensor, grid: WeightGrid, moment: Tensor) -> WeightGrid:
    """The grid with each row's scale by least squares for its steps, where that is positive.

    Args:
        weight: float32 [N, K].
        steps: float32 [N, K], signed steps of the rounded weights.
        grid: the grid of the steps.
        moment: float32 [K, K], second moment of the inputs.
    """
    weighted = steps @ moment
    over, under = (weighted * weight).sum(1), (weighted * steps).sum(1)
    usable = (under > 0) & (over > 0)
    return replace(grid, scales=torch.where(usable, over / under.clamp(min=1e-30), grid.scales))


def descend(weight: Tensor, steps: Tensor, grid: WeightGrid, moment: Tensor, order: Tensor) -> Tensor:
    """One sweep of coordinate descent: each code in turn to its best value, given all others.

    Args:
        weight: float32 [N, K].
        steps: float32 [N, K], where to start.
        grid: the grid of the steps.
        moment: float32 [K, K], second moment of the inputs.
        order: int64 [K], of the columns.

    Returns:
        float32 [N, K], signed steps.
    """
    scales = grid.scales[:, None]
    moment = moment[order][:, order]
    found = steps[:, order]
    # a column is contiguous in memory
    residual = ((weight[:, order] / scales - found) @ moment).T.contiguous()
    power = moment.diagonal().clamp(min=torch.finfo(torch.float32).tiny)
    fine = grid.fine[order]
    zeros = grid.zeros
    for first in range(0, found.shape[1], BLOCK):
        last = min(first + BLOCK, found.shape[1])
        within = moment[first:last, first:last]
        local = residual[first:last]
        changes = torch.empty_like(local)
        for i, k in enumerate(range(first, last)):
            low, high = -zeros * fine[k], (2**grid.bits - zeros) * fine[k] - 1
            wanted = found[:, k] + local[i] / power[k]
            new = (wanted * fine[k]).round_().clamp_(low, high).div_(fine[k])
            changes[i] = new - found[:, k]
            found[:, k] = new
            local.addr_(within[i], changes[i], alpha=-1)
        if last < found.shape[1]:
            residual[last:].addmm_(moment[last:, first:last], changes, alpha=-1)
    restored = torch.empty_like(found)
    restored[:, order] = found
    return restored
