"""Weight quantizers that the integer datapath cannot run, to know what it gives away."""

import torch
from torch import Tensor

from spikequant.golden.quantizer.recipe import Weights
from spikequant.golden.quantizer.saliency import is_salient, saliency_threshold
from spikequant.golden.quantizer.weights import row_grid, row_range


def research_weight(weight: Tensor, recipe: Weights) -> Tensor:
    """The values that a research recipe gives weights [N, K].

    Args:
        weight: float [N, K].
        recipe: with ``group_size`` or ``salient_k``.
    """
    size = recipe.group_size or weight.shape[1]
    return torch.cat([_group(group, recipe) for group in weight.float().split(size, dim=1)], dim=1)


def _group(weight: Tensor, recipe: Weights) -> Tensor:
    """One group of columns with a scale and a zero point per row; salient weights keep one more bit in place.

    A weight is salient beyond ``k * 1.4826 * MAD`` of its row's group from the median. The others alone set the
    scale; the salient ones take the row's extremes with ``2**(bits + 1)`` codes.
    """
    fine = torch.ones(weight.shape[1])
    if not recipe.salient_k:
        return row_grid(*row_range(weight), fine, recipe.bits).values(weight)
    median = weight.median(1, keepdim=True).values
    deviation = (weight - median).abs().median(1, keepdim=True).values
    salient = is_salient(weight, median=median, threshold=saliency_threshold(deviation, recipe.salient_k))
    normal = row_grid(*row_range(weight.masked_fill(salient, 0)), fine, recipe.bits).values(weight)
    outer = row_grid(*row_range(weight), fine, recipe.bits + 1).values(weight)
    return torch.where(salient, outer, normal)
