"""Check of quantized layers: a layer whose salient share, levels or error are out of line is named in a warning."""

import logging
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from spikequant.golden.quantizer.encode import encode
from spikequant.golden.quantizer.linear import SpikeQuantLinear
from spikequant.golden.quantizer.site import TokenSite
from spikequant.golden.quantizer.weights import quantize_weight

MOST_SALIENT = 0.1
"""Largest usual share of salient values of a site; most have 2 to 3 %."""

MOST_CLIPPED = 0.01
"""Largest usual share of tokens whose salient window was limited."""

TOKENS = 256
"""Tokens on which a layer is checked."""

NO_SALIENCE = 1e9
"""Saliency factor above which no value is salient."""


@dataclass(frozen=True)
class LayerHealth:
    """A quantized layer on calibration text.

    Attributes:
        name: of the layer.
        salient: share of salient inputs, 0..1.
        silent: share of inputs at level 0, 0..1.
        clipped: share of tokens whose salient window was limited, 0..1.
        error: mean squared error of the output over the mean square of the float output.
        plain: the same with weights and inputs of the same widths rounded to the nearest code, one scale a token and
            output channel.
    """

    name: str
    salient: float
    silent: float
    clipped: float
    error: float
    plain: float

    def warnings(self) -> list[str]:
        """One line for each figure that is out of line, with what was expected."""
        found: list[str] = []
        if self.salient > MOST_SALIENT:
            found.append(f"{self.salient:.1%} of the inputs salient, expected at most {MOST_SALIENT:.0%}")
        if self.clipped > MOST_CLIPPED:
            found.append(f"salient inputs of {self.clipped:.0%} of the tokens clipped, expected {MOST_CLIPPED:.0%}")
        if self.silent == 1:
            found.append("every input silent, expected some spikes")
        # written so that an error that is not a number is found
        if not self.error <= max(self.plain, 1e-6):
            found.append(f"output error {self.error:.3g}, expected at most {self.plain:.3g} as with plain rounding")
        return [f"{self.name}: {line}" for line in found]


@torch.no_grad()
def layer_health(name: str, layer: SpikeQuantLinear, linear: nn.Linear, values: Tensor) -> LayerHealth:
    """Measure a quantized layer.

    Args:
        name: of the layer.
        layer: the quantized layer.
        linear: the float layer.
        values: float32 [S, K], inputs of some tokens.
    """
    values = values[:: max(1, values.shape[0] // TOKENS)]
    levels = encode(values, layer.site, max_shift=layer.max_salient_shift)
    expected = linear(values)
    power = float(expected.square().sum()) or 1.0
    grid = TokenSite(NO_SALIENCE, bits=layer.site.bits, salient_bits=0)
    plain = encode(values, grid)
    weight = quantize_weight(linear.weight, bits=layer.weight_bits).values()
    rounded = nn.functional.linear(plain.level * plain.scale, weight, linear.bias)
    return LayerHealth(
        name=name,
        salient=float(levels.salient.float().mean()),
        silent=float((levels.level == 0).float().mean()),
        clipped=float(levels.clipped.float().mean()),
        error=float((layer.exact(values) - expected).square().sum()) / power,
        plain=float((rounded - expected).square().sum()) / power,
    )


def warn_about(name: str, layer: SpikeQuantLinear, linear: nn.Linear, values: Tensor) -> None:
    """Log a warning for each figure of a layer that is out of line; arguments as of ``layer_health``."""
    for line in layer_health(name, layer, linear, values).warnings():
        logging.getLogger(__name__).warning(line)
