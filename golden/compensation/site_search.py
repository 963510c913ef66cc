"""Search of a site's grid for the least divergence of the predictions, with prices on salient values and spikes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from spikequant.golden.quantizer.encode import encode
from spikequant.golden.quantizer.site import ROUNDING, Site, salient_outside

STRIDES = (1.2, 1.07)
"""Factors on the scale, from coarse to fine."""

DEAD_ZONE_STEP = 0.125
"""Distance of two candidates for a dead zone, in steps of the site."""

WIDEST_DEAD_ZONE = 1.5


@dataclass(frozen=True)
class Prices:
    """Prices in nats.

    Attributes:
        salient: of a salient value.
        spike: of a value that is not silent; 0 leaves the dead zones as they are.
    """

    salient: float
    spike: float = 0.0


class SiteCost:
    """Cost of quantizing a site's input, per token.

    Args:
        weights: float [N, K] of every layer that reads the input.
        sensitivities: float32 [N] of each of these layers' outputs.
        prices: of salient values and spikes.
    """

    def __init__(self, weights: Sequence[Tensor], sensitivities: Sequence[Tensor], prices: Prices) -> None:
        self.prices = prices
        halves = [sensitivity.div(2).sqrt_()[:, None] for sensitivity in sensitivities]
        self._roots = torch.cat([weight * half for weight, half in zip(weights, halves, strict=True)])
        outputs, inputs = self._roots.shape
        # half the divergence's second derivative by the input, where that is the smaller matrix
        self._curvature = self._roots.T @ self._roots if inputs < outputs else None

    def divergence(self, errors: Tensor) -> float:
        """Expected divergence of the predictions from errors [S, K] of the input, in nats."""
        if self._curvature is None:
            return float((errors @ self._roots.T).square_().sum())
        return float((errors @ self._curvature).mul_(errors).sum())

    def slopes(self) -> Tensor:
        """Divergence by the square of each channel's error, float32 [K]."""
        return self._roots.square().sum(0)

    def __call__(self, values: Tensor, site: Site) -> float:
        """The cost of a site on inputs [S, K]."""
        levels = encode(values, site)
        divergence = self.divergence((levels.level * site.scale).sub_(values))
        salient = self.prices.salient * int(levels.salient.count_nonzero())
        spikes = self.prices.spike * int(levels.level.count_nonzero()) if self.prices.spike else 0.0
        return (divergence + salient + spikes) / values.shape[0]


def search_site(
    site: Site, values: Tensor, cost: SiteCost, *, strides: Sequence[float] = STRIDES
) -> tuple[Site, float]:
    """The site with the least cost, by descent on scale and zero point; values outside its codes are salient.

    With a price on spikes, the dead zone is searched as well.

    Args:
        site: where to start.
        values: float32 [S, K], inputs of some tokens.
        cost: of a site.
        strides: factors on the scale, from coarse to fine.

    Returns:
        The site and its cost.
    """
    best = salient_outside(site)
    least = cost(values, best)
    for stride in strides:
        improved = True
        while improved:
            improved = False
            for candidate in _neighbours(best, stride, dead_zone=cost.prices.spike > 0):
                found = cost(values, candidate)
                if found < least:
                    best, least, improved = candidate, found, True
    return best, least


def _neighbours(site: Site, stride: float, *, dead_zone: bool) -> Iterator[Site]:
    for scale in (site.scale * stride, site.scale / stride):
        yield salient_outside(replace(site, scale=float(np.float32(scale))))
    for zero in (site.zero - 1, site.zero + 1):
        if 0 <= zero < 2**site.bits:
            yield salient_outside(replace(site, zero=zero))
    if dead_zone:
        for zone in (site.dead_zone - DEAD_ZONE_STEP, site.dead_zone + DEAD_ZONE_STEP):
            if ROUNDING <= zone <= WIDEST_DEAD_ZONE:
                yield replace(site, dead_zone=zone)
