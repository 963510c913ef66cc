"""SpikeLLM: generalized integrate-and-fire neurons, with more spike steps in salient channels."""

from functools import partial

from torch import Tensor, nn

from spikequant.golden.baselines.calibrated import input_moment
from spikequant.golden.baselines.uniform import asymmetric_grid, check_bits, round_asymmetric, round_rows_asymmetric
from spikequant.golden.quantizer.fake_quant import FakeQuantLinear
from spikequant.golden.quantizer.method import FloatLayer, Method
from spikequant.golden.support.errors import InputError

NORMAL_SHARE = 0.9
"""Share of the channels with a single spike step."""


def spikellm(weight_bits: int = 4, activation_bits: int = 4, steps: int = 2) -> Method:
    """SpikeLLM: Scaling up Spiking Neural Network to Large Language Models via Saliency-based Spiking.

    After arXiv 2407.04752 and its released code: a generalized integrate-and-fire neuron fires one spike of up to
    ``2**bits - 1`` levels in a step. The 10 % of a layer's input channels with the largest saliency
    ``E[x_k (W^T W x)_k]`` fire in ``steps`` steps, with codes up to ``steps * 2**bits - 1``; all others fire in one.
    Weights are asymmetric per output channel, inputs asymmetric per token. Differences:

    - nothing is trained: the paper learns weight clipping and channel factors (OmniQuant's) on top;
    - salient and other channels each have their own range in every token. The released code has one range for both,
      with which the outliers ruin all channels unless channel factors are learned;
    - every range includes zero;
    - queries, keys and values in attention are not quantized.

    Args:
        weight_bits: 1..8.
        activation_bits: 1..8, of one step.
        steps: spike steps of a salient channel, a power of two in the released code, 2 by default there too.

    Raises:
        InputError: an argument out of range.
    """
    check_bits(least=1, weight_bits=weight_bits, activation_bits=activation_bits)
    if steps < 1:
        raise InputError(f"steps: {steps}, expected 1 or more")
    return Method(
        name="spikellm",
        source="SpikeLLM, arXiv 2407.04752",
        differences="nothing learned, salient channels with a range of their own, attention not quantized",
        quantize=partial(_quantize, weight_bits=weight_bits, activation_bits=activation_bits, steps=steps),
        second_moment=True,
    )


def saliency(weight: Tensor, second_moment: Tensor) -> Tensor:
    """Mean of ``x_k (W^T W x)_k`` for every input k, float32 [K]; these add up to the mean squared output.

    Args:
        weight: float32 [N, K].
        second_moment: float32 [K, K], mean of x x^T.
    """
    return (second_moment * (weight.T @ weight)).sum(1)


def _quantize(layer: FloatLayer, *, weight_bits: int, activation_bits: int, steps: int) -> nn.Module:
    weight = layer.linear.weight.detach().float()
    inputs = weight.shape[1]
    salient = saliency(weight, input_moment(layer)).topk(inputs - int(NORMAL_SHARE * inputs)).indices
    return FakeQuantLinear(
        round_rows_asymmetric(weight, bits=weight_bits),
        layer.linear.bias,
        partial(_quantize_input, salient=salient, levels=2**activation_bits, steps=steps),
    )


def _quantize_input(values: Tensor, *, salient: Tensor, levels: int, steps: int) -> Tensor:
    strong = values[..., salient]
    grid = asymmetric_grid(values.index_fill(-1, salient, 0), levels - 1)
    rounded = round_asymmetric(values, grid, levels - 1)
    top = steps * levels - 1
    return rounded.index_copy_(-1, salient, round_asymmetric(strong, asymmetric_grid(strong, top), top))
