"""Atom: a step for each group of channels of similar power, and the strongest channels in INT8."""

from functools import partial

import torch
from torch import Tensor, nn

from spikequant.golden.baselines.calibrated import input_moment
from spikequant.golden.baselines.uniform import (
    check_bits,
    round_groups_symmetric,
    round_symmetric,
    round_tokens_symmetric,
    symmetric_step,
)
from spikequant.golden.quantizer.fake_quant import FakeQuantLinear
from spikequant.golden.quantizer.gptq import QuantizeColumn, gptq_blocks
from spikequant.golden.quantizer.method import FloatLayer, Method

GROUP = 128
"""Channels that share a step."""

WIDE_SHARE = 0.0625
"""Share of the channels that are kept in INT8."""

WIDE_BITS = 8

INPUT_CLIP = 0.9
"""Share of a group's range that inputs keep; INT8 channels keep their whole range."""

WEIGHT_CLIP = 0.85
"""Share of a group's range that weights keep."""


def atom(weight_bits: int = 4, activation_bits: int = 4) -> Method:
    """Atom: Low-bit Quantization for Efficient and Accurate LLM Serving (arXiv 2310.19102).

    After its released code: the input channels are sorted by their power. Groups of 128 neighbours share a symmetric
    step, per token for inputs and per output channel for weights, with clipping factors 0.9 and 0.85. The strongest
    channels come last and are symmetric INT8, inputs and weights, with one step a token or output channel. GPTQ rounds
    the weights, in that order and with steps that follow what it has changed. Differences:

    - the INT8 channels are 6.25 % of all, and the last group may have fewer than 128, since not every width is a
      multiple of it; the released code takes 128 channels of any width;
    - each output channel has weight steps of its own; the released script has two neighbours share them;
    - the largest weight code, not half a code more, represents the end of the range;
    - GPTQ sees the float model's inputs, the released code rounded ones, and GPTQ includes the INT8 channels;
    - the cache of keys and values is not quantized.

    Args:
        weight_bits: 2..8.
        activation_bits: 2..8.

    Raises:
        InputError: a width out of range.
    """
    check_bits(least=2, weight_bits=weight_bits, activation_bits=activation_bits)
    return Method(
        name="atom",
        source="Atom, arXiv 2310.19102",
        differences="6.25 % of any width in INT8, weight steps not shared by two rows, cache not quantized",
        quantize=partial(_quantize, weight_bits=weight_bits, activation_bits=activation_bits),
        second_moment=True,
    )


def _quantize(layer: FloatLayer, *, weight_bits: int, activation_bits: int) -> nn.Module:
    moment = input_moment(layer)
    order = moment.diagonal().argsort()
    wide = round(WIDE_SHARE * order.numel())
    groups = list(order[: order.numel() - wide].split(GROUP))

    def fit_block(block: int, weight: Tensor) -> QuantizeColumn:
        bits, clip = (weight_bits, WEIGHT_CLIP) if block < len(groups) else (WIDE_BITS, 1.0)
        step = symmetric_step(weight, bits, clip)[:, 0]
        return lambda _k, column: round_symmetric(column, step, bits)

    blocks = [*groups, order[order.numel() - wide :]] if wide else groups
    weight = gptq_blocks(layer.linear.weight, moment, blocks, fit_block)
    return FakeQuantLinear(
        weight[:, order],
        layer.linear.bias,
        partial(_quantize_input, order=order, wide=wide, bits=activation_bits),
    )


def _quantize_input(values: Tensor, *, order: Tensor, wide: int, bits: int) -> Tensor:
    narrow, strong = values[..., order].split([order.numel() - wide, wide], -1)
    rounded = round_groups_symmetric(narrow, bits=bits, clip=INPUT_CLIP, group=GROUP)
    return torch.cat([rounded, round_tokens_symmetric(strong, bits=WIDE_BITS)], -1) if wide else rounded
