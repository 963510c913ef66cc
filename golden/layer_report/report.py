"""Comparison of every quantized layer with the same layer of the float model, on the same text."""

import math
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from spikequant.golden.evaluation.accuracy import tallied_sites
from spikequant.golden.models.model import decoder_blocks, decoder_linears, site_group, site_name
from spikequant.golden.quantizer.blocks import enter, run_block
from spikequant.golden.quantizer.linear import SpikeQuantLinear, quantized_layers
from spikequant.golden.quantizer.tally import HISTOGRAM_REACH, Tally
from spikequant.golden.support.errors import InputError
from spikequant.golden.support.figures import Figures
from spikequant.golden.support.progress import track

SQNR_RULE = (
    "power of the float layer's outputs over that of the difference, each model reading its own hidden states, so that "
    "errors of earlier layers count; the gain of each output is fitted by least squares first, since channel factors "
    "may have been folded and training moves scales, so that a mere gain is not noise"
)


class SiteFigures(Figures):
    """Figures of an input site, over all tokens.

    Attributes:
        name: of the site.
        group: kind of input: qkv, o, gate_up or down.
        block: index of its decoder block.
        inputs: K.
        salient_ratio: share of salient values.
        silent_ratio: share of values at level 0.
        clipped_tokens: tokens whose salient window was limited.
        histogram: number of values at each level -32..32; the outermost include those beyond.
    """

    name: str
    group: str
    block: int
    inputs: int
    salient_ratio: float
    silent_ratio: float
    clipped_tokens: int
    histogram: list[int]


class LayerFigures(Figures):
    """Figures of a quantized layer, over all tokens.

    Attributes:
        name: of the layer.
        kind: last part of its name.
        block: index of its decoder block.
        site: name of its input site.
        inputs: K.
        outputs: N.
        wide_columns: columns with a low half.
        sqnr_db: signal to quantization noise by ``SQNR_RULE``, in dB; None without signal or without noise.
        gain_low: smallest gain of an output.
        gain_high: largest gain of an output.
        membrane_low: smallest membrane V in its integer units, without the bias.
        membrane_high: largest.
        membrane_bits: width of a signed accumulator that holds both.
    """

    name: str
    kind: str
    block: int
    site: str
    inputs: int
    outputs: int
    wide_columns: int
    sqnr_db: float | None
    gain_low: float
    gain_high: float
    membrane_low: int
    membrane_high: int
    membrane_bits: int


class LayerReport(Figures):
    """Quantization error of all layers.

    Attributes:
        histogram_levels: levels of the first and last bin of a site's histogram.
        sqnr_rule: definition of ``sqnr_db``.
        protocol: one line on the models and the text.
        tokens: number of tokens through each layer.
        membrane_bits: width of the accelerator's membrane.
        layers: in the order of the model.
        sites: in the order of the model.
    """

    histogram_levels: tuple[int, int] = (-HISTOGRAM_REACH, HISTOGRAM_REACH)
    sqnr_rule: str = SQNR_RULE
    protocol: str
    tokens: int
    membrane_bits: int
    layers: list[LayerFigures]
    sites: list[SiteFigures]


def accumulator_bits(low: int, high: int) -> int:
    """Width of the narrowest two's complement number that holds ``low..high`` and zero."""
    return max(max(high, 0).bit_length(), (~min(low, 0)).bit_length() if low < 0 else 0) + 1


def signal_to_noise(expected_power: Tensor, found_power: Tensor, product: Tensor) -> float | None:
    """Signal to quantization noise in dB, with the gain of each output fitted by least squares.

    With r the float outputs, q the quantized ones and ``g = sum(r q) / sum(q q)`` per output, the noise is
    ``sum((r - g q)**2) = sum(r r) - sum(r q)**2 / sum(q q)``, and signal and noise are summed over the outputs.

    Args:
        expected_power: float64 [N], sum of r**2.
        found_power: float64 [N], sum of q**2.
        product: float64 [N], sum of r q.

    Returns:
        None without signal, or if the noise is below float64 resolution.
    """
    explained = torch.where(found_power > 0, product.square() / found_power.clamp(min=1e-300), 0.0)
    signal = float(expected_power.sum())
    noise = float((expected_power - explained).clamp(min=0).sum())
    return 10 * math.log10(signal / noise) if signal > 0 and noise > 1e-14 * signal else None


class _Meter:
    """Power and product sums of one layer's outputs and those of the float layer, over tokens.

    ``expect`` and ``add`` are forward hooks of the float layer, which has to run first, and of the quantized layer.
    """

    def __init__(self, layer: SpikeQuantLinear) -> None:
        self.layer = layer
        self.expected_power, self.found_power, self.product = torch.zeros(3, layer.codes.shape[0], dtype=torch.float64)
        self.low = self.high = 0
        self._expected = torch.zeros(0)

    def expect(self, _module: nn.Module, _inputs: Any, output: Tensor) -> None:
        """Take outputs [..., N] of the float layer."""
        self._expected = output

    def add(self, _module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        """Add quantized outputs [..., N] of inputs [..., K], and the float outputs taken before."""
        found, expected = output.flatten(0, -2).double(), self._expected.flatten(0, -2).double()
        self.expected_power += expected.square().sum(0)
        self.found_power += found.square().sum(0)
        self.product += (expected * found).sum(0)
        # an exact output is the membrane, bias included, times the value of its unit
        values = inputs[0].flatten(0, -2)
        scale = self.layer.site.grid(values).scale
        exact = self.layer.exact(values).double()
        membrane = (exact / self.layer.unit_values(scale)).round_() - self.layer.bias_units(scale)
        self.low = min(self.low, int(membrane.min()))
        self.high = max(self.high, int(membrane.max()))

    def figures(self, name: str, block: int) -> LayerFigures:
        """Figures over all tokens."""
        gains = (self.product / self.found_power)[self.found_power > 0]
        outputs, inputs = self.layer.codes.shape
        return LayerFigures(
            name=name,
            kind=name.rpartition(".")[2],
            block=block,
            site=site_name(name),
            inputs=inputs,
            outputs=outputs,
            wide_columns=self.layer.wide.numel(),
            sqnr_db=signal_to_noise(self.expected_power, self.found_power, self.product),
            gain_low=float(gains.min()) if gains.numel() else 1.0,
            gain_high=float(gains.max()) if gains.numel() else 1.0,
            membrane_low=self.low,
            membrane_high=self.high,
            membrane_bits=accumulator_bits(self.low, self.high),
        )


def check_comparable(model: PreTrainedModel, reference: PreTrainedModel) -> None:
    """Check that the layers of two models correspond.

    Raises:
        InputError: the model has no quantized layer, or the float model none of the same name and shape.
    """
    layers = quantized_layers(model)
    if not layers:
        raise InputError(
            "layers: the model has no layers for the integer datapath, expected method spikequant, no research recipe"
        )
    shapes = {name: linear.weight.shape for name, linear in decoder_linears(reference).items()}
    for name, layer in layers.items():
        if shapes.get(name) != layer.codes.shape:
            found = "none" if name not in shapes else f"{list(shapes[name])}"
            raise InputError(
                f"reference: layer {name} is {found} there, expected {list(layer.codes.shape)}: another model?"
            )


@torch.no_grad()
def measure_layers(
    model: PreTrainedModel, reference: PreTrainedModel, windows: list[Tensor], *, membrane_bits: int, protocol: str
) -> LayerReport:
    """Run both models over text, block by block.

    Each model reads its own hidden states, so that a layer's noise includes the errors of the layers before it.

    Args:
        model: with quantized layers.
        reference: the float model.
        windows: int64 [n] each.
        membrane_bits: width of the accelerator's membrane, to compare with.
        protocol: one line on the models and the text.

    Raises:
        InputError: the layers of the two models do not correspond.
    """
    check_comparable(model, reference)
    layers = quantized_layers(model)
    blocks = list(decoder_blocks(model))
    block_of = {name: i for i, block in enumerate(blocks) for name in layers if name.startswith(f"{block}.")}
    meters = {name: _Meter(layer) for name, layer in layers.items()}
    # this runs a block, which must not count
    entered = [(enter(reference, window), enter(model, window)) for window in windows]
    with tallied_sites(model, histogram=True) as tallies, ExitStack() as hooks:
        for name, meter in meters.items():
            hooks.enter_context(reference.get_submodule(name).register_forward_hook(meter.expect))
            hooks.enter_context(meter.layer.register_forward_hook(meter.add))
        for theirs, ours in track(entered, "measuring layers"):
            expected, hidden = theirs.hidden, ours.hidden
            for i, block in enumerate(blocks):
                expected = run_block(reference.get_submodule(block), expected, theirs.calls[i])
                hidden = run_block(model.get_submodule(block), hidden, ours.calls[i])
    return LayerReport(
        protocol=protocol,
        tokens=sum(window.numel() for window in windows),
        membrane_bits=membrane_bits,
        layers=[meter.figures(name, block_of[name]) for name, meter in meters.items()],
        sites=[_site_figures(site, tally, layers, block_of) for site, tally in tallies.items()],
    )


def _site_figures(
    site: str, tally: Tally, layers: dict[str, SpikeQuantLinear], block_of: dict[str, int]
) -> SiteFigures:
    reader = next(name for name in layers if site_name(name) == site)
    values = max(1, tally.values)
    assert tally.histogram is not None
    return SiteFigures(
        name=site,
        group=site_group(reader),
        block=block_of[reader],
        inputs=layers[reader].codes.shape[1],
        salient_ratio=tally.salient / values,
        silent_ratio=tally.silent / values,
        clipped_tokens=tally.clipped_tokens,
        histogram=tally.histogram.tolist(),
    )
