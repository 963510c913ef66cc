"""What a quantization method is: a function from one float layer, and what calibration saw of it, to another layer."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from spikequant.golden.quantizer.statistics import SiteStatistics


@dataclass(frozen=True)
class FloatLayer:
    """A decoder layer that waits to be quantized.

    Attributes:
        name: its name in the model.
        linear: its float weights [N, K] and bias.
        statistics: of its input; None for methods without calibration.
        output_peaks: float32 [N], largest |y| of each output in calibration; None without calibration.
        norm_gain: float32 [K], gain of the norm that feeds it; None where no norm does.
        head_size: channels of one attention head.
    """

    name: str
    linear: nn.Linear
    statistics: SiteStatistics | None
    output_peaks: Tensor | None
    norm_gain: Tensor | None
    head_size: int


@dataclass(frozen=True)
class FloatSite:
    """An input site whose channels may be scaled before its layers are quantized.

    Attributes:
        name: as ``spikequant.golden.models.model.site_name`` has it.
        statistics: of the input.
        weights: float [N, K] of every layer that reads it.
        foldable: the nearest factors [K] that fold into what feeds the site.
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
        source: the publication it follows.
        differences: what is done otherwise here, one line.
        quantize: the layer that takes a float layer's place.
        calibrated: whether it needs statistics of calibration text.
        second_moment: whether these have to hold the second moment.
        factors: what to divide a site's input channels by first, float [K]; None divides by nothing.
    """

    name: str
    source: str
    differences: str
    quantize: Callable[[FloatLayer], nn.Module]
    calibrated: bool = True
    second_moment: bool = False
    factors: Callable[[FloatSite], Tensor] | None = None
