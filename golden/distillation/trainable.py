"""Trainable quantized layers: integers in the forward pass, straight-through gradients in the backward pass.

Rounding has no useful gradient, so each rounding passes the gradient as if it were the identity (the straight-through
estimator, arXiv 1308.3432); gradients of scales follow LSQ (arXiv 1902.08153). Matrix products run in bfloat16, whose
8 bits of precision represent every 4-bit level, every 5-bit salient code times a power of two, and every 8-bit weight
exactly.
"""

import math
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from spikequant.golden.quantizer.encode import MAX_SALIENT_SHIFT, salient_window
from spikequant.golden.quantizer.linear import SpikeQuantLinear
from spikequant.golden.quantizer.output_steps import OUTPUT_BITS, OutputSteps
from spikequant.golden.quantizer.site import Site, salient_outside
from spikequant.golden.quantizer.tally import Ratio
from spikequant.golden.quantizer.weights import LOW_STEPS, WeightGrid, nearest_steps
from spikequant.golden.support.fused import fused

EDGE = 0.499
"""Distance, in steps, that a latent weight may lie outside its codes: it still rounds to the outermost code."""


class _Levels(torch.autograd.Function):
    """Levels of activations, salient exactly where the rounded value is outside the normal codes."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, log_scale: Tensor, site: "TrainableSite") -> Tensor:
        scale = log_scale.exp()
        found = fused(_encode)(values, scale, site.codes)
        site.salient.add(int(found.salient), values.numel())
        ctx.save_for_backward(found.ratio, scale)
        return found.level

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        return *fused(_encode_backward)(gradient, *ctx.saved_tensors), None


class _SiteCodes(NamedTuple):
    """Levels of a site: tensors where sites differ, since numbers would be compiled in.

    Attributes:
        lowest: smallest normal level, a tensor.
        highest: largest normal level, a tensor.
        dead_zone: inputs below this many steps are silent, a tensor.
        salient_bits: width of a salient code.
    """

    lowest: Tensor
    highest: Tensor
    dead_zone: Tensor
    salient_bits: int

    @classmethod
    def of(cls, site: Site) -> "_SiteCodes":
        lowest = -float(site.zero)
        highest = lowest + 2**site.bits - 1
        return cls(torch.tensor(lowest), torch.tensor(highest), torch.tensor(site.dead_zone), site.salient_bits)


class _Encoded(NamedTuple):
    level: Tensor
    ratio: Tensor
    salient: Tensor


def _encode(values: Tensor, scale: Tensor, codes: _SiteCodes) -> _Encoded:
    ratio = values / scale
    level = torch.where(ratio.abs() < codes.dead_zone, 0, ratio.round())
    salient = (level < codes.lowest) | (level > codes.highest)
    window = salient_window(torch.where(salient, ratio, 0), codes.salient_bits, MAX_SALIENT_SHIFT)
    return _Encoded(torch.where(salient, window.level, level).bfloat16(), ratio.bfloat16(), salient.sum())


def _encode_backward(gradient: Tensor, ratio: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
    gradient = gradient.float()
    return gradient / scale, -(gradient * ratio).sum()


class _Steps(torch.autograd.Function):
    """The nearest steps of the grid to latent weights."""

    @staticmethod
    def forward(ctx: Any, latent: Tensor, zeros: Tensor, fine: Tensor, bits: int) -> Tensor:  # noqa: ARG004
        return fused(_round)(latent, zeros, fine, bits)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:  # noqa: ARG004 - autograd's signature
        return gradient.float(), None, None, None


def _round(latent: Tensor, zeros: Tensor, fine: Tensor, bits: int) -> Tensor:
    return nearest_steps(latent, zeros, fine, bits).bfloat16()


class _Outputs(torch.autograd.Function):
    """Values of membranes, or of output codes: outputs beyond the largest code get no gradient.

    Membranes are bfloat16 [..., N]; their unit and the bias are float32 [N].
    """

    @staticmethod
    def forward(ctx: Any, membrane: Tensor, unit: Tensor, bias: Tensor, codes: "_OutputCodes | None") -> Tensor:
        ctx.save_for_backward(membrane, unit, bias)
        ctx.codes = codes
        return fused(_read)(membrane, unit, bias, codes)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        return *fused(_read_backward)(gradient, *ctx.saved_tensors, ctx.codes), None


class _OutputCodes(NamedTuple):
    """Step of each output, float32 [N], and largest code."""

    step: Tensor
    top: int


def _read(membrane: Tensor, unit: Tensor, bias: Tensor, codes: _OutputCodes | None) -> Tensor:
    output = membrane.float() * unit + bias
    return output if codes is None else (output / codes.step).round().clamp(-codes.top, codes.top) * codes.step


def _read_backward(
    gradient: Tensor, membrane: Tensor, unit: Tensor, bias: Tensor, codes: _OutputCodes | None
) -> tuple[Tensor, Tensor, Tensor]:
    membrane = membrane.float()
    if codes is not None:
        ratio = (membrane * unit + bias) / codes.step
        gradient = torch.where(ratio.abs() <= codes.top, gradient, 0)
    rows = gradient.flatten(0, -2)
    return (gradient * unit).bfloat16(), (rows * membrane.flatten(0, -2)).sum(0), rows.sum(0)


def _confine(latent: Tensor, zeros: Tensor, fine: Tensor, bits: int) -> None:
    # the largest step of a wide column is larger, and its steps are finer
    low, high = -zeros[:, None] - EDGE / fine, 2**bits - zeros[:, None] - (1 - EDGE) / fine
    latent.copy_(torch.minimum(torch.maximum(latent, low), high))


class TrainableSite(nn.Module):
    """An input site with a trained scale; layers that read the same tensor encode it once.

    Args:
        site: initial values; its salient rule is replaced by that of ``salient_outside``.

    Attributes:
        log_scale: logarithm of the value of one level.
        codes: its levels.
        salient: share of salient values since it was last reset.
    """

    def __init__(self, site: Site) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(math.log(site.scale)))
        self._site = site
        self.codes = _SiteCodes.of(site)
        self.salient = Ratio()
        self._seen: Tensor | None = None
        self._levels: Tensor | None = None

    def forward(self, values: Tensor) -> Tensor:
        """Levels [..., K] in bfloat16 of float inputs [..., K]."""
        if self._levels is None or self._seen is not values:
            self._seen, self._levels = values, _Levels.apply(values, self.log_scale, self)
        return self._levels

    def forget(self) -> None:
        """Release the last input."""
        self._seen = self._levels = None

    def freeze(self) -> Site:
        """The current site, no longer trainable."""
        return salient_outside(replace(self._site, scale=float(self.log_scale.detach().exp())))


class TrainableLinear(nn.Module):
    """A quantized layer with trained weights, scales and bias; zero points and the choice of wide columns stay.

    Args:
        layer: its initial values; latent weights keep the remainder of their rounding if it is known.
        site: the site of its input.

    Attributes:
        latent: weights in steps of their row's scale, before rounding.
        log_scale: logarithm of the rows' scales.
    """

    zeros: Tensor
    fine: Tensor
    output_exponents: Tensor
    output_steps: Tensor

    def __init__(self, layer: SpikeQuantLinear, site: TrainableSite) -> None:
        super().__init__()
        rows, columns = layer.codes.shape
        self.latent = nn.Parameter(layer.steps + (0 if layer.remainder is None else layer.remainder.float()))
        self.log_scale = nn.Parameter(layer.scales.log())
        self.bias = nn.Parameter(torch.zeros(rows) if layer.bias is None else layer.bias.clone())
        self.register_buffer("zeros", layer.zeros.float())
        fine = torch.ones(columns)
        fine[layer.wide.long()] = LOW_STEPS
        self.register_buffer("fine", fine)
        self.register_buffer("output_exponents", layer.output_exponents)
        self.output_bits = layer.output_bits
        self.output_scale = layer.output_scale
        self.register_buffer("output_steps", layer.output_steps(layer.output_bits or OUTPUT_BITS).float())
        self.bits = layer.weight_bits
        self.site = site
        self.confine()

    def grid(self) -> WeightGrid:
        """The current grid of the weights."""
        return WeightGrid(self.log_scale.detach().exp(), self.zeros, self.fine, self.bits)

    @torch.no_grad()
    def confine(self) -> None:
        """Clamp latent weights to just outside their codes, so that small updates can move them back."""
        fused(_confine)(self.latent, self.zeros, self.fine, self.bits)

    def forward(self, values: Tensor) -> Tensor:
        """Float outputs [..., N] of float inputs [..., K]."""
        steps = _Steps.apply(self.latent, self.zeros, self.fine, self.bits)
        membrane = nn.functional.linear(self.site(values), steps)
        unit = (self.site.log_scale + self.log_scale).exp()
        codes = _OutputCodes(self.output_steps, 2 ** (self.output_bits - 1) - 1) if self.output_bits else None
        return _Outputs.apply(membrane, unit, self.bias, codes)

    @torch.no_grad()
    def freeze(self) -> SpikeQuantLinear:
        """The current layer, no longer trainable."""
        grid = self.grid()
        weight = grid.pack(grid.steps(self.latent.detach()))
        output = OutputSteps(self.output_scale, self.output_exponents)
        frozen = SpikeQuantLinear(weight, self.bias.detach().clone(), self.site.freeze(), output)
        frozen.output_bits = self.output_bits
        return frozen
