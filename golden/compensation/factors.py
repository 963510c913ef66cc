"""What folds into a block's float weights before they are rounded: channel factors, and the means of value channels."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from spikequant.golden.compensation.site_search import STRIDES, Prices, SiteCost, search_site
from spikequant.golden.quantizer.encode import encode
from spikequant.golden.quantizer.equalize import channel_factors
from spikequant.golden.quantizer.recipe import Recipe
from spikequant.golden.quantizer.site import Site
from spikequant.golden.quantizer.statistics import SiteStatistics, sample_rows

MULTIPLIERS = tuple(math.exp(exponent / 6) for exponent in range(-3, 4))
"""Candidates for a channel's further factor."""

FACTOR_TOKENS = 384
"""Tokens on which channel factors are compared."""


@dataclass(frozen=True)
class Readers:
    """The layers that read a site.

    Attributes:
        weights: float [N, K] of each.
        sensitivities: float32 [N] of the outputs of each.
        bits: width of a weight code.
    """

    weights: list[Tensor]
    sensitivities: list[Tensor]
    bits: int

    def cost(self, prices: Prices) -> SiteCost:
        """The cost of a site that they read."""
        return SiteCost(self.weights, self.sensitivities, prices)

    def multiplied(self, factors: Tensor) -> "Readers":
        """The same with columns multiplied by factors [K]."""
        return replace(self, weights=[weight * factors for weight in self.weights])

    def rounding(self) -> float:
        """Expected divergence from rounding a column to the nearest, in nats a unit of its input's power."""
        total = 0.0
        for weight, sensitivity in zip(self.weights, self.sensitivities, strict=True):
            step = (weight.amax(1).clamp(min=0) - weight.amin(1).clamp(max=0)) / (2**self.bits - 1)
            # a rounding error is even in a step, of variance 1/12, and half of it counts
            total += float((sensitivity * step.square()).sum()) / 24
        return total


def choose_factors(
    start: Callable[[SiteStatistics], Site],
    statistics: SiteStatistics,
    readers: Readers,
    recipe: Recipe,
    prices: Prices,
    *,
    foldable: Callable[[Tensor], Tensor],
) -> Tensor:
    """The channel factors with the least cost: over the recipe's strengths, and then channel by channel.

    Args:
        start: gives the site where its search starts.
        statistics: of the site's input in the float model.
        readers: the layers that read it.
        recipe: choices of the quantizer.
        prices: of salient values and spikes.
        foldable: gives the nearest factors that fold.

    Returns:
        Divisors of the site's channels, float32 [K].
    """

    def search(factors: Tensor) -> tuple[Site, float]:
        divided, multiplied = statistics.divided(factors), readers.multiplied(factors)
        sample = sample_rows([divided.sample], FACTOR_TOKENS)
        found, least = search_site(start(divided), sample, multiplied.cost(prices), strides=STRIDES[:1])
        return found, least + multiplied.rounding() * float(divided.power.sum())

    factors = torch.ones_like(statistics.power)
    best, least = search(factors)
    for strength in filter(None, recipe.equalize):
        for of_weights in (0.0, strength):
            tried = channel_factors(statistics, readers.weights, of_inputs=strength, of_weights=of_weights)
            tried = foldable(tried)
            found, cost = search(tried)
            if cost < least:
                best, least, factors = found, cost, tried
    for _ in range(recipe.compensation.refinements):
        tried = foldable(factors * _refined(best, statistics.divided(factors), readers.multiplied(factors), prices))
        found, cost = search(tried)
        if cost >= least:
            break
        best, least, factors = found, cost, tried
    return factors


def _refined(site: Site, statistics: SiteStatistics, readers: Readers, prices: Prices) -> Tensor:
    """For each channel by itself the further factor of ``MULTIPLIERS`` with the least cost, float32 [K].

    The errors of different channels count as independent, and the steps of the weights as given.
    """
    values = sample_rows([statistics.sample], FACTOR_TOKENS)
    slope, rounding = readers.cost(prices).slopes(), readers.rounding()
    best, least = torch.ones_like(slope), torch.full_like(slope, torch.inf)
    for multiplier in MULTIPLIERS:
        divided = values / multiplier
        levels = encode(divided, site)
        error = (levels.level * site.scale - divided).square_().mean(0)
        cost = slope * multiplier**2 * error + rounding * statistics.power / multiplier**2
        cost += prices.salient * levels.salient.float().mean(0)
        cost += prices.spike * (levels.level != 0).float().mean(0)
        best = torch.where(cost < least, multiplier, best)
        least = torch.minimum(cost, least)
    return best


def shift_values(source: nn.Linear, channels: Tensor, readers: list[nn.Linear], mean: Tensor) -> Tensor:
    """Move the mean of each value channel from the attention's output to the biases of the layers that read it.

    Attention weights sum to 1, so that a constant on a value channel passes unchanged.

    Args:
        source: the layer that gives the values.
        channels: int64 [K], the output of ``source`` that each input of the readers stems from.
        readers: layers that read the attention's output.
        mean: float32 [K], mean of that output.

    Returns:
        float32 [K], what the attention's output loses.
    """
    zeros = torch.zeros(source.out_features)
    shift = zeros.index_add(0, channels, mean) / zeros.index_add(0, channels, torch.ones_like(mean)).clamp(min=1)
    source.bias = nn.Parameter((zeros if source.bias is None else source.bias) - shift, requires_grad=False)
    for reader in readers:
        moved = reader.weight @ shift[channels]
        reader.bias = nn.Parameter(moved if reader.bias is None else reader.bias + moved, requires_grad=False)
    return shift[channels]
