"""A quantized linear layer: float fake-quant in the model, integers for the hardware."""

from dataclasses import replace
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from spikequant.golden.layer.spec import BIAS_BITS, THETA_BITS, Spec
from spikequant.golden.layer.vectors import LayerVectors
from spikequant.golden.quantizer.encode import MAX_SALIENT_SHIFT, encode
from spikequant.golden.quantizer.site import AnySite, Site
from spikequant.golden.quantizer.tally import Tally
from spikequant.golden.quantizer.weights import LOW_BITS, LOW_STEPS, QuantizedWeight
from spikequant.golden.support.errors import InputError

Scalar = TypeVar("Scalar", bound=np.generic)


def output_steps(output_peaks: Tensor, output_bits: int) -> Tensor:
    """Value of one output code (s_y) per output, float64 [N]: the calibrated peak is the largest code, 2**(B-1) - 1.

    A common step would be set by the few outputs with massive values. Each neuron has its own threshold, so that its
    own step costs nothing.
    """
    return output_peaks.double() / (2 ** (output_bits - 1) - 1)


class SpikeQuantLinear(nn.Module):
    """Quantized linear layer: ``y = s * s_w * V'``, with V' the integer membrane of levels, weight steps and bias.

    Args:
        weight: the quantized weights, N outputs and K inputs.
        bias: float32 [N], or None; rounded to whole membrane units.
        site: quantization of the input.
        output_peaks: float32 [N], largest |y| of each output in calibration, positive.

    Attributes:
        output_bits: width of the output codes; None reads the membrane.
        theta_fraction_bits: fractional bits of the thresholds for output codes.
        max_salient_shift: limit of the salient shift.
        tally: counts the encoded inputs, if set.
    """

    codes: Tensor
    zeros: Tensor
    scales: Tensor
    wide: Tensor
    low: Tensor
    output_peaks: Tensor
    bias: Tensor | None
    steps: Tensor

    def __init__(self, weight: QuantizedWeight, bias: Tensor | None, site: AnySite, output_peaks: Tensor) -> None:
        super().__init__()
        self.site = site
        self.weight_bits = weight.bits
        self.output_bits: int | None = None
        self.theta_fraction_bits = 12
        self.max_salient_shift = MAX_SALIENT_SHIFT
        self.tally: Tally | None = None
        for name in ("codes", "zeros", "scales", "wide", "low"):
            self.register_buffer(name, getattr(weight, name))
        self.register_buffer("output_peaks", output_peaks)
        self.register_buffer("bias", None if bias is None else bias.detach().float())
        self.register_buffer("steps", weight.steps(), persistent=False)

    @property
    def units(self) -> int:
        """Membrane units in one weight step: 16 with wide columns, else 1."""
        return LOW_STEPS if self.wide.numel() else 1

    def unit_values(self, scale: float | Tensor) -> Tensor:
        """Value of one membrane unit per output: ``s * s_w``, a 16th of it with wide columns.

        Args:
            scale: value of one input level (s); a number, or float [..., 1] for a scale per token.

        Returns:
            float64 [N] or [..., N].
        """
        return self.scales.double() * scale / self.units

    def bias_units(self, scale: float | Tensor) -> Tensor:
        """Bias in membrane units, int64 [N] or [..., N]."""
        units = self.unit_values(scale)
        if self.bias is None:
            return torch.zeros_like(units, dtype=torch.int64)
        limit = 2 ** (BIAS_BITS - 1)
        return (self.bias.double() / units).round().clamp(-limit, limit - 1).long()

    def thresholds(self, scale: float | Tensor, *, output_bits: int, theta_fraction_bits: int) -> Tensor:
        """Threshold scales theta, int64 in 1..2**32-1: ``2**F * s_y / (s * s_w)`` in membrane units, half up."""
        steps = output_steps(self.output_peaks, output_bits)
        theta = (2**theta_fraction_bits * steps / self.unit_values(scale) + 0.5).floor()
        return theta.clamp(1, 2**THETA_BITS - 1).long()

    def forward(self, values: Tensor) -> Tensor:
        """Float outputs [..., N] of float inputs [..., K]."""
        levels = encode(values, self.site, max_shift=self.max_salient_shift)
        if self.tally is not None:
            self.tally.add(levels)
        membrane = nn.functional.linear(levels.level, self.steps)
        if self.bias is not None:
            membrane += (self.bias_units(levels.scale) / self.units).float()
        if self.output_bits is not None:
            return self._coded(membrane, levels.scale, self.output_bits)
        return membrane.mul_(self.scales * levels.scale)

    def _coded(self, membrane: Tensor, scale: float | Tensor, output_bits: int) -> Tensor:
        """Values of the output codes, exact in float64 if the membrane is exact in float32."""
        fraction_bits = self.theta_fraction_bits
        theta = self.thresholds(scale, output_bits=output_bits, theta_fraction_bits=fraction_bits).double()
        scaled = membrane.abs().double() * (self.units * 2**fraction_bits)
        code = ((scaled + (theta / 2).floor()) / theta).floor().clamp(max=2 ** (output_bits - 1) - 1)
        return (membrane.sign() * code * output_steps(self.output_peaks, output_bits)).float()

    def vectors(self, values: Tensor, spec: Spec) -> LayerVectors:
        """The layer and its inputs as integers for an accelerator.

        Args:
            values: float [T, K], activations; T is 1 if each token has its own scale.
            spec: sets theta and the salient window, and must have this layer's bit widths.

        Raises:
            InputError: the spec's weights or activations have other widths, the format of the site's salient codes
                is not a window, or there are several tokens, each with its own thresholds.
        """
        _check_widths(spec, self)
        tokens = values.shape[0]
        if tokens != 1 and not isinstance(self.site, Site):
            raise InputError(f"tokens: {tokens}, expected 1, since each token has its own thresholds in this model")
        site = replace(self.site, salient_bits=spec.salient_bits)
        levels = encode(values, site, max_shift=spec.max_salient_shift)
        scale = levels.scale if isinstance(levels.scale, float) else float(levels.scale)
        theta = self.thresholds(scale, output_bits=spec.output_bits, theta_fraction_bits=spec.theta_fraction_bits)
        return LayerVectors(
            w_code=_array(self.codes, np.uint8),
            w_zero=_array(self.zeros, np.uint8),
            level=_array(levels.level, np.int32),
            salient=_array(levels.salient, np.bool_),
            zero=np.full(tokens, int(levels.zero), np.uint8),
            shift=_array(levels.shift, np.uint8),
            offset=_array(levels.offset, np.int8),
            theta=_array(theta, np.uint32),
            bias=_array(self.bias_units(scale), np.int32),
            wide=_array(self.wide, np.int32),
            w_low=_array(self.low, np.uint8),
        )


def _array(tensor: Tensor, dtype: type[Scalar]) -> NDArray[Scalar]:
    return tensor.detach().cpu().numpy().astype(dtype)


def _check_widths(spec: Spec, layer: SpikeQuantLinear) -> None:
    wanted = {"weight_bits": layer.weight_bits, "activation_bits": layer.site.bits}
    for name, bits in wanted.items():
        if getattr(spec, name) != bits:
            raise InputError(f"config: {name} is {getattr(spec, name)}, expected {bits} as in the quantized model")
    if layer.wide.numel() and spec.weight_bits != LOW_BITS:
        raise InputError(
            f"layer: wide columns with weights of {spec.weight_bits} bits, expected {LOW_BITS} as in their low halves"
        )
    if layer.site.salient_format != "window":
        raise InputError(f"layer: salient codes are of format {layer.site.salient_format}, expected window")


def quantized_layers(model: nn.Module) -> dict[str, SpikeQuantLinear]:
    """The quantized layers of a model or a part of it by name, in its order."""
    return {name: module for name, module in model.named_modules() if isinstance(module, SpikeQuantLinear)}
