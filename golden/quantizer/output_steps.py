"""Output steps: one scale for a layer times a power of two for each output.

A code stands for ``code << exponent`` in units of the layer's scale, so that nothing multiplies after the threshold.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from spikequant.golden.quantizer.affine import positive

OUTPUT_BITS = 8
"""Width of an output code that steps are calibrated for."""

MAX_EXPONENT = 15

MANTISSAS = 4
"""Candidates of the layer's scale within a factor of two."""

FINER = 4
"""Largest number of halvings of the step that spans the peak."""


@dataclass(frozen=True)
class OutputSteps:
    """Output steps of a layer for codes of ``OUTPUT_BITS``.

    Attributes:
        scale: one unit of the layer's integer result (s_L), positive, exact in float32.
        exponents: uint8 [N], 0..15.
    """

    scale: float
    exponents: Tensor

    def values(self, output_bits: int = OUTPUT_BITS) -> Tensor:
        """Value of one code of each output, float64 [N]; codes of another width span the same range."""
        unit = self.scale * 2.0 ** (OUTPUT_BITS - output_bits)
        return torch.ldexp(torch.full(self.exponents.shape, unit, dtype=torch.float64), self.exponents.int())


def fit_output_steps(outputs: Tensor, weights: Tensor | None = None) -> OutputSteps:
    """The steps with the least squared error of the rounded and clipped outputs.

    Args:
        outputs: float32 [S, N], exact outputs of the layer for some tokens.
        weights: float32 [N], weight of each output's error in the choice of the layer's scale; ones by default.
    """
    top = 2 ** (OUTPUT_BITS - 1) - 1
    peaks = outputs.abs().amax(0)
    # an output that is 0 in calibration gets the largest step
    spans = positive(torch.where(peaks > 0, peaks, peaks.max()) / top)
    weights = torch.ones_like(peaks) if weights is None else weights
    best, least = torch.zeros_like(peaks), float("inf")
    for number in range(MANTISSAS):
        offset = number / MANTISSAS
        highest = (spans.log2() - offset).ceil()
        error = torch.full_like(peaks, torch.inf)
        chosen = highest.clone()
        for halvings in range(FINER + 1):
            step = torch.exp2(highest - halvings + offset)
            found = (outputs / step).round_().clamp_(-top, top).mul_(step).sub_(outputs).square_().mean(0)
            chosen = torch.where(found < error, highest - halvings, chosen)
            error = torch.minimum(found, error)
        total = float((error * weights).sum())
        if total < least:
            best, least, mantissa = chosen, total, offset
    lowest = float((best.max() - MAX_EXPONENT).clamp(min=float(best.min())))
    exponents = (best - lowest).clamp(0, MAX_EXPONENT).to(torch.uint8)
    return OutputSteps(float(torch.tensor(2.0 ** (lowest + mantissa), dtype=torch.float32)), exponents)
