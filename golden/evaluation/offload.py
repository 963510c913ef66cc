"""Quantized layers in a model with their integers computed elsewhere: by the integer model, or by hardware."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from spikequant.golden.layer.fusion import share_input
from spikequant.golden.layer.integer import LayerOutput
from spikequant.golden.layer.spec import Spec
from spikequant.golden.layer.vectors import LayerVectors
from spikequant.golden.models.model import replace_layer, site_name
from spikequant.golden.quantizer.encode import encode
from spikequant.golden.quantizer.linear import SpikeQuantLinear, quantized_layers
from spikequant.golden.quantizer.site import AnySite, Site

RunLayer = Callable[[str, LayerVectors], LayerOutput]
"""Computes the outputs of a layer from its name and its integers."""


RunLayers = Callable[[Mapping[str, LayerVectors]], Mapping[str, LayerOutput]]
"""Computes the outputs of layers that share their input, from their integers by name."""


class SiteRuns:
    """Runs of the layers of one site: the first layer that is called runs all that share its input.

    Args:
        layers: the quantized layers by name, all with the same site.
        spec: of the accelerator.
        run: computes the outputs.
    """

    def __init__(self, layers: Mapping[str, SpikeQuantLinear], spec: Spec, run: RunLayers) -> None:
        self._layers = layers
        self._spec = spec
        self._run = run
        # the last inputs, and the outputs of layers that have not asked for them
        self._tokens = torch.empty(0)
        self._ready: dict[str, list[LayerOutput]] = {}

    def outputs(self, name: str, tokens: Tensor) -> list[LayerOutput]:
        """Outputs of a layer for tokens [T, K], for all tokens together or, if each has its own scale, for each."""
        if name not in self._ready or not torch.equal(tokens, self._tokens):
            self._ready = self._run_all(name, tokens)
            self._tokens = tokens.clone()
        return self._ready.pop(name)

    def _run_all(self, name: str, tokens: Tensor) -> dict[str, list[LayerOutput]]:
        found = []
        for part in site_parts(self._layers[name], tokens):
            vectors = {each: layer.vectors(part, self._spec) for each, layer in self._layers.items()}
            found.append(self._run({each: own for each, own in vectors.items() if share_input(own, vectors[name])}))
        common = set(self._layers).intersection(*found)
        return {each: [outputs[each] for outputs in found] for each in common}


def site_parts(layer: SpikeQuantLinear, tokens: Tensor) -> list[Tensor]:
    """Tokens [T, K] that have the same thresholds: without a static scale, each token has its own."""
    return [tokens] if isinstance(layer.site, Site) else list(tokens.split(1))


class OffloadedLinear(nn.Module):
    """A quantized layer that encodes its inputs, lets its site's ``runs`` compute the outputs, and scales these.

    Args:
        name: of the layer.
        layer: the quantized layer.
        spec: of the accelerator.
        runs: computes the outputs.
        codes: read output codes; otherwise membranes.
    """

    def __init__(self, name: str, layer: SpikeQuantLinear, spec: Spec, runs: SiteRuns, *, codes: bool) -> None:
        super().__init__()
        self.layer = layer
        self._name = name
        self._spec = spec
        self._runs = runs
        self._codes = codes

    def forward(self, values: Tensor) -> Tensor:
        """Float outputs [..., N] of float inputs [..., K].

        Raises:
            InputError: the spec's weights or activations have other widths than the layer's.
        """
        tokens = values.flatten(0, -2)
        results = self._runs.outputs(self._name, tokens)
        parts = zip(site_parts(self.layer, tokens), results, strict=True)
        return torch.cat([self._scaled(part, result) for part, result in parts]).unflatten(0, values.shape[:-1])

    def _scaled(self, tokens: Tensor, result: LayerOutput) -> Tensor:
        if self._codes:
            steps = self.layer.output_steps(self._spec.output_bits)
            return (torch.from_numpy(result.code) * steps).float()
        scale = encode(tokens, self.layer.site, max_shift=self._spec.max_salient_shift).scale
        membrane = (torch.from_numpy(result.membrane).double() / self.layer.units).float()
        return membrane * (self.layer.scales * scale)


@contextmanager
def offload_fused(model: PreTrainedModel, spec: Spec, run: RunLayers, *, codes: bool = True) -> Iterator[None]:
    """Let ``run`` compute the outputs of every quantized layer of a model within a ``with`` block.

    Args:
        model: a quantized model.
        spec: of the accelerator.
        run: computes the outputs of layers that share their input.
        codes: read output codes; otherwise membranes.
    """
    layers = quantized_layers(model)
    sites: dict[tuple[str, AnySite], dict[str, SpikeQuantLinear]] = {}
    for name, layer in layers.items():
        sites.setdefault((site_name(name), layer.site), {})[name] = layer
    for members in sites.values():
        runs = SiteRuns(members, spec, run)
        for name, layer in members.items():
            replace_layer(model, name, OffloadedLinear(name, layer, spec, runs, codes=codes))
    try:
        yield
    finally:
        for name, layer in layers.items():
            replace_layer(model, name, layer)


def offload_layers(
    model: PreTrainedModel, spec: Spec, run: RunLayer, *, codes: bool = True
) -> AbstractContextManager[None]:
    """``offload_fused`` with a ``run`` that computes one layer at a time."""

    def run_each(layers: Mapping[str, LayerVectors]) -> dict[str, LayerOutput]:
        return {name: run(name, vectors) for name, vectors in layers.items()}

    return offload_fused(model, spec, run_each, codes=codes)
