"""A quantized linear layer: float fake-quant in the model, integers for the hardware."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from spikequant.golden.layer.spec import BIAS_BITS, THETA_BITS, Spec
from spikequant.golden.layer.vectors import LayerVectors
from spikequant.golden.quantizer.encode import MAX_SALIENT_SHIFT, Levels, encode
from spikequant.golden.quantizer.output_steps import OUTPUT_BITS, OutputPeaks, OutputSteps, fit_output_steps
from spikequant.golden.quantizer.site import AnySite, Site
from spikequant.golden.quantizer.statistics import sample_rows
from spikequant.golden.quantizer.tally import Tally
from spikequant.golden.quantizer.weights import LOW_BITS, LOW_STEPS, QuantizedWeight
from spikequant.golden.support.errors import InputError

Scalar = TypeVar("Scalar", bound=np.generic)


STEP_TOKENS = 2048
"""Tokens to whose outputs output steps are fitted."""

UNSURE = 2.0**-21
"""Bound on the error of a quotient that is computed in float32, relative to the largest code."""

MOST_REMAINDER = 0.45
"""Largest remainder of a rounded weight, in steps of its grid: a clipped weight, and one that GPTQ moved, has more."""


class Encoder(Protocol):
    """Encodes the inputs of a layer at its site; ``encode``, or its twin for other units of the inputs."""

    def __call__(self, values: Tensor, site: AnySite, *, max_shift: int) -> Levels:
        """Levels of inputs [..., K]."""


class SpikeQuantLinear(nn.Module):
    """Quantized linear layer: ``y = s * s_w * V'``, with V' the integer membrane of levels, weight steps and bias.

    Args:
        weight: the quantized weights, N outputs and K inputs.
        bias: float32 [N], or None; rounded to whole membrane units.
        site: quantization of the input.
        output: value of one output code of each output; None reads the membrane until ``fit_outputs`` is called.

    Attributes:
        output_bits: width of the output codes; None reads the membrane.
        output_scale: one unit of the layer's integer result.
        theta_fraction_bits: fractional bits of the thresholds for output codes.
        max_salient_shift: limit of the salient shift.
        encoder: encodes the inputs.
        tally: counts the encoded inputs, if set.
        remainder: bfloat16 [N, K], what rounding took from the weights, in steps; None if it was not kept.
    """

    codes: Tensor
    zeros: Tensor
    scales: Tensor
    wide: Tensor
    low: Tensor
    output_exponents: Tensor
    bias: Tensor | None
    remainder: Tensor | None
    steps: Tensor

    def __init__(
        self, weight: QuantizedWeight, bias: Tensor | None, site: AnySite, output: OutputSteps | None = None
    ) -> None:
        super().__init__()
        self.site = site
        self.weight_bits = weight.bits
        self.output_bits: int | None = OUTPUT_BITS if output else None
        self.output_scale = output.scale if output else 1.0
        self.theta_fraction_bits = 12
        self.max_salient_shift = MAX_SALIENT_SHIFT
        self.encoder: Encoder = encode
        self.tally: Tally | None = None
        for name in ("codes", "zeros", "scales", "wide", "low"):
            self.register_buffer(name, getattr(weight, name))
        exponents = output.exponents if output else torch.zeros(weight.codes.shape[0], dtype=torch.uint8)
        self.register_buffer("output_exponents", exponents)
        self.register_buffer("bias", None if bias is None else bias.detach().float())
        self.register_buffer("remainder", None)
        self.register_buffer("steps", weight.steps(), persistent=False)

    def keep_remainder(self, weight: Tensor) -> None:
        """Keep the remainders of rounding weights [N, K], so that training starts from the unrounded ones."""
        grid = torch.ones(weight.shape[1])
        grid[self.wide.long()] = LOW_STEPS
        limit = MOST_REMAINDER / grid
        left = weight / self.scales[:, None] - self.steps
        self.register_buffer("remainder", left.clamp(-limit, limit).bfloat16())

    def fit_outputs(self, outputs: Sequence[Tensor], weights: Tensor | None = None, *, binary: bool = False) -> None:
        """Fit the output steps, and read output codes from now on.

        Args:
            outputs: float32 [n, N] each, exact outputs in parts of a text: of all of them the peaks count.
            weights: float32 [N], weight of each output's error; ones by default.
            binary: whether the layer's scale is a power of two.
        """
        largest = torch.stack([rows.abs().amax(0) for rows in outputs])
        peaks = OutputPeaks(largest, sum(rows.shape[0] for rows in outputs))
        steps = fit_output_steps(sample_rows(outputs, STEP_TOKENS), weights, peaks=peaks, binary=binary)
        self.output_bits = OUTPUT_BITS
        self.output_scale = steps.scale
        self.output_exponents.copy_(steps.exponents)

    def output_steps(self, output_bits: int) -> Tensor:
        """Value of one output code of each output (s_y), float64 [N]."""
        return OutputSteps(self.output_scale, self.output_exponents).values(output_bits)

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
        steps = self.output_steps(output_bits)
        theta = (2**theta_fraction_bits * steps / self.unit_values(scale) + 0.5).floor()
        return theta.clamp(1, 2**THETA_BITS - 1).long()

    def forward(self, values: Tensor) -> Tensor:
        """Float outputs [..., N] of float inputs [..., K]: values of the output codes, or of membranes."""
        levels = self._encoded(values)
        if self.tally is not None:
            self.tally.add(levels)
        membrane = self.membrane(levels)
        if self.output_bits is None:
            return membrane.mul_(self.scales * levels.scale)
        return self.code_values(self.output_codes(membrane, levels.scale))

    def exact(self, values: Tensor) -> Tensor:
        """Values of the membranes, float32 [..., N], of float inputs [..., K]."""
        levels = self._encoded(values)
        return self.membrane(levels).mul_(self.scales * levels.scale)

    def _encoded(self, values: Tensor) -> Levels:
        return self.encoder(values, self.site, max_shift=self.max_salient_shift)

    def membrane(self, levels: Levels) -> Tensor:
        """Membranes in weight steps times levels, bias included, float32 [..., N]."""
        membrane = nn.functional.linear(levels.level, self.steps)
        if self.bias is not None:
            membrane += (self.bias_units(levels.scale) / self.units).float()
        return membrane

    def output_codes(self, membrane: Tensor, scale: float | Tensor) -> Tensor:
        """Signed output codes of membranes as from ``membrane``: integers as floats, equal to the datapath's.

        Args:
            membrane: float32 [..., N].
            scale: value of one input level.
        """
        assert self.output_bits is not None
        fraction_bits, top = self.theta_fraction_bits, 2 ** (self.output_bits - 1) - 1
        theta = self.thresholds(scale, output_bits=self.output_bits, theta_fraction_bits=fraction_bits).double()
        ratio = membrane * (self.units * 2**fraction_bits / theta).float()
        code = ratio.round()
        # float32 may round a code in the middle between two to the wrong one
        unsure = ratio.sub_(code).abs_() > 0.5 - top * UNSURE
        exact = membrane[unsure].double().mul_(self.units * 2**fraction_bits)
        code[unsure] = (exact.abs() / theta.expand(membrane.shape)[unsure] + 0.5).floor_().copysign_(exact).float()
        return code.clamp_(-top, top)

    def code_values(self, codes: Tensor) -> Tensor:
        """Values of output codes, float32 [..., N]."""
        assert self.output_bits is not None
        return codes * self.output_steps(self.output_bits).float()

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
        levels = self.encoder(values, site, max_shift=spec.max_salient_shift)
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
