"""Weight quantizers beyond the integer datapath, to measure what it loses."""

import torch
from torch import Tensor

from spikequant.golden.quantizer.recipe import Weights
from spikequant.golden.quantizer.saliency import is_salient, median_and_deviation, saliency_threshold
from spikequant.golden.quantizer.weights import row_grid, row_range


def round_grouped(weight: Tensor, recipe: Weights) -> Tensor:
    """Weights [N, K] rounded in groups of columns, or with salient weights in place.

    Args:
        weight: float [N, K].
        recipe: with ``group_size`` or ``salient_k``.
    """
    size = recipe.group_size or weight.shape[1]
    return torch.cat([_group(group, recipe) for group in weight.float().split(size, dim=1)], dim=1)


def _group(weight: Tensor, recipe: Weights) -> Tensor:
    """One group of columns with a scale and a zero point per row; salient weights have one more bit, in place.

    A weight is salient if its distance from the median of its row's group exceeds ``k * 1.4826 * MAD``. The other
    weights set the scale; the ``2**(bits + 1)`` codes of salient ones span the row's extremes.
    """
    fine = torch.ones(weight.shape[1])
    if not recipe.salient_k:
        return row_grid(*row_range(weight), fine, recipe.bits).values(weight)
    median, deviation = median_and_deviation(weight)
    salient = is_salient(weight, median=median, threshold=saliency_threshold(deviation, recipe.salient_k))
    normal = row_grid(*row_range(weight.masked_fill(salient, 0)), fine, recipe.bits).values(weight)
    outer = row_grid(*row_range(weight), fine, recipe.bits + 1).values(weight)
    return torch.where(salient, outer, normal)
