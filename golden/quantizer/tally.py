"""Counts over encoded activations."""

import torch
from torch import Tensor

from spikequant.golden.quantizer.encode import Levels

HISTOGRAM_REACH = 32
"""Largest magnitude with its own bin; the outermost bins include levels beyond."""


class Ratio:
    """Counter of a share."""

    def __init__(self) -> None:
        self._part = 0
        self._whole = 0

    def add(self, part: int, whole: int) -> None:
        """Count ``part`` of ``whole``."""
        self._part += part
        self._whole += whole

    def take(self) -> tuple[int, int]:
        """Return part and whole, and reset the counter."""
        taken = self._part, self._whole
        self._part = self._whole = 0
        return taken


class Tally:
    """Counts of the values at an input site.

    Attributes:
        tokens: number of tokens.
        values: number of activations.
        salient: activations with a salient code.
        silent: activations at level 0, which fire no spike.
        clipped_tokens: tokens whose salient window was limited.
        histogram: int64 [65], number of values at each level -32..32, those beyond in the outermost; or None.
    """

    def __init__(self, *, histogram: bool = False) -> None:
        self.tokens = 0
        self.values = 0
        self.salient = 0
        self.silent = 0
        self.clipped_tokens = 0
        self.histogram: Tensor | None = torch.zeros(2 * HISTOGRAM_REACH + 1, dtype=torch.int64) if histogram else None

    def add(self, levels: Levels) -> None:
        """Add the counts of one batch."""
        self.tokens += levels.shift.numel()
        self.values += levels.level.numel()
        self.salient += int(levels.salient.count_nonzero())
        self.silent += levels.level.numel() - int(levels.level.count_nonzero())
        self.clipped_tokens += int(levels.clipped.count_nonzero())
        if self.histogram is not None:
            bins = levels.level.clamp(-HISTOGRAM_REACH, HISTOGRAM_REACH).long().flatten() + HISTOGRAM_REACH
            self.histogram += bins.bincount(minlength=self.histogram.numel())
