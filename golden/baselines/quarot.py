"""QuaRot: rotate the inputs of every layer by Hadamard matrices, which spread outliers over all channels."""

from functools import partial

import torch
from torch import Tensor, nn

from spikequant.golden.baselines.calibrated import input_moment
from spikequant.golden.baselines.hadamard import random_signs, rotate
from spikequant.golden.baselines.uniform import check_bits, round_symmetric, round_tokens_symmetric, symmetric_step
from spikequant.golden.models.model import site_group
from spikequant.golden.quantizer.fake_quant import FakeQuantLinear
from spikequant.golden.quantizer.gptq import gptq
from spikequant.golden.quantizer.method import FloatLayer, Method

INPUT_CLIP = 0.9
"""Share of a token's range that inputs keep."""

CLIP_GRID = tuple(1 - 0.025 * i for i in range(21))
"""Shares of a weight row's range that the search tries."""

ERROR_POWER = 2.4
"""Exponent of the error that the search minimizes."""

SEARCH_ROWS = 16

STREAM_WRITERS = ("o", "down")
"""Groups of layers whose outputs are added to the residual stream."""


def quarot(weight_bits: int = 4, activation_bits: int = 4, seed: int = 0) -> Method:
    """QuaRot: Outlier-Free 4-Bit Inference in Rotated LLMs (arXiv 2404.00456).

    The paper rotates the residual stream by a random Hadamard matrix Q, with the norms' gains g in the weights that
    follow them, the values within each head by a Hadamard matrix, and the inputs of the output and down projections at
    run time. Here each layer applies its part: the inputs of a layer after a norm become ``Q^T (x / g)`` and its
    weights ``W diag(g) Q``; weights that write to the stream become ``Q^T W`` and their product is rotated back, as are
    those of values head by head. In floats both are equal, and so are the numbers that are rounded.
    Weights are symmetric per output channel, with a searched clip and GPTQ; inputs symmetric per token, clipped at 0.9.
    Differences:

    - the search tries 21 shares of the range down to 0.5, instead of 80 down to 0.2;
    - the output projection's inputs are rotated over their whole width, since not every number of heads has a Hadamard
      matrix; a width without one is rotated block by block (see ``spikequant.golden.baselines.hadamard``);
    - the offset of a LayerNorm stays in the inputs, and values out of a fused projection are not rotated;
    - GPTQ sees the float model's inputs, the paper's those of the quantized earlier layers;
    - the cache of keys and values is not quantized, hence keys and queries are not rotated.

    Args:
        weight_bits: 2..8.
        activation_bits: 2..8.
        seed: of the signs in Q.

    Raises:
        InputError: a width out of range.
    """
    check_bits(least=2, weight_bits=weight_bits, activation_bits=activation_bits)
    return Method(
        name="quarot",
        source="QuaRot, arXiv 2404.00456",
        differences="rotated layer by layer, coarser clip search, cache not quantized",
        quantize=partial(_quantize, weight_bits=weight_bits, activation_bits=activation_bits, seed=seed),
        second_moment=True,
    )


def _quantize(layer: FloatLayer, *, weight_bits: int, activation_bits: int, seed: int) -> nn.Module:
    weight = layer.linear.weight.detach().float()
    moment = input_moment(layer)
    multipliers = None
    if layer.norm_gain is not None:
        # a channel that the norm silences has no scale to undo
        gain = torch.where(layer.norm_gain == 0, 1.0, layer.norm_gain.float())
        gain = gain * random_signs(gain.numel(), seed=seed)
        weight = weight * gain
        moment = moment / gain / gain[:, None]
        multipliers = gain.reciprocal()
    weight = rotate(weight)
    moment = rotate(rotate(moment).T)
    restore = None
    if site_group(layer.name) in STREAM_WRITERS:
        signs = random_signs(weight.shape[0], seed=seed)
        weight = rotate(weight.T * signs).T
        restore = partial(_restore_stream, signs=signs)
    elif layer.name.endswith("v_proj"):
        weight = rotate(weight.T.unflatten(-1, (-1, layer.head_size))).flatten(-2).T
        restore = partial(_restore_heads, head_size=layer.head_size)
    step = searched_step(weight, weight_bits)
    return FakeQuantLinear(
        gptq(weight, moment, lambda _k, column: round_symmetric(column, step, weight_bits)),
        layer.linear.bias,
        partial(_quantize_input, multipliers=multipliers, bits=activation_bits),
        restore,
    )


def searched_step(weight: Tensor, bits: int) -> Tensor:
    """Steps, float32 [N], of symmetric grids that cover the share of each row's range with the least error.

    Args:
        weight: float32 [N, K].
        bits: width of a code, 2 or more.
    """
    steps = []
    # a few rows at a time stay in the cache
    for rows in weight.split(SEARCH_ROWS):
        full = symmetric_step(rows, bits)
        candidates = torch.cat([full * share for share in CLIP_GRID], 1)
        errors = [
            (round_symmetric(rows, step[:, None], bits) - rows).abs_().pow_(ERROR_POWER).sum(1)
            for step in candidates.unbind(1)
        ]
        best = torch.stack(errors, 1).argmin(1, keepdim=True)
        steps.append(candidates.gather(1, best)[:, 0])
    return torch.cat(steps)


def _quantize_input(values: Tensor, *, multipliers: Tensor | None, bits: int) -> Tensor:
    scaled = values if multipliers is None else values * multipliers
    return round_tokens_symmetric(rotate(scaled), bits=bits, clip=INPUT_CLIP)


def _restore_stream(values: Tensor, *, signs: Tensor) -> Tensor:
    return rotate(values, inverse=True) * signs


def _restore_heads(values: Tensor, *, head_size: int) -> Tensor:
    return rotate(values.unflatten(-1, (-1, head_size)), inverse=True).flatten(-2)
