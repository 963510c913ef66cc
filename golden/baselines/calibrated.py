"""Access to the calibration statistics of a layer."""

from torch import Tensor

from spikequant.golden.quantizer.method import FloatLayer
from spikequant.golden.quantizer.statistics import SiteStatistics


def input_statistics(layer: FloatLayer) -> SiteStatistics:
    """Statistics of a layer's input.

    Raises:
        ValueError: the layer has none.
    """
    if layer.statistics is None:
        raise ValueError(f"layer {layer.name}: no statistics of its input, expected a calibrated one")
    return layer.statistics


def input_moment(layer: FloatLayer) -> Tensor:
    """Mean of x x^T of a layer's input, float32 [K, K].

    Raises:
        ValueError: the layer has none.
    """
    moment = input_statistics(layer).second_moment
    if moment is None:
        raise ValueError(f"layer {layer.name}: no second moment of its input, expected a calibrated one")
    return moment
