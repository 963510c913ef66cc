import numpy as np
import pytest

from spikequant.golden.evaluation.trace import capture_inputs, layer_vectors, trace_layers
from spikequant.golden.layer.integer import run_layer
from spikequant.golden.layer.spec import PRESETS
from spikequant.golden.layer.vectors import check_vectors
from spikequant.golden.models.model import LanguageModel
from spikequant.golden.quantizer.linear import quantized_layers
from spikequant.golden.quantizer.site import Site
from spikequant.golden.support.errors import InputError

SPEC = PRESETS["tiny"]


@pytest.mark.parametrize("tokens", [1, 5, 530])
def test_a_traced_layer_gives_its_float_outputs_from_integers(
    quantized_model: LanguageModel, prose: str, tokens: int
) -> None:
    name = "model.layers.1.mlp.down_proj"
    vectors, output = layer_vectors(quantized_model, name, tokens, SPEC, texts=[prose])
    check_vectors(vars(vectors), SPEC, source=name)
    assert (vectors.tokens, vectors.inputs, vectors.outputs) == (tokens, 48, 32)
    layer = quantized_layers(quantized_model.model)[name]
    assert isinstance(layer.site, Site)
    unit_values = layer.unit_values(layer.site.scale).numpy()
    np.testing.assert_allclose(run_layer(vectors, SPEC).membrane * unit_values, output, rtol=1e-5, atol=1e-7)


def test_every_layer_agrees_with_its_integers(quantized_model: LanguageModel, prose: str) -> None:
    """Of every kind, in both blocks: membranes within float rounding, and codes exactly."""
    model = quantized_model.model
    layers = quantized_layers(model)
    names = list(layers)
    inputs = capture_inputs(quantized_model, names, 40, [prose])
    kinds = {name.rpartition(".")[2] for name in names}
    assert kinds == {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}
    salient = 0
    for name, vectors, output in trace_layers(quantized_model, names, 40, SPEC, texts=[prose]):
        layer = layers[name]
        assert isinstance(layer.site, Site)
        check_vectors(vars(vectors), SPEC, source=name)
        integers = run_layer(vectors, SPEC)
        assert not integers.saturated.any()
        salient += int(vectors.salient.sum())
        values = integers.membrane * layer.unit_values(layer.site.scale).numpy()
        np.testing.assert_allclose(values, output, rtol=1e-5, atol=1e-7, err_msg=name)
        layer.output_bits, layer.theta_fraction_bits = SPEC.output_bits, SPEC.theta_fraction_bits
        coded = layer(inputs[name]).double() / layer.output_steps(SPEC.output_bits)
        np.testing.assert_array_equal(coded.round().int().numpy(), integers.code, err_msg=name)
    assert salient > 0


def test_all_layers_come_from_one_pass(quantized_model: LanguageModel, prose: str) -> None:
    names = list(quantized_layers(quantized_model.model))
    traced = {name: vectors for name, vectors, _ in trace_layers(quantized_model, names, 3, SPEC, texts=[prose])}
    assert list(traced) == names
    alone, _ = layer_vectors(quantized_model, names[-1], 3, SPEC, texts=[prose])
    assert np.array_equal(alone.level, traced[names[-1]].level)
    query, key = traced["model.layers.0.self_attn.q_proj"], traced["model.layers.0.self_attn.k_proj"]
    assert np.array_equal(query.level, key.level)


def test_the_inputs_are_what_the_quantized_model_computes(quantized_model: LanguageModel, prose: str) -> None:
    model = quantized_model.model
    ids = quantized_model.tokenizer(prose, return_tensors="pt")["input_ids"][:, :4]
    embedded = model.get_input_embeddings()(ids)
    expected = model.get_submodule("model.layers.0.input_layernorm")(embedded)[0]
    name = "model.layers.0.self_attn.q_proj"
    assert capture_inputs(quantized_model, [name], 4, [prose])[name].equal(expected)


def test_an_unknown_layer_names_close_ones(quantized_model: LanguageModel, float_model: LanguageModel) -> None:
    with pytest.raises(InputError, match=r"expected one like model\.layers\.0\.mlp\.down_proj"):
        layer_vectors(quantized_model, "model.layers.0.mlp.down", 1, SPEC, texts=["abc"])
    with pytest.raises(InputError, match="it has none, expected a quantized model"):
        layer_vectors(float_model, "model.layers.0.mlp.down_proj", 1, SPEC, texts=["abc"])


def test_too_little_text_is_refused(quantized_model: LanguageModel) -> None:
    with pytest.raises(InputError, match="tokens: 9, but the text has only 4"):
        layer_vectors(quantized_model, "model.layers.0.mlp.down_proj", 9, SPEC, texts=["abcd"])
    with pytest.raises(InputError, match="tokens: 0, expected 1 or more"):
        layer_vectors(quantized_model, "model.layers.0.mlp.down_proj", 0, SPEC, texts=["abcd"])
