import copy

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel

from spikequant.golden.block.block import NORMS, IntegerBlock, saturated_values, use_integer_blocks
from spikequant.golden.block.settings import BlockWidths
from spikequant.golden.evaluation.accuracy import measure_accuracy
from spikequant.golden.evaluation.agreement import compare_paths
from spikequant.golden.evaluation.offload import offload_layers
from spikequant.golden.layer.integer import run_layer
from spikequant.golden.layer.spec import load_spec
from spikequant.golden.models.model import LanguageModel, decoder_blocks
from spikequant.golden.quantizer.calibrate import quantize_model
from spikequant.golden.quantizer.linear import quantized_layers
from spikequant.golden.quantizer.recipe import Recipe
from spikequant.golden.quantizer.spikequant import spikequant
from spikequant.golden.support.errors import InputError

WIDE = BlockWidths(
    residual_bits=25,
    root_index_bits=12,
    root_bits=17,
    root_steps=1,
    gate_index_bits=10,
    scale_bits=17,
    ratio_bits=25,
    ratio_fraction=10,
)

INTEGER_FAMILIES = ("llama", "mistral", "qwen2", "qwen3")


@pytest.fixture
def integer_model(quantized_model: LanguageModel) -> LanguageModel:
    model = copy.deepcopy(quantized_model.model)
    use_integer_blocks(model, BlockWidths())
    return LanguageModel(model, quantized_model.tokenizer, "integer")


@torch.no_grad()
def block_outputs(model: PreTrainedModel, window: Tensor) -> list[Tensor]:
    """Hidden states after each block."""
    found: list[Tensor] = []
    handles = [
        block.register_forward_hook(lambda _module, _inputs, output: found.append(output))
        for block in decoder_blocks(model).values()
    ]
    model(window[None], use_cache=False)
    for handle in handles:
        handle.remove()
    return found


def relative(found: Tensor, expected: Tensor) -> float:
    """Relative difference of the median token: a level that rounds to its neighbour moves a token, but few do."""
    return float(((found - expected).norm(dim=-1) / expected.norm(dim=-1)).median())


def test_wide_units_compute_the_float_block(quantized_model: LanguageModel, windows: list[Tensor]) -> None:
    expected = block_outputs(quantized_model.model, windows[0])
    use_integer_blocks(quantized_model.model, WIDE)
    found = block_outputs(quantized_model.model, windows[0])
    assert relative(found[0], expected[0]) < 1e-5
    assert relative(found[1], expected[1]) < 1e-5


def test_default_units_are_close_to_the_float_block(
    quantized_model: LanguageModel, integer_model: LanguageModel, windows: list[Tensor]
) -> None:
    for found, expected in zip(
        block_outputs(integer_model.model, windows[0]),
        block_outputs(quantized_model.model, windows[0]),
        strict=True,
    ):
        assert relative(found, expected) < 0.15
    accuracy = measure_accuracy(integer_model.model, windows)
    floats = measure_accuracy(quantized_model.model, windows)
    assert accuracy.perplexity == pytest.approx(floats.perplexity, rel=0.01)
    assert accuracy.silent_ratio == pytest.approx(floats.silent_ratio, abs=0.01)
    assert accuracy.saturated_values == 0


def test_names_of_layers_stay(quantized_model: LanguageModel, integer_model: LanguageModel) -> None:
    assert list(quantized_layers(integer_model.model)) == list(quantized_layers(quantized_model.model))
    assert all(isinstance(block, IntegerBlock) for block in decoder_blocks(integer_model.model).values())


def test_the_stream_after_a_block_is_whole_steps(integer_model: LanguageModel, windows: list[Tensor]) -> None:
    for block, found in zip(
        decoder_blocks(integer_model.model).values(), block_outputs(integer_model.model, windows[0]), strict=True
    ):
        assert isinstance(block, IntegerBlock)
        steps = found.double() * 2.0**block.bound.fraction
        assert steps.equal(steps.round())
        assert steps.abs().le(block.bound.channels).all()
        assert int(block.bound.channels.max()) < 2**17


def test_the_result_does_not_depend_on_the_batch_or_the_cache(
    integer_model: LanguageModel, windows: list[Tensor]
) -> None:
    model, window = integer_model.model, windows[0]
    with torch.no_grad():
        whole = model(window[None], use_cache=False).logits
        assert whole.equal(model(window[None], use_cache=False).logits)
        first = model(window[None, :-1], use_cache=True)
        last = model(window[None, -1:], past_key_values=first.past_key_values).logits
    # attention adds floats in another order, which may move a level to its neighbour
    assert relative(last[0, -1], whole[0, -1]) < 0.05


def test_layers_in_integers_get_the_same_levels(integer_model: LanguageModel, windows: list[Tensor]) -> None:
    model, spec = integer_model.model, load_spec("base")
    assert all(agreement.holds for agreement in compare_paths(model, windows[0], spec))
    with torch.no_grad():
        expected = model(windows[0][None], use_cache=False).logits
        with offload_layers(model, spec, lambda _name, vectors: run_layer(vectors, spec)):
            found = model(windows[0][None], use_cache=False).logits
    assert found.equal(expected)


def test_saturation_is_counted_by_unit(quantized_model: LanguageModel, windows: list[Tensor]) -> None:
    model = quantized_model.model
    use_integer_blocks(model, BlockWidths(ratio_bits=8, ratio_fraction=6))
    accuracy = measure_accuracy(model, windows)
    counts = saturated_values(model)
    assert counts["norm"] > 0
    assert counts["gate"] > 0
    assert counts["embedding"] == 0
    assert accuracy.saturated_values == sum(counts.values())


@pytest.mark.parametrize("values", [torch.zeros(1, 3, 32), -torch.zeros(1, 3, 32), torch.full((1, 3, 32), 0.25)])
def test_hostile_streams_go_through(integer_model: LanguageModel, values: Tensor) -> None:
    outlier = values.clone()
    outlier[0, 1, 7] = 1e6
    for stream in (values, outlier):
        with torch.no_grad():
            found = integer_model.model(inputs_embeds=stream, use_cache=False).logits
        assert found.isfinite().all()
    # an embedding beyond the table's
    assert saturated_values(integer_model.model)["embedding"] >= 1


def test_models_of_each_family(family_model: LanguageModel, windows: list[Tensor]) -> None:
    model = family_model.model
    kind = model.config.get_text_config(decoder=True).model_type
    quantize_model(model, windows, spikequant(Recipe(equalize=())))
    if kind not in INTEGER_FAMILIES:
        with pytest.raises(InputError, match=f"integer block: model type {kind}"):
            use_integer_blocks(model, WIDE)
        return
    expected = block_outputs(model, windows[0])
    use_integer_blocks(model, WIDE)
    found = block_outputs(model, windows[0])
    assert relative(found[0], expected[0]) < 1e-5


def test_a_norm_that_is_left_out_shows(quantized_model: LanguageModel, windows: list[Tensor]) -> None:
    expected = block_outputs(quantized_model.model, windows[0])
    for block in decoder_blocks(quantized_model.model).values():
        for norm in NORMS:
            block.get_submodule(norm).get_parameter("weight").data.mul_(1.1)
    use_integer_blocks(quantized_model.model, WIDE)
    assert relative(block_outputs(quantized_model.model, windows[0])[0], expected[0]) > 0.03


def test_membranes_floats_and_scales_are_refused(float_model: LanguageModel, quantized_model: LanguageModel) -> None:
    with pytest.raises(InputError, match=r"model\.layers\.0\.self_attn\.q_proj is not quantized"):
        use_integer_blocks(float_model.model, BlockWidths())
    layers = quantized_layers(quantized_model.model)
    layers["model.layers.1.mlp.down_proj"].output_scale = 0.3
    with pytest.raises(InputError, match=r"model\.layers\.1\.mlp\.down_proj has a scale of 0\.3, expected a power"):
        use_integer_blocks(copy.deepcopy(quantized_model.model), BlockWidths())
    layers["model.layers.0.mlp.gate_proj"].output_bits = None
    with pytest.raises(InputError, match=r"model\.layers\.0\.mlp\.gate_proj reads membranes, expected output codes"):
        use_integer_blocks(quantized_model.model, BlockWidths())


@pytest.mark.parametrize(("name", "value"), [("residual_bits", 26), ("root_steps", 2), ("ratio_fraction", 0)])
def test_widths_out_of_range_are_refused(name: str, value: int) -> None:
    with pytest.raises(InputError, match=f"integer block: {name} is {value}, expected"):
        BlockWidths(**{name: value})
