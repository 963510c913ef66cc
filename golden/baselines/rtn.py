"""Rounding to nearest: quantization without any correction."""

from functools import partial

from spikequant.golden.baselines.uniform import check_bits, round_rows_asymmetric, round_tokens_asymmetric
from spikequant.golden.quantizer.fake_quant import FakeQuantLinear
from spikequant.golden.quantizer.method import FloatLayer, Method


def rtn(weight_bits: int = 4, activation_bits: int = 4) -> Method:
    """Round to nearest: asymmetric weights per output channel and inputs per token; every range includes zero.

    Args:
        weight_bits: 1..8.
        activation_bits: 1..8.

    Raises:
        InputError: a width out of range.
    """
    check_bits(least=1, weight_bits=weight_bits, activation_bits=activation_bits)
    return Method(
        name="rtn",
        source="round to nearest, as papers on quantization use the name",
        differences="none",
        quantize=partial(quantize_layer, weight_bits=weight_bits, activation_bits=activation_bits),
        calibrated=False,
    )


def quantize_layer(layer: FloatLayer, *, weight_bits: int, activation_bits: int) -> FakeQuantLinear:
    """The layer with rounded weights, and inputs that are rounded at run time."""
    return FakeQuantLinear(
        round_rows_asymmetric(layer.linear.weight, bits=weight_bits),
        layer.linear.bias,
        partial(round_tokens_asymmetric, bits=activation_bits),
    )
