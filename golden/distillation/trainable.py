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
from spikequant.golden.quantizer.site import Site, salient_outside
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
        return salient_outside(Site(0.0, 0.0, scale, self.zero, bits=self.bits, salient_bits=self.salient_bits))


class TrainableLinear(nn.Module):
    """A quantized layer with trained weights, scales and bias; zero points and the choice of wide columns stay.

    Args:
        weight: float [N, K], initial values.
        grid: initial scales, zero points and wide columns.
        bias: float [N], or None for zeros.
        site: the site of its input.

    Attributes:
        latent: weights in steps of their row's scale, before rounding.
        log_scale: logarithm of the rows' scales.
    """

    zeros: Tensor
    fine: Tensor

    def __init__(self, weight: Tensor, grid: WeightGrid, bias: Tensor | None, site: TrainableSite) -> None:
        super().__init__()
        self.latent = nn.Parameter(weight.detach() / grid.scales[:, None])
        self.log_scale = nn.Parameter(grid.scales.log())
        self.bias = nn.Parameter(torch.zeros(weight.shape[0]) if bias is None else bias.detach().clone())
        self.register_buffer("zeros", grid.zeros)
        self.register_buffer("fine", grid.fine)
        self.bits = grid.bits
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
        return membrane * (self.site.log_scale + self.log_scale).exp() + self.bias

    @torch.no_grad()
    def freeze(self, output_peaks: Tensor) -> SpikeQuantLinear:
        """The current layer, no longer trainable.

        Args:
            output_peaks: float32 [N], largest |y| of each output.
        """
        grid = self.grid()
        weight = grid.pack(grid.steps(self.latent.detach()))
        return SpikeQuantLinear(weight, self.bias.detach().clone(), self.site.freeze(), output_peaks)
