"""Do the float layer and the integers agree? On real layers with real activations."""

from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedModel

from spikequant.golden.evaluation.trace import catch_inputs
from spikequant.golden.layer.integer import run_layer
from spikequant.golden.layer.spec import Spec
from spikequant.golden.layer.vectors import LayerVectors
from spikequant.golden.quantizer.linear import SpikeQuantLinear, output_steps, quantized_layers
from spikequant.golden.quantizer.site import Site
from spikequant.golden.support.progress import track

FLOAT32_EXACT = 2**24
"""Whole numbers below this are exact in float32, whatever the order of a sum."""

ROUNDING = 2.0**-22
"""Largest relative difference of two roundings of one product of three float32 numbers."""


@dataclass(frozen=True)
class Agreement:
    """One layer on both paths.

    Attributes:
        layer: its name.
        outputs: how many were compared.
        inexact: outputs left out, whose partial sums float32 cannot hold exactly.
        difference: largest relative difference of the float output from the integer membrane times its scales.
        unequal_codes: outputs whose code differs.
    """

    layer: str
    outputs: int
    inexact: int
    difference: float
    unequal_codes: int

    @property
    def holds(self) -> bool:
        """Whether the outputs are equal within float rounding, and the codes altogether."""
        return self.difference <= ROUNDING and not self.unequal_codes and self.inexact < self.outputs


def spread_layers(names: list[str], per_kind: int) -> list[str]:
    """Of each kind of layer some, from the first to the last, in the model's order.

    A kind is the last part of the name.
    """
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
    """Layers of every kind in floats and in integers, on what real text brings to them.

    Args:
        model: a quantized model with static sites.
        window: int64 [n] tokens.
        spec: of the accelerator that the integers are for.
        per_kind: layers of each kind.

    Raises:
        InputError: a spec of other widths than the quantizer's, or sites that are not static.
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
    found = layer(values).double()
    layer.output_bits, layer.theta_fraction_bits = spec.output_bits, spec.theta_fraction_bits
    codes = (layer(values) / output_steps(layer.output_peaks, spec.output_bits)).round()
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
    """Which outputs bool [T, N] a float32 matrix product cannot but get exactly."""
    steps = (layer.steps * layer.units).abs().double()
    reach = torch.from_numpy(vectors.level).abs().double() @ steps.T
    return reach + torch.from_numpy(vectors.bias).abs() < FLOAT32_EXACT
