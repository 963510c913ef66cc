"""Comparison of quantized layers in floats and in integers, on activations of real text."""

import torch
from torch import Tensor
from transformers import PreTrainedModel

from spikequant.golden.evaluation.trace import catch_inputs
from spikequant.golden.layer.integer import run_layer
from spikequant.golden.layer.spec import Spec
from spikequant.golden.layer.vectors import LayerVectors
from spikequant.golden.quantizer.linear import SpikeQuantLinear, quantized_layers
from spikequant.golden.quantizer.site import Site
from spikequant.golden.support.figures import Figures
from spikequant.golden.support.progress import track

FLOAT32_EXACT = 2**24
"""Whole numbers below this are exact in float32, whatever the order of a sum."""

ROUNDING = 2.0**-22
"""Largest relative difference between two roundings of the same product of three float32 numbers."""


class Agreement(Figures):
    """Float and integer results of one layer, compared.

    Attributes:
        layer: its name.
        outputs: all outputs of the layer, over all tokens.
        inexact: outputs that are not compared, because float32 cannot hold their partial sums exactly.
        difference: largest relative difference of the float output from the integer membrane times its scales.
        unequal_codes: compared outputs whose codes differ.
    """

    layer: str
    outputs: int
    inexact: int
    difference: float
    unequal_codes: int

    @property
    def compared(self) -> int:
        """Number of outputs that were compared; 0 leaves it open whether the layer agrees."""
        return self.outputs - self.inexact

    @property
    def holds(self) -> bool:
        """Whether every compared output is equal within float rounding, and its code exactly."""
        return self.difference <= ROUNDING and not self.unequal_codes


def spread_layers(names: list[str], per_kind: int) -> list[str]:
    """Up to ``per_kind`` layers of each kind (the last part of a name), spread from first to last, in model order."""
    kinds: dict[str, list[str]] = {}
    for name in names:
        kinds.setdefault(name.rpartition(".")[2], []).append(name)
    chosen: set[str] = set()
    for members in kinds.values():
        count = min(per_kind, len(members))
        chosen.update(members[round(i * (len(members) - 1) / max(1, count - 1))] for i in range(count))
    return [name for name in names if name in chosen]


@torch.no_grad()
def compare_paths(model: PreTrainedModel, window: Tensor, spec: Spec, *, per_kind: int = 3) -> list[Agreement]:
    """Run layers of every kind in floats and in integers on the activations of a text window.

    Args:
        model: a quantized model with static sites.
        window: int64 [n] tokens.
        spec: spec of the accelerator.
        per_kind: number of layers of each kind.

    Raises:
        InputError: the spec's bit widths differ from the model's, or a site is not static.
    """
    layers = quantized_layers(model)
    chosen = {name: layers[name] for name in spread_layers(list(layers), per_kind)}
    inputs = catch_inputs(model, chosen, [window])
    return [
        _compare(name, layer, inputs[name], spec) for name, layer in track(list(chosen.items()), "running integers")
    ]


def _compare(name: str, layer: SpikeQuantLinear, values: Tensor, spec: Spec) -> Agreement:
    vectors = layer.vectors(values, spec)
    integers = run_layer(vectors, spec)
    exact = _exact_in_float32(layer, vectors)
    assert isinstance(layer.site, Site)
    expected = torch.from_numpy(integers.membrane) * layer.unit_values(layer.site.scale)
    before = layer.output_bits, layer.theta_fraction_bits, layer.max_salient_shift
    layer.max_salient_shift = spec.max_salient_shift
    found = layer.exact(values).double()
    layer.output_bits, layer.theta_fraction_bits = spec.output_bits, spec.theta_fraction_bits
    codes = (layer(values) / layer.output_steps(spec.output_bits)).round()
    layer.output_bits, layer.theta_fraction_bits, layer.max_salient_shift = before
    difference = ((found - expected).abs() / expected.abs().clamp(min=torch.finfo(torch.float32).tiny))[exact]
    return Agreement(
        layer=name,
        outputs=exact.numel(),
        inexact=int((~exact).count_nonzero()),
        difference=float(difference.max()) if difference.numel() else 0.0,
        unequal_codes=int((codes != torch.from_numpy(integers.code))[exact].count_nonzero()),
    )


def _exact_in_float32(layer: SpikeQuantLinear, vectors: LayerVectors) -> Tensor:
    """Outputs, bool [T, N], whose float32 sum is exact in any order."""
    steps = (layer.steps * layer.units).abs().double()
    reach = torch.from_numpy(vectors.level).abs().double() @ steps.T
    return reach + torch.from_numpy(vectors.bias).abs() < FLOAT32_EXACT
