"""GPTQ: round a layer's weights input by input, and compensate each error in the weights of later inputs.

The method of arXiv 2210.17323 (Frantar et al., GPTQ: Accurate Post-Training Quantization for Generative Pre-trained
Transformers). With ``U`` the upper Cholesky factor of the inverse of the inputs' second moment, rounding input ``k``
with error ``e = w_k - q_k`` changes every later weight by ``-e * U[k, j] / U[k, k]``, which minimizes the expected
squared error of the outputs.
"""

from collections.abc import Callable

import torch
from torch import Tensor

DAMPING = 0.01
"""Added to the second moment's diagonal, as a share of its mean."""

BLOCK = 128
"""Number of inputs whose errors are propagated to the rest of the matrix together."""

QuantizeColumn = Callable[[int, Tensor], Tensor]
"""From an input's index k and its weights, float32 [N], to their rounded values [N]."""

FitBlock = Callable[[int, Tensor], QuantizeColumn]
"""From the position of a block and its weights, float32 [N, b], with the errors of earlier inputs compensated, to the
function that rounds them."""


def gptq(
    weight: Tensor,
    second_moment: Tensor,
    quantize_column: QuantizeColumn,
    *,
    damping: float = DAMPING,
    block: int = BLOCK,
    order: Tensor | None = None,
) -> Tensor:
    """Round weights to a grid that is fixed in advance.

    Args:
        weight: float [N, K].
        second_moment: float [K, K], mean of x x^T. Inputs that are always 0 are rounded without compensation.
        quantize_column: rounds the weights of one input, given the input's index.
        damping: added to the diagonal, as a share of its mean.
        block: inputs whose errors are propagated together; affects the speed only.
        order: int64 [K], of the inputs; as they are by default.

    Returns:
        float32 [N, K], rounded values.
    """
    blocks = list((torch.arange(weight.shape[1]) if order is None else order).split(block))
    return gptq_blocks(weight, second_moment, blocks, lambda _block, _weight: quantize_column, damping=damping)


@torch.no_grad()
def gptq_blocks(
    weight: Tensor, second_moment: Tensor, blocks: list[Tensor], fit_block: FitBlock, *, damping: float = DAMPING
) -> Tensor:
    """Round weights block by block, each to a grid that is fitted to its compensated weights.

    Args:
        weight: float [N, K].
        second_moment: float [K, K], mean of x x^T.
        blocks: indices of inputs, int64 [b] each, in the order of rounding; every input is in one of them.
        fit_block: fits the rounding of a block.
        damping: added to the diagonal, as a share of its mean.

    Returns:
        float32 [N, K], rounded values, in the order of ``weight``.
    """
    order = torch.cat(blocks)
    left = weight.detach().float()[:, order]
    factor = _inverse_factor(second_moment[order][:, order], damping)
    rounded = torch.empty_like(left)
    first = 0
    for number, inputs in enumerate(blocks):
        last = first + inputs.numel()
        quantize_column = fit_block(number, left[:, first:last])
        # the weights of one input are contiguous in memory
        columns = left[:, first:last].T.contiguous()
        within = factor[first:last, first:last]
        errors = torch.empty_like(columns)
        for i, k in enumerate(inputs.tolist()):
            values = quantize_column(k, columns[i])
            rounded[:, first + i] = values
            errors[i] = (columns[i] - values) / within[i, i]
            columns[i + 1 :].addr_(within[i, i + 1 :], errors[i], alpha=-1)
        left[:, last:].addmm_(errors.T, factor[first:last, last:], alpha=-1)
        first = last
    restored = torch.empty_like(rounded)
    restored[:, order] = rounded
    return restored


def _inverse_factor(second_moment: Tensor, damping: float) -> Tensor:
    """Upper Cholesky factor of the inverse of the damped second moment, float32 [K, K]."""
    moment = second_moment.double()
    power = moment.diagonal()
    dead = power <= 0
    diagonal = torch.where(dead, torch.ones_like(power), power) + damping * power.mean()
    moment = moment.clone()
    # an input that is always 0 contributes to no output, but rounding may leave values off the diagonal
    moment[dead] = 0
    moment[:, dead] = 0
    moment.diagonal().copy_(diagonal)
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(moment))
    return torch.linalg.cholesky(inverse, upper=True).float()
