"""What the SpikeQuant method makes of a recipe."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from spikequant.golden.quantizer.fake_quant import FakeQuantLinear
from spikequant.golden.quantizer.linear import SpikeQuantLinear
from spikequant.golden.quantizer.method import FloatLayer
from spikequant.golden.quantizer.output_steps import OUTPUT_BITS
from spikequant.golden.quantizer.recipe import Recipe
from spikequant.golden.quantizer.site import Site, TokenSite, calibrate_site, salient_outside
from spikequant.golden.quantizer.spikequant import make_site, spikequant
from spikequant.golden.quantizer.statistics import SiteWatcher
from spikequant.golden.quantizer.weights import quantize_weight

NAME = "model.layers.0.mlp.down_proj"


def make_recipe(**values: Any) -> Recipe:
    return Recipe.model_validate(values)


def make_layer(*, name: str = NAME, bias: bool = True) -> FloatLayer:
    """A layer of 48 inputs that follow from 12 hidden causes, and 24 outputs."""
    generator = torch.Generator().manual_seed(11)
    linear = nn.Linear(48, 24, bias=bias)
    with torch.no_grad():
        linear.weight.copy_(torch.randn(24, 48, generator=generator))
        if bias:
            linear.bias.copy_(torch.randn(24, generator=generator))
        inputs = torch.randn(400, 12, generator=generator) @ torch.randn(12, 48, generator=generator) + 1.5
        watcher = SiteWatcher(windows=1, second_moment=True)
        watcher.add(inputs)
    return FloatLayer(name, linear, watcher.statistics(), None, 8)


def output_error(layer: FloatLayer, quantized: nn.Module) -> Tensor:
    assert layer.statistics is not None
    inputs = layer.statistics.sample
    assert isinstance(quantized, SpikeQuantLinear)
    quantized.output_bits = None
    with torch.no_grad():
        return quantized(inputs) - layer.linear(inputs)


def test_a_site_is_what_the_recipe_says() -> None:
    statistics = make_layer().statistics
    assert statistics is not None
    plain = calibrate_site(statistics, 6.8)
    assert make_site(make_recipe(), NAME, statistics) == plain
    assert make_site(make_recipe(activations={"k": {"down": 3.4, "factor": 2}}), NAME, statistics) == plain
    outside = make_site(make_recipe(activations={"salient_rule": "outside"}), NAME, statistics)
    assert outside == salient_outside(plain)
    chosen = {"bits": 3, "salient_bits": 6, "zero_point": "symmetric", "salient_format": "float"}
    assert make_site(make_recipe(activations=chosen), NAME, statistics) == calibrate_site(
        statistics, 6.8, bits=3, salient_bits=6, zero_point="symmetric", salient_format="float"
    )
    token = make_site(make_recipe(activations=chosen | {"scale": "token"}), NAME, statistics)
    assert token == TokenSite(6.8, "symmetric", bits=3, salient_bits=6, salient_format="float")


def test_a_layer_has_the_weights_the_recipe_says() -> None:
    layer = make_layer()
    assert layer.statistics is not None
    quantized = spikequant(make_recipe(weights={"bits": 3, "wide_fraction": 0.25})).quantize(layer)
    assert isinstance(quantized, SpikeQuantLinear)
    expected = quantize_weight(
        layer.linear.weight, power=layer.statistics.power, bits=3, wide_fraction=0.25, clip_search=True
    )
    assert (quantized.weight_bits, quantized.wide.numel()) == (3, 12)
    assert quantized.codes.equal(expected.codes)
    assert quantized.low.equal(expected.low)
    assert quantized.scales.equal(expected.scales)
    assert quantized.bias is not None
    assert quantized.bias.equal(layer.linear.bias)
    assert quantized.output_bits == OUTPUT_BITS
    exact = copy.deepcopy(quantized)
    exact.output_bits = None
    sample = layer.statistics.sample
    assert (quantized(sample) - exact(sample)).norm() < 0.02 * exact(sample).norm()


def test_gptq_rounds_the_layers_of_the_named_sites_only() -> None:
    method = spikequant(make_recipe(weights={"gptq": ["o", "down"]}))
    plain = spikequant(make_recipe())
    assert (method.second_moment, plain.second_moment) == (True, False)
    for name, helped in ((NAME, True), ("model.layers.0.mlp.up_proj", False)):
        layer = make_layer(name=name)
        assert layer.statistics is not None
        inputs = layer.statistics.sample

        def weight_error(quantized: nn.Module, inputs: Tensor = inputs, layer: FloatLayer = layer) -> float:
            assert isinstance(quantized, SpikeQuantLinear)
            values = quantized.steps * quantized.scales[:, None]
            return float((inputs @ (values - layer.linear.weight).T).square().mean().detach())

        found, nearest = weight_error(method.quantize(layer)), weight_error(plain.quantize(layer))
        assert found < 0.5 * nearest if helped else found == nearest


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("scale", ["static", "token"])
def test_the_corrected_bias_takes_the_mean_error(bias: bool, scale: str) -> None:
    layer = make_layer(bias=bias)
    values: dict[str, Any] = {"activations": {"scale": scale}, "weights": {"bits": 2, "wide_fraction": 0.0}}
    plain = output_error(layer, spikequant(make_recipe(**values)).quantize(layer))
    quantized = spikequant(make_recipe(**values, correct_bias=True)).quantize(layer)
    corrected = output_error(layer, quantized)
    assert isinstance(quantized, SpikeQuantLinear)
    assert layer.statistics is not None
    # a bias is a whole number of membrane units, so that half of one may be left
    unit = quantized.unit_values(quantized.site.grid(layer.statistics.sample).scale)
    assert (corrected.mean(0).abs() <= 0.501 * unit.view(-1, 24).mean(0)).all()
    assert (plain.mean(0).abs() > 0.501 * unit.view(-1, 24).mean(0)).any()
    assert corrected.square().mean() < plain.square().mean()


@pytest.mark.parametrize("weights", [{"group_size": 16}, {"salient_k": 3.0}])
@pytest.mark.parametrize("scale", ["static", "token"])
def test_research_weights_run_in_floats_with_the_same_levels(weights: dict[str, Any], scale: str) -> None:
    layer = make_layer(bias=False)
    research = spikequant(make_recipe(activations={"scale": scale}, weights=weights)).quantize(layer)
    assert isinstance(research, FakeQuantLinear)
    plain = spikequant(make_recipe(activations={"scale": scale}, weights={"wide_fraction": 0.0})).quantize(layer)
    assert isinstance(plain, SpikeQuantLinear)
    assert isinstance(plain.site, Site if scale == "static" else TokenSite)
    # with the plain layer's weights the research layer computes the same
    research.weight = plain.steps * plain.scales[:, None]
    assert layer.statistics is not None
    inputs = layer.statistics.sample
    plain.output_bits = None
    torch.testing.assert_close(research(inputs), plain(inputs), rtol=1e-4, atol=1e-3)
