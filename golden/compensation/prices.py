"""Prices that bring the shares of salient values and of silent inputs to their targets."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from spikequant.golden.compensation.site_search import Prices
from spikequant.golden.quantizer.encode import encode
from spikequant.golden.quantizer.site import Site

FAR = 1.6
"""A block whose share is further from the target than this factor is searched again at other prices."""

TRIES = 6
"""Largest number of such searches of a block."""

FIRST_PRICE = 1.6e-5
"""Price of a salient value in the first search, and of a spike where silence is wanted, in nats."""


@dataclass
class Share:
    """Share of some of the values of all blocks so far."""

    part: int = 0
    whole: int = 0

    def add(self, part: int, whole: int) -> None:
        """Count ``part`` of ``whole``."""
        self.part += part
        self.whole += whole

    @property
    def value(self) -> float:
        """The share, 0..1."""
        return self.part / max(1, self.whole)


class PriceControl:
    """Steers prices from block to block, so that blocks may differ and the whole model meets the targets.

    Args:
        salient: wanted share of salient values, 0..1.
        silent: wanted share of silent inputs, 0..1; 0 leaves the dead zones as they are.
        carried: the state after an earlier block, as from the method of that name; empty for the first block.
    """

    def __init__(self, salient: float, silent: float, carried: Tensor) -> None:
        self._salient, self._silent = salient, silent
        if carried.numel():
            prices, counts = carried.tolist()[:2], map(int, carried.tolist()[2:])
            self.prices = Prices(*prices)
            self._salient_so_far, self._spikes_so_far = Share(next(counts), next(counts)), Share(*counts)
        else:
            self.prices = Prices(FIRST_PRICE, FIRST_PRICE / 4 if silent else 0.0)
            self._salient_so_far, self._spikes_so_far = Share(), Share()

    def carried(self) -> Tensor:
        """The state, float64 [6]."""
        counts = [share for pair in (self._salient_so_far, self._spikes_so_far) for share in (pair.part, pair.whole)]
        return torch.tensor([self.prices.salient, self.prices.spike, *counts], dtype=torch.float64)

    def settle(self, search: Callable[[Prices], Sequence[tuple[Site, Tensor]]]) -> None:
        """Set the prices for a block.

        Args:
            search: gives the block's sites at some prices, each with inputs [S, K].
        """
        for attempt in range(TRIES):
            found = search(self.prices)
            salient, spikes = _count(found)
            far = self._far(salient, spikes)
            if not far or attempt == TRIES - 1:
                break
            self.prices = self._moved(salient.value, spikes.value, strength=1.0)
        self._salient_so_far.add(salient.part, salient.whole)
        self._spikes_so_far.add(spikes.part, spikes.whole)

    def advance(self) -> None:
        """Move the prices after a block, by what all blocks so far have."""
        self.prices = self._moved(self._salient_so_far.value, self._spikes_so_far.value, strength=0.5)

    def _far(self, salient: Share, spikes: Share) -> bool:
        pairs = [(salient.value, self._salient)]
        if self._silent:
            pairs.append((spikes.value, 1 - self._silent))
        return any(not 1 / FAR <= found / wanted <= FAR for found, wanted in pairs)

    def _moved(self, salient: float, spikes: float, *, strength: float) -> Prices:
        prices = replace(self.prices, salient=self.prices.salient * _step(salient / self._salient, strength))
        if self._silent:
            # shares of spikes lie close together, while their prices do not
            return replace(prices, spike=prices.spike * _step((spikes / (1 - self._silent)) ** 4, strength))
        return prices


def _step(ratio: float, strength: float) -> float:
    return min(4.0, max(0.25, ratio**strength))


def _count(sites: Sequence[tuple[Site, Tensor]]) -> tuple[Share, Share]:
    """Shares of salient values and of spikes."""
    salient, spikes = Share(), Share()
    for site, values in sites:
        levels = encode(values, site)
        salient.add(int(levels.salient.count_nonzero()), values.numel())
        spikes.add(int(levels.level.count_nonzero()), values.numel())
    return salient, spikes
