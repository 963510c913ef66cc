"""Trainable quantized layers: integers in the forward pass, straight-through gradients in the backward pass.

Rounding has no useful gradient, so each rounding passes the gradient as if it were the identity (the straight-through
estimator, arXiv 1308.3432); gradients of scales follow LSQ (arXiv 1902.08153). Matrix products run in bfloat16, whose
8 bits of precision represent every 4-bit level, every 5-bit salient code times a power of two, and every 8-bit weight
exactly.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from spikequant.golden.quantizer.encode import MAX_SALIENT_SHIFT, salient_window
from spikequant.golden.quantizer.linear import SpikeQuantLinear
from spikequant.golden.quantizer.output_steps import OUTPUT_BITS, OutputSteps
from spikequant.golden.quantizer.site import ROUNDING, Site, salient_outside
from spikequant.golden.quantizer.tally import Ratio
from spikequant.golden.quantizer.weights import LOW_STEPS, WeightGrid

EDGE = 0.499
"""Distance, in steps, that a latent weight may lie outside its codes: it still rounds to the outermost code."""


class _Levels(torch.autograd.Function):
    """Levels of activations, salient exactly where the rounded value is outside the normal codes."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, log_scale: Tensor, site: "TrainableSite") -> Tensor:
        scale = log_scale.exp()
        ratio = values / scale
        level = ratio.round()
        if site.dead_zone > ROUNDING:
            level.masked_fill_(ratio.abs() < site.dead_zone, 0)
        salient = (level < -site.zero) | (level > 2**site.bits - 1 - site.zero)
        window = salient_window(ratio.masked_fill(~salient, 0), site.salient_bits, MAX_SALIENT_SHIFT)
        site.salient.add(int(salient.count_nonzero()), salient.numel())
        ctx.save_for_backward(ratio.bfloat16(), scale)
        return torch.where(salient, window.level, level).bfloat16()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        ratio, scale = ctx.saved_tensors
        gradient = gradient.float()
        return gradient / scale, -(gradient * ratio).sum(), None


class _Steps(torch.autograd.Function):
    """The nearest steps of the grid to latent weights."""

    @staticmethod
    def forward(ctx: Any, latent: Tensor, nearest: Callable[[Tensor], Tensor]) -> Tensor:  # noqa: ARG004 - autograd's
        return nearest(latent).bfloat16()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:  # noqa: ARG004 - autograd's signature
        return gradient.float(), None


class _Codes(torch.autograd.Function):
    """Output codes in units of their steps; outputs beyond the largest code get no gradient."""

    @staticmethod
    def forward(ctx: Any, ratio: Tensor, largest: int) -> Tensor:
        ctx.save_for_backward(ratio.abs() <= largest)
        return ratio.round().clamp_(-largest, largest)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (inside,) = ctx.saved_tensors
        return gradient * inside, None


class TrainableSite(nn.Module):
    """An input site with a trained scale; layers that read the same tensor encode it once.

    Args:
        site: initial values; its salient rule is replaced by that of ``salient_outside``.

    Attributes:
        log_scale: logarithm of the value of one level.
        zero: zero point.
        salient: share of salient values since it was last reset.
    """

    def __init__(self, site: Site) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(math.log(site.scale)))
        self.zero = site.zero
        self.bits = site.bits
        self.salient_bits = site.salient_bits
        self.dead_zone = site.dead_zone
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
        scale = float(self.log_scale.detach().exp())
        site = Site(
            0.0, 0.0, scale, self.zero, bits=self.bits, salient_bits=self.salient_bits, dead_zone=self.dead_zone
        )
        return salient_outside(site)


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
        lowest = -self.zeros[:, None]
        wide = self.fine > 1
        # the largest step of a wide column is larger, and its steps are finer
        top = lowest + 2**self.bits - 1 / LOW_STEPS
        finest = self.latent[:, wide].clamp(lowest - EDGE / LOW_STEPS, top + EDGE / LOW_STEPS)
        self.latent.clamp_(lowest - EDGE, lowest + 2**self.bits - 1 + EDGE)
        self.latent[:, wide] = finest

    def forward(self, values: Tensor) -> Tensor:
        """Float outputs [..., N] of float inputs [..., K]."""
        steps = _Steps.apply(self.latent, self.grid().steps)
        membrane = nn.functional.linear(self.site(values), steps).float()
        output = membrane * (self.site.log_scale + self.log_scale).exp() + self.bias
        if self.output_bits is None:
            return output
        return _Codes.apply(output / self.output_steps, 2 ** (self.output_bits - 1) - 1) * self.output_steps

    @torch.no_grad()
    def freeze(self) -> SpikeQuantLinear:
        """The current layer, no longer trainable."""
        grid = self.grid()
        weight = grid.pack(grid.steps(self.latent.detach()))
        output = OutputSteps(self.output_scale, self.output_exponents)
        frozen = SpikeQuantLinear(weight, self.bias.detach().clone(), self.site.freeze(), output)
        frozen.output_bits = self.output_bits
        return frozen
