"""Layers whose integers are computed elsewhere give the model what its own layers give."""

from collections.abc import Mapping

import pytest
import torch

from spikequant.golden.evaluation.offload import offload_fused, offload_layers
from spikequant.golden.layer.fusion import fuse, split_output
from spikequant.golden.layer.integer import LayerOutput, run_layer
from spikequant.golden.layer.spec import PRESETS, Spec
from spikequant.golden.layer.vectors import LayerVectors
from spikequant.golden.models.model import LanguageModel
from spikequant.golden.quantizer.calibrate import quantize_model
from spikequant.golden.quantizer.linear import SpikeQuantLinear, quantized_layers
from spikequant.golden.quantizer.recipe import Activations, Recipe, Weights
from spikequant.golden.quantizer.spikequant import spikequant
from spikequant.golden.support.errors import InputError

SPEC = PRESETS["tiny"]


def integers(_name: str, vectors: LayerVectors) -> LayerOutput:
    return run_layer(vectors, SPEC)


def logits_of(model: LanguageModel, text: str) -> torch.Tensor:
    with torch.no_grad():
        return model.model(torch.tensor([model.tokenizer(text)["input_ids"]])).logits


def read_membranes(model: LanguageModel) -> dict[str, SpikeQuantLinear]:
    layers = quantized_layers(model.model)
    for layer in layers.values():
        layer.output_bits = None
    return layers


def test_every_layer_is_offloaded_within_the_block(quantized_model: LanguageModel) -> None:
    layers = read_membranes(quantized_model)
    expected = logits_of(quantized_model, "the threshold")
    seen: list[tuple[str, int]] = []

    def run(name: str, vectors: LayerVectors) -> LayerOutput:
        seen.append((name, vectors.tokens))
        return run_layer(vectors, SPEC)

    with offload_layers(quantized_model.model, SPEC, run, codes=False):
        found = logits_of(quantized_model, "the threshold")
    assert sorted(seen) == sorted((name, 13) for name in layers)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    assert quantized_layers(quantized_model.model) == layers
    assert logits_of(quantized_model, "the threshold").equal(expected)


def test_layers_of_a_site_are_computed_together(quantized_model: LanguageModel) -> None:
    layers = read_membranes(quantized_model)
    expected = logits_of(quantized_model, "the threshold")
    seen: list[list[str]] = []

    def run(together: Mapping[str, LayerVectors]) -> dict[str, LayerOutput]:
        seen.append([name.rpartition(".")[2] for name in together])
        found = list(together.values())
        return dict(zip(together, split_output(run_layer(fuse(found), SPEC), found), strict=True))

    with offload_fused(quantized_model.model, SPEC, run, codes=False):
        found = logits_of(quantized_model, "the threshold")
        again = logits_of(quantized_model, "the threshold")
        logits_of(quantized_model, "spikes")
    block = [["q_proj", "k_proj", "v_proj"], ["o_proj"], ["gate_proj", "up_proj"], ["down_proj"]]
    assert seen == block * (len(layers) // 7) * 3
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    assert again.equal(found)


def test_a_layer_that_is_called_on_other_inputs_runs_on_these(quantized_model: LanguageModel) -> None:
    model = quantized_model.model
    query, key = (f"model.layers.0.self_attn.{name}_proj" for name in "qk")
    one, other = torch.randn(2, 1, 5, model.get_submodule(query).codes.shape[1])
    alone = {}
    for name in (query, key):
        with offload_layers(model, SPEC, integers):
            alone[name] = [model.get_submodule(name)(values) for values in (one, other)]
    with offload_layers(model, SPEC, integers):
        assert model.get_submodule(query)(one).equal(alone[query][0])
        assert model.get_submodule(key)(other).equal(alone[key][1])
        assert model.get_submodule(key)(one).equal(alone[key][0])
        kept = one.clone()
        model.get_submodule(query)(one)
        # what changed in place is another input
        one.neg_()
        assert not model.get_submodule(key)(one).equal(alone[key][0])
        assert model.get_submodule(key)(kept).equal(alone[key][0])


def test_what_is_computed_elsewhere_is_what_counts(quantized_model: LanguageModel) -> None:
    def silent(_name: str, vectors: LayerVectors) -> LayerOutput:
        output = run_layer(vectors, SPEC)
        return LayerOutput(membrane=output.membrane * 0, code=output.code * 0, saturated=output.saturated)

    model = quantized_model.model
    with offload_layers(model, SPEC, silent):
        found = logits_of(quantized_model, "abc")
    ids = torch.tensor([quantized_model.tokenizer("abc")["input_ids"]])
    embedded = model.get_input_embeddings()(ids)
    assert found.equal(model.get_output_embeddings()(model.get_submodule("model.norm")(embedded)))


def test_output_codes(quantized_model: LanguageModel) -> None:
    with offload_layers(quantized_model.model, SPEC, integers):
        found = logits_of(quantized_model, "the threshold")
    for layer in quantized_layers(quantized_model.model).values():
        layer.output_bits, layer.theta_fraction_bits = SPEC.output_bits, SPEC.theta_fraction_bits
    torch.testing.assert_close(found, logits_of(quantized_model, "the threshold"), rtol=1e-5, atol=1e-5)


def test_tokens_with_scales_of_their_own_run_one_by_one(
    float_model: LanguageModel, windows: list[torch.Tensor]
) -> None:
    recipe = Recipe(equalize=(), weights=Weights(wide_fraction=0.1), activations=Activations(scale="token"))
    quantize_model(float_model.model, windows, spikequant(recipe))
    tokens: set[int] = set()

    def run(_name: str, vectors: LayerVectors) -> LayerOutput:
        tokens.add(vectors.tokens)
        return run_layer(vectors, SPEC)

    read_membranes(float_model)
    expected = logits_of(float_model, "spikes")
    with offload_layers(float_model.model, SPEC, run, codes=False):
        torch.testing.assert_close(logits_of(float_model, "spikes"), expected, rtol=1e-5, atol=1e-5)
    assert tokens == {1}


def test_another_width_is_refused_and_the_layers_come_back(quantized_model: LanguageModel) -> None:
    layers = quantized_layers(quantized_model.model)
    with (
        pytest.raises(InputError, match="weight_bits is 8, expected 4"),
        offload_layers(quantized_model.model, Spec(weight_bits=8), integers),
    ):
        logits_of(quantized_model, "abc")
    assert quantized_layers(quantized_model.model) == layers
