"""Integer results of a layer, ``code << exponent`` in units of its scale, found again in its float outputs."""

from dataclasses import dataclass

from torch import Tensor

from spikequant.golden.quantizer.linear import SpikeQuantLinear
from spikequant.golden.quantizer.output_steps import OUTPUT_BITS, OutputSteps


@dataclass(frozen=True)
class Results:
    """Format of a layer's results.

    Attributes:
        bits: width of an output code, signed, 2..16.
        exponents: int64 [N], 0..15.
        unit: value of one unit, positive.
    """

    bits: int
    exponents: Tensor
    unit: float

    def codes(self, values: Tensor) -> Tensor:
        """Output codes, int64 [..., N], of outputs that are these codes times their steps, rounded to float32."""
        steps = OutputSteps(self.unit, self.exponents).values()
        return (values.double() / steps).round().long()

    def integers(self, values: Tensor) -> Tensor:
        """Results, int64 [..., N], of outputs as for ``codes``."""
        return self.codes(values) << self.exponents


def layer_results(layer: SpikeQuantLinear) -> Results | None:
    """Format of a layer's results; None where it reads membranes."""
    if layer.output_bits is None:
        return None
    unit = layer.output_scale * 2.0 ** (OUTPUT_BITS - layer.output_bits)
    return Results(layer.output_bits, layer.output_exponents.long(), unit)
