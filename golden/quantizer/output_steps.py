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


@dataclass(frozen=True)
class OutputPeaks:
    """Largest magnitudes of a layer's outputs in parts of a text.

    Attributes:
        values: float32 [P, N], of each part.
        tokens: number of tokens in all parts together.
    """

    values: Tensor
    tokens: int


def fit_output_steps(
    outputs: Tensor, weights: Tensor | None = None, *, peaks: OutputPeaks | None = None, binary: bool = False
) -> OutputSteps:
    """The steps with the least squared error of the rounded and clipped outputs.

    Rare values that lie far out decide what clipping costs, and a sample misses them; so the peaks of more text can
    be given as well.

    Args:
        outputs: float32 [S, N], exact outputs of the layer for some tokens.
        weights: float32 [N], weight of each output's error in the choice of the layer's scale; ones by default.
        peaks: of the outputs in more text.
        binary: whether the scale is a power of two, so that results of several layers add after shifts.
    """
    top = 2 ** (OUTPUT_BITS - 1) - 1
    if peaks is None:
        peaks = OutputPeaks(outputs.abs().amax(0, keepdim=True), outputs.shape[0])
    largest = torch.maximum(outputs.abs().amax(0), peaks.values.amax(0))
    # an output that is 0 in calibration gets the largest step
    spans = positive(torch.where(largest > 0, largest, largest.max()) / top)
    weights = torch.ones_like(largest) if weights is None else weights
    best, least = torch.zeros_like(largest), float("inf")
    for number in range(1 if binary else MANTISSAS):
        offset = number / MANTISSAS
        highest = (spans.log2() - offset).ceil()
        error = torch.full_like(largest, torch.inf)
        chosen = highest.clone()
        for halvings in range(FINER + 1):
            step = torch.exp2(highest - halvings + offset)
            inside = outputs.clamp(-top * step, top * step)
            rounding = (inside / step).round_().mul_(step).sub_(inside).square_().mean(0)
            clipped = (outputs - inside).square_().mean(0)
            rare = (peaks.values - top * step).clamp_(min=0).square_().sum(0) / peaks.tokens
            found = rounding + torch.maximum(clipped, rare)
            chosen = torch.where(found < error, highest - halvings, chosen)
            error = torch.minimum(found, error)
        total = float((error * weights).sum())
        if total < least:
            best, least, mantissa = chosen, total, offset
    lowest = float((best.max() - MAX_EXPONENT).clamp(min=float(best.min())))
    exponents = (best - lowest).clamp(0, MAX_EXPONENT).to(torch.uint8)
    return OutputSteps(float(torch.tensor(2.0 ** (lowest + mantissa), dtype=torch.float32)), exponents)
