"""From a float model to a quantized one: what a method is given, and what becomes of the model."""

import copy
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from spikequant.golden.models.model import LanguageModel, decoder_linears, site_name
from spikequant.golden.quantizer.calibrate import quantize_model
from spikequant.golden.quantizer.linear import quantized_layers
from spikequant.golden.quantizer.method import FloatLayer, FloatSite, Method
from spikequant.golden.quantizer.recipe import RECIPES, Recipe
from spikequant.golden.quantizer.spikequant import spikequant


def keep(layer: FloatLayer) -> nn.Module:
    return layer.linear


def silence(layer: FloatLayer) -> nn.Module:
    """A layer that says nothing."""
    silent = nn.Linear(layer.linear.in_features, layer.linear.out_features)
    nn.init.zeros_(silent.weight)
    nn.init.zeros_(silent.bias)
    return silent


PLAIN = Method("keep", "none", "none", keep)


def given_layers(model: PreTrainedModel, windows: list[Tensor], method: Method = PLAIN) -> dict[str, FloatLayer]:
    """What a method is given of each layer while it quantizes the model in place."""
    given: dict[str, FloatLayer] = {}

    def note(layer: FloatLayer) -> nn.Module:
        given[layer.name] = replace(layer, linear=copy.deepcopy(layer.linear))
        return method.quantize(layer)

    quantize_model(model, windows, replace(method, quantize=note))
    return given


@torch.no_grad()
def test_a_method_is_given_what_layers_read(float_model: LanguageModel, windows: list[Tensor]) -> None:
    seen: list[Tensor] = []
    layer = decoder_linears(float_model.model)["model.layers.1.mlp.down_proj"]

    def watch(_module: nn.Module, inputs: tuple[Tensor, ...], _output: Tensor) -> None:
        seen.append(inputs[0][0])

    handle = layer.register_forward_hook(watch)
    for window in windows:
        float_model.model(window[None])
    handle.remove()
    given = given_layers(float_model.model, windows)
    values = torch.cat(seen)
    found = given["model.layers.1.mlp.down_proj"]
    assert found.statistics is not None
    assert found.statistics.sample.equal(values)
    assert float(found.statistics.low.min()) == float(values.min())
    assert float(found.statistics.high.max()) == float(values.max())
    assert torch.allclose(found.statistics.power, values.double().square().mean(0).float())
    assert (found.head_size, found.norm_gain) == (8, None)
    attention = given["model.layers.1.self_attn.k_proj"]
    assert attention.statistics is given["model.layers.1.self_attn.q_proj"].statistics
    assert attention.norm_gain is not None
    assert attention.norm_gain.equal(float_model.model.model.layers[1].input_layernorm.weight)
    assert len({site_name(name) for name in given}) == 8


def test_a_block_is_calibrated_on_the_float_model_whatever_became_of_those_before(
    float_model: LanguageModel, windows: list[Tensor]
) -> None:
    expected = given_layers(copy.deepcopy(float_model.model), windows)
    found = given_layers(float_model.model, windows, replace(PLAIN, quantize=silence))
    assert found.keys() == expected.keys()
    for name, layer in found.items():
        statistics, wanted = layer.statistics, expected[name].statistics
        assert statistics is not None
        assert wanted is not None
        assert statistics.sample.equal(wanted.sample), name


def test_the_second_moment_is_there_only_where_asked_for(float_model: LanguageModel, windows: list[Tensor]) -> None:
    for wanted in (False, True):
        for layer in given_layers(float_model.model, windows, replace(PLAIN, second_moment=wanted)).values():
            assert layer.statistics is not None
            assert (layer.statistics.second_moment is not None) == wanted


def test_a_method_without_calibration_runs_no_text(float_model: LanguageModel) -> None:
    given = given_layers(float_model.model, [], replace(PLAIN, calibrated=False, quantize=silence))
    assert all(layer.statistics is None for layer in given.values())
    assert len(given) == 14
    assert all(bool((linear.weight == 0).all()) for linear in decoder_linears(float_model.model).values())


@torch.no_grad()
def test_folding_keeps_the_function_and_what_a_method_is_told(family_model: LanguageModel) -> None:
    """Factors on every site, and no quantization: the model computes the same, and its layers see what is said."""
    model = family_model.model
    windows = [torch.arange(1, 25), torch.arange(4, 29)]
    before = [model(window[None]).logits for window in windows]

    def factors(site: FloatSite) -> Tensor:
        generator = torch.Generator().manual_seed(len(site.name))
        assert all(weight.shape[1] == site.statistics.power.numel() for weight in site.weights)
        return site.foldable(torch.rand(site.statistics.power.shape, generator=generator) * 1.5 + 0.5)

    folded = given_layers(model, windows, replace(PLAIN, factors=factors, second_moment=True))
    after = [model(window[None]).logits for window in windows]
    torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-4)
    # the folded model, watched anew
    watched = given_layers(model, windows, replace(PLAIN, second_moment=True))
    for name, layer in folded.items():
        assert layer.linear.weight.equal(watched[name].linear.weight), name
        for part in ("sample", "low", "high", "power", "second_moment"):
            found, expected = getattr(layer.statistics, part), getattr(watched[name].statistics, part)
            torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4, msg=f"{name} {part}")
        if layer.norm_gain is not None:
            assert watched[name].norm_gain is not None
            torch.testing.assert_close(layer.norm_gain, watched[name].norm_gain, msg=name)


@torch.no_grad()
def test_every_decoder_layer_is_replaced_and_the_model_stays_close(
    float_model: LanguageModel, windows: list[Tensor], recipe: Recipe
) -> None:
    model = float_model.model
    before = model(windows[0][None]).logits
    quantize_model(model, windows, spikequant(recipe))
    layers = quantized_layers(model)
    assert len(layers) == 14
    assert layers["model.layers.0.self_attn.q_proj"].site == layers["model.layers.0.self_attn.v_proj"].site
    assert layers["model.layers.0.mlp.up_proj"].wide.numel() == 3
    after = model(windows[0][None]).logits
    assert torch.nn.functional.cosine_similarity(before.flatten(), after.flatten(), dim=0) > 0.9


@torch.no_grad()
def make_uneven(model: PreTrainedModel) -> None:
    """Give the channels of every site sizes of their own, over three powers of ten, without a change of function."""
    generator = torch.Generator().manual_seed(3)

    def sizes(count: int) -> Tensor:
        return 10 ** (1.5 * torch.rand(count, generator=generator) - 0.75)

    for layer in model.model.layers:
        attention, mlp = layer.self_attn, layer.mlp
        for norm, readers in (
            (layer.input_layernorm, (attention.q_proj, attention.k_proj, attention.v_proj)),
            (layer.post_attention_layernorm, (mlp.gate_proj, mlp.up_proj)),
        ):
            factors = sizes(norm.weight.numel()) ** 2
            norm.weight.mul_(factors)
            for reader in readers:
                reader.weight.div_(factors)
        factors = sizes(mlp.up_proj.out_features)
        mlp.up_proj.weight.mul_(factors[:, None])
        mlp.down_proj.weight.div_(factors)


@pytest.mark.parametrize("preset", ["fast", "symmetric"])
@torch.no_grad()
def test_equalizing_mends_wildly_uneven_channels(
    float_model: LanguageModel, windows: list[Tensor], preset: str
) -> None:
    expected = torch.cat([float_model.model(window[None]).logits for window in windows], dim=1)
    make_uneven(float_model.model)
    uneven = torch.cat([float_model.model(window[None]).logits for window in windows], dim=1)
    torch.testing.assert_close(uneven, expected, rtol=1e-3, atol=1e-3)

    def error(recipe: Recipe) -> float:
        model = copy.deepcopy(float_model.model)
        quantize_model(model, windows, spikequant(recipe))
        return float((torch.cat([model(window[None]).logits for window in windows], dim=1) - expected).square().mean())

    chosen = RECIPES[preset]
    assert error(chosen) < 0.5 * error(chosen.model_copy(update={"equalize": ()}))
