"""Prices that bring the shares of salient values and of silent inputs to their targets."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from spikequant.golden.compensation.site_search import Prices
from spikequant.golden.quantizer.encode import encode
from spikequant.golden.quantizer.site import Site
from spikequant.golden.quantizer.tally import Tally

FAR = 1.6
"""A block whose share is further from the target than this factor is searched again at other prices."""

TRIES = 6
"""Largest number of such searches of a block."""

FIRST_PRICE = 1.6e-5
"""Price of a salient value in the first search, and of a spike where silence is wanted, in nats."""


class PriceControl:
    """Steers prices from block to block, so that blocks may differ and the whole model meets the targets.

    Args:
        salient: wanted share of salient values, 0..1.
        silent: wanted share of silent inputs, 0..1; 0 leaves the dead zones as they are.
        carried: the state after an earlier block, as from the method of that name; empty for the first block.
    """

    def __init__(self, salient: float, silent: float, carried: Tensor) -> None:
        self._salient, self._silent = salient, silent
        self.prices = Prices(FIRST_PRICE, FIRST_PRICE / 4 if silent else 0.0)
        # salient values, spikes, and all values of the blocks so far
        self._counts = torch.zeros(3, dtype=torch.float64)
        if carried.numel():
            self.prices = Prices(*carried[:2].tolist())
            self._counts = carried[2:].clone()

    def carried(self) -> Tensor:
        """The state, float64 [5]."""
        prices = torch.tensor([self.prices.salient, self.prices.spike], dtype=torch.float64)
        return torch.cat([prices, self._counts])

    def settle(self, search: Callable[[Prices], Sequence[tuple[Site, Tensor]]]) -> None:
        """Set the prices for a block.

        Args:
            search: gives the block's sites at some prices, each with inputs [S, K].
        """
        for attempt in range(TRIES):
            counts = _count(search(self.prices))
            if attempt == TRIES - 1 or not self._far(counts):
                break
            self.prices = self._moved(counts, strength=1.0)
        self._counts += counts

    def advance(self) -> None:
        """Move the prices after a block, by what all blocks so far have."""
        self.prices = self._moved(self._counts, strength=0.5)

    def _ratios(self, counts: Tensor) -> tuple[float, float]:
        """Shares of salient values and of spikes, each over the wanted share; 1 for spikes without a wanted share."""
        salient, spikes, values = counts.tolist()
        return salient / values / self._salient, spikes / values / (1 - self._silent) if self._silent else 1.0

    def _far(self, counts: Tensor) -> bool:
        return any(not 1 / FAR <= ratio <= FAR for ratio in self._ratios(counts))

    def _moved(self, counts: Tensor, *, strength: float) -> Prices:
        salient, spikes = self._ratios(counts)
        # shares of spikes lie close together, while their prices do not
        return Prices(self.prices.salient * _step(salient, strength), self.prices.spike * _step(spikes**4, strength))


def _step(ratio: float, strength: float) -> float:
    return min(4.0, max(0.25, ratio**strength))


def _count(sites: Sequence[tuple[Site, Tensor]]) -> Tensor:
    """Numbers of salient values, spikes, and all values, float64 [3]."""
    tally = Tally()
    for site, values in sites:
        tally.add(encode(values, site))
    return torch.tensor([tally.salient, tally.values - tally.silent, tally.values], dtype=torch.float64)
