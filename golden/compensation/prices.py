"""Prices that bring the shares of salient values and of silent inputs in the whole model to their targets."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from spikequant.golden.compensation.factors import Readers
from spikequant.golden.compensation.site_search import Prices, search_site
from spikequant.golden.quantizer.encode import encode
from spikequant.golden.quantizer.site import Site
from spikequant.golden.quantizer.tally import Tally

FIRST_PRICE = 1.6e-5
"""Price of a salient value in the first search, and four times that of a spike where silence is wanted, in nats."""

SEARCHES = 4
"""Number of searches of all sites for the prices of a model."""

MOVES = (2.0, 6.0)
"""Exponents of the ratio of found to wanted share, for salient values and spikes, that a price is multiplied by.

A share falls with about the third root of its price, that of spikes much more slowly.
"""

GENTLE = 0.25
"""Share of such a move after a block, which makes good what the search on the float model did not see."""


@dataclass(frozen=True)
class Shares:
    """Wanted shares, each 0..1.

    Attributes:
        salient: of values that are salient.
        silent: of inputs that are silent; 0 leaves the dead zones as they are.
    """

    salient: float
    silent: float

    def moved(self, prices: Prices, counts: Tensor, *, strength: float = 1.0) -> Prices:
        """The prices moved towards the wanted shares, from what was counted at these prices by ``count``."""
        salient, spikes, values = counts.tolist()
        factor = _bounded((salient / values / self.salient) ** (MOVES[0] * strength))
        if not self.silent:
            return Prices(prices.salient * factor)
        ratio = spikes / values / (1 - self.silent)
        return Prices(prices.salient * factor, prices.spike * _bounded(ratio ** (MOVES[1] * strength)))


def _bounded(factor: float) -> float:
    return min(4.0, max(0.25, factor))


@dataclass(frozen=True)
class SampledSite:
    """A site whose search depends on the prices.

    Attributes:
        start: where the search starts.
        values: float32 [S, K], inputs of some tokens.
        readers: the layers that read it.
    """

    start: Site
    values: Tensor
    readers: Readers


def find_prices(sites: Sequence[SampledSite], shares: Shares) -> Prices:
    """The prices at which all sites of a model together have the wanted shares, or nearly: one price for the model.

    The same price everywhere puts salient values and spikes where they save most divergence.
    """
    prices = Prices(FIRST_PRICE, FIRST_PRICE / 4 if shares.silent else 0.0)
    best = [sampled.start for sampled in sites]
    for _ in range(SEARCHES):
        for i, sampled in enumerate(sites):
            best[i], _ = search_site(best[i], sampled.values, sampled.readers.cost(prices))
        prices = shares.moved(prices, count(zip(best, (sampled.values for sampled in sites), strict=True)))
    return prices


def count(sites: Iterable[tuple[Site, Tensor]]) -> Tensor:
    """Numbers of salient values, spikes, and all values, float64 [3], of sites with inputs [S, K] each."""
    tally = Tally()
    for site, values in sites:
        tally.add(encode(values, site))
    return torch.tensor([tally.salient, tally.values - tally.silent, tally.values], dtype=torch.float64)


class PriceControl:
    """Moves the prices gently from block to block, by the shares in all blocks so far.

    Args:
        shares: the wanted ones.
        prices: for the first block.
        carried: the state after an earlier block, as from the method of that name; empty for the first block.
    """

    def __init__(self, shares: Shares, prices: Prices, carried: Tensor) -> None:
        self._shares = shares
        self.prices = prices
        self._counts = torch.zeros(3, dtype=torch.float64)
        if carried.numel():
            self.prices = Prices(*carried[:2].tolist())
            self._counts = carried[2:].clone()

    def carried(self) -> Tensor:
        """The state, float64 [5]."""
        prices = torch.tensor([self.prices.salient, self.prices.spike], dtype=torch.float64)
        return torch.cat([prices, self._counts])

    def advance(self, counts: Tensor) -> None:
        """Take the counts of a block, as from ``count``, and move the prices."""
        self._counts += counts
        self.prices = self._shares.moved(self.prices, self._counts, strength=GENTLE)
