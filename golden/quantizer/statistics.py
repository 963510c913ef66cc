"""Statistics of layer inputs and outputs over calibration text."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

SAMPLE_VALUES = 2**19
"""Size of a site's sample for medians and trial quantization: whole tokens, evenly strided over all windows."""


@dataclass(frozen=True)
class SiteStatistics:
    """Statistics of the input of one or more layers, K channels wide.

    Attributes:
        sample: float32 [S, K], inputs of some tokens.
        low: float32 [K], smallest value per channel.
        high: float32 [K], largest value per channel.
        power: float32 [K], mean of x**2 per channel.
        tokens: number of tokens.
        second_moment: float32 [K, K], mean of x x^T; None if not gathered.
    """

    sample: Tensor
    low: Tensor
    high: Tensor
    power: Tensor
    tokens: int
    second_moment: Tensor | None = None

    @property
    def peak(self) -> Tensor:
        """Largest magnitude per channel, float32 [K]."""
        return torch.maximum(self.high, -self.low)

    def divided(self, factors: Tensor) -> "SiteStatistics":
        """Statistics of the input divided by positive factors [K] per channel."""
        return replace(
            self,
            sample=self.sample / factors,
            low=self.low / factors,
            high=self.high / factors,
            power=self.power / factors.square(),
            second_moment=None if self.second_moment is None else self.second_moment / factors / factors[:, None],
        )


class SiteWatcher:
    """Gathers the statistics of a site, window by window.

    Args:
        windows: number of windows.
        second_moment: whether to gather the second moment, K**2 numbers.
    """

    def __init__(self, *, windows: int, second_moment: bool = False) -> None:
        self._values_per_window = -(-SAMPLE_VALUES // windows)
        self._gather_moment = second_moment
        self._sample: list[Tensor] = []
        self._low = self._high = torch.zeros(1)
        self._power = torch.zeros(1, dtype=torch.float64)
        self._moment: Tensor | None = None
        self.tokens = 0

    def add(self, values: Tensor) -> None:
        """Add the inputs [..., K] of one window."""
        rows = values.detach().reshape(-1, values.shape[-1]).float()
        self._sample.append(rows[:: max(1, rows.numel() // self._values_per_window)].clone())
        # a channel's range includes zero, as every grid does
        self._low = torch.minimum(self._low, rows.amin(0))
        self._high = torch.maximum(self._high, rows.amax(0))
        self._power = self._power + rows.square().sum(0, dtype=torch.float64)
        self.tokens += rows.shape[0]
        if self._gather_moment:
            moment = rows.T @ rows
            self._moment = moment if self._moment is None else self._moment.add_(moment)

    def statistics(self) -> SiteStatistics:
        """Statistics of all windows so far, at least one."""
        return SiteStatistics(
            sample=torch.cat(self._sample),
            low=self._low,
            high=self._high,
            power=(self._power / self.tokens).float(),
            tokens=self.tokens,
            second_moment=None if self._moment is None else self._moment / self.tokens,
        )


def sample_rows(values: Sequence[Tensor], rows: int) -> Tensor:
    """At most ``rows`` evenly strided rows of matrices [n, K] on top of each other."""
    stride = max(1, -(-sum(part.shape[0] for part in values) // rows))
    taken, start = [], 0
    for part in values:
        taken.append(part[start % stride :: stride] if start % stride < part.shape[0] else part[:0])
        start = (start - part.shape[0]) % stride
    return torch.cat(taken)
