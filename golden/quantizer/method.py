"""Interface of a quantization method: a function from a float layer and its statistics to a quantized layer."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor, nn
from transformers import PreTrainedModel

from spikequant.golden.quantizer.statistics import SiteStatistics
from spikequant.golden.quantizer.streams import BlockRuns, Streams

QuantizeBlock = Callable[[int, BlockRuns, Streams], None]
"""Quantizes a block, given by its number, in place, and moves all hidden states past it."""


@dataclass(frozen=True)
class FloatLayer:
    """A decoder layer to be quantized.

    Attributes:
        name: name in the model.
        linear: float weights [N, K] and bias.
        statistics: of the input; None for methods without calibration.
        norm_gain: float32 [K], gain of the preceding norm, or None.
        head_size: channels of one attention head.
    """

    name: str
    linear: nn.Linear
    statistics: SiteStatistics | None
    norm_gain: Tensor | None
    head_size: int


@dataclass(frozen=True)
class FloatSite:
    """An input site whose channels may be scaled before its layers are quantized.

    Attributes:
        name: as from ``spikequant.golden.models.model.site_name``.
        statistics: of the input.
        weights: float [N, K] of every layer that reads it.
        foldable: gives the nearest factors [K] that fold into the preceding norm or projection.
    """

    name: str
    statistics: SiteStatistics
    weights: Sequence[Tensor]
    foldable: Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Method:
    """One way to quantize a model, layer by layer.

    Attributes:
        name: as in ``--method``.
        source: publication that it follows.
        differences: differences from the publication, one line.
        quantize: gives the quantized layer that replaces a float layer.
        calibrated: whether it needs statistics of calibration text.
        second_moment: whether these include the second moment.
        factors: gives divisors of a site's input channels, float [K], which are applied first; None for none.
        compensate: gives, from a float model and its calibration windows, the function that quantizes one block after
            the other on the quantized model's own activations; it takes the place of ``quantize`` and ``factors``.
    """

    name: str
    source: str
    differences: str
    quantize: Callable[[FloatLayer], nn.Module]
    calibrated: bool = True
    second_moment: bool = False
    factors: Callable[[FloatSite], Tensor] | None = None
    compensate: Callable[[PreTrainedModel, list[Tensor]], QuantizeBlock] | None = None
