"""Quantized layers in a model with their integers computed elsewhere: by the integer model, or by hardware."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from spikequant.golden.layer.integer import LayerOutput
from spikequant.golden.layer.spec import Spec
from spikequant.golden.layer.vectors import LayerVectors
from spikequant.golden.models.model import replace_layer
from spikequant.golden.quantizer.encode import encode
from spikequant.golden.quantizer.linear import SpikeQuantLinear, quantized_layers
from spikequant.golden.quantizer.site import Site

RunLayer = Callable[[str, LayerVectors], LayerOutput]
"""Computes the outputs of a layer from its name and its integers."""


class OffloadedLinear(nn.Module):
    """A quantized layer that encodes its inputs, lets ``run`` compute the outputs, and scales these.

    Args:
        name: of the layer.
        layer: the quantized layer.
        spec: of the accelerator.
        run: computes the outputs.
        codes: read output codes; otherwise membranes.
    """

    def __init__(self, name: str, layer: SpikeQuantLinear, spec: Spec, run: RunLayer, *, codes: bool) -> None:
        super().__init__()
        self.layer = layer
        self._name = name
        self._spec = spec
        self._run = run
        self._codes = codes

    def forward(self, values: Tensor) -> Tensor:
        """Float outputs [..., N] of float inputs [..., K].

        Raises:
            InputError: the spec's weights or activations have other widths than the layer's.
        """
        tokens = values.flatten(0, -2)
        # without a static scale, each token has its own thresholds
        parts = [tokens] if isinstance(self.layer.site, Site) else list(tokens.split(1))
        outputs = torch.cat([self._outputs(part) for part in parts])
        return outputs.unflatten(0, values.shape[:-1])

    def _outputs(self, tokens: Tensor) -> Tensor:
        result = self._run(self._name, self.layer.vectors(tokens, self._spec))
        if self._codes:
            steps = self.layer.output_steps(self._spec.output_bits)
            return (torch.from_numpy(result.code) * steps).float()
        scale = encode(tokens, self.layer.site, max_shift=self._spec.max_salient_shift).scale
        membrane = (torch.from_numpy(result.membrane).double() / self.layer.units).float()
        return membrane * (self.layer.scales * scale)


@contextmanager
def offload_layers(model: PreTrainedModel, spec: Spec, run: RunLayer, *, codes: bool = True) -> Iterator[None]:
    """Let ``run`` compute the outputs of every quantized layer of a model within a ``with`` block.

    Args:
        model: a quantized model.
        spec: of the accelerator.
        run: computes the outputs of a layer.
        codes: read output codes; otherwise membranes.
    """
    layers = quantized_layers(model)
    for name, layer in layers.items():
        replace_layer(model, name, OffloadedLinear(name, layer, spec, run, codes=codes))
    try:
        yield
    finally:
        for name, layer in layers.items():
            replace_layer(model, name, layer)
