"""Quantize one linear layer and inspect its integers.

The layer is synthetic: Gaussian weights, and activations with a few heavy outliers as language models have them.
Run it with ``python examples/quantize_layer.py``.
"""

import torch
from torch import nn

from spikequant.golden.layer.integer import run_layer
from spikequant.golden.layer.spec import load_spec
from spikequant.golden.quantizer.linear import SpikeQuantLinear
from spikequant.golden.quantizer.site import calibrate_site
from spikequant.golden.quantizer.statistics import SiteWatcher
from spikequant.golden.quantizer.weights import quantize_weight

INPUTS, OUTPUTS, TOKENS = 576, 192, 64
SALIENCY_FACTOR = 3.4


def activations(tokens: int) -> torch.Tensor:
    """Synthetic activations, float32 [tokens, INPUTS]: 2 % of the channels are 12 times larger than the others."""
    values = torch.randn(tokens, INPUTS)
    values[:, torch.randperm(INPUTS)[: INPUTS // 50]] *= 12
    return values


def quantize(layer: nn.Linear, calibration: torch.Tensor) -> SpikeQuantLinear:
    """The layer with 4-bit weights, calibrated on activations, float32 [tokens, INPUTS]."""
    watcher = SiteWatcher(windows=1)
    watcher.add(calibration)
    statistics = watcher.statistics()
    site = calibrate_site(statistics, SALIENCY_FACTOR)
    weight = quantize_weight(layer.weight, power=statistics.power, wide_fraction=0.0625, clip_search=True)
    quantized = SpikeQuantLinear(weight, None, site)
    quantized.fit_outputs(calibration)
    return quantized


@torch.no_grad()
def main() -> None:
    """Quantize, print the site and the distribution of levels, and compare integers with floats."""
    torch.manual_seed(0)
    layer = nn.Linear(INPUTS, OUTPUTS, bias=False)
    values = activations(TOKENS)
    quantized = quantize(layer, values)
    site = quantized.site
    print(f"site: scale {site.scale:.4f}, zero point {site.zero}, salient beyond {site.threshold:.3f} of the median")

    spec = load_spec("base")
    vectors = quantized.vectors(values, spec)
    print(f"weights: codes 0..{vectors.w_code.max()}, {vectors.wide.size} wide columns of {vectors.inputs}")
    print(f"levels: {(vectors.level == 0).mean():.1%} silent, {vectors.salient.mean():.2%} salient")

    output = run_layer(vectors, spec)
    float_error = (quantized(values) - layer(values)).norm() / layer(values).norm()
    print(f"membranes: {output.membrane.min()}..{output.membrane.max()}, {output.saturated.sum()} saturated")
    print(f"relative error of the quantized layer: {float_error:.3f}")

    result = torch.from_numpy(output.code).long() << quantized.output_exponents.long()
    difference = (result.double() * quantized.output_scale - quantized(values).double()).abs().max()
    print(f"largest difference between shifted codes and the PyTorch layer: {difference:.1e}")


if __name__ == "__main__":
    main()
