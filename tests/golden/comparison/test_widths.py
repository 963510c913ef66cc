import pytest
from torch import Tensor

from spikequant.golden.comparison.widths import FLOAT_WIDTHS, measure_widths
from spikequant.golden.models.model import LanguageModel, decoder_linears, replace_layer
from spikequant.golden.quantizer.fake_quant import FakeQuantLinear
from spikequant.golden.quantizer.recipe import Recipe


def unchanged(values: Tensor) -> Tensor:
    return values


def faked(language_model: LanguageModel) -> LanguageModel:
    """Every layer 32 or 48 inputs wide."""
    for name, linear in decoder_linears(language_model.model).items():
        replace_layer(language_model.model, name, FakeQuantLinear(linear.weight, linear.bias, unchanged))
    return language_model


def test_a_float_model(float_model: LanguageModel) -> None:
    assert measure_widths(float_model.model, "fp", Recipe(), salient_ratio=0) == FLOAT_WIDTHS


def test_codes_with_their_scales(float_model: LanguageModel) -> None:
    found = measure_widths(faked(float_model).model, "rtn", Recipe(), salient_ratio=0)
    assert (found.weight_bits, found.activation_bits, found.bits_note) == (4, 4, "")
    # a block: q, k, v, o of 32, 16, 16, 32 outputs, gate and up of 48, all 32 wide; down of 32, 48 wide
    narrow, down = 32 * (32 + 16 + 16 + 32 + 48 + 48), 32 * 48
    assert found.weight_bits_stored == pytest.approx(4 + 20 * (narrow / 32 + down / 48) / (narrow + down))
    # four sites of 32, 32, 32 and 48
    assert found.activation_bits_stored == pytest.approx(4 + 20 * 4 / (3 * 32 + 48))


def test_wider_parts_count(float_model: LanguageModel) -> None:
    model = faked(float_model).model
    atom = measure_widths(model, "atom", Recipe(), salient_ratio=0)
    assert (atom.weight_bits, atom.activation_bits) == (4.25, 4.25)
    # every row or token has a scale for its one group and one for its INT8 part
    assert atom.activation_bits_stored == pytest.approx(4.25 + 2 * 16 * 4 / (3 * 32 + 48))
    spikellm = measure_widths(model, "spikellm", Recipe(), salient_ratio=0)
    assert (spikellm.weight_bits, spikellm.activation_bits) == (4, pytest.approx(4.1))
    assert spikellm.activation_bits_stored == pytest.approx(4.1 + 2 * 20 * 4 / (3 * 32 + 48))
    assert spikellm.weight_bits_stored == measure_widths(model, "rtn", Recipe(), salient_ratio=0).weight_bits_stored


def test_spikequant_counts_low_halves_and_marks(quantized_model: LanguageModel) -> None:
    found = measure_widths(quantized_model.model, "spikequant", Recipe(), salient_ratio=0.02)
    # 3 wide columns of 32, 5 of 48
    narrow, down = 32 * 192, 32 * 48
    low = 4 * (3 / 32 * narrow + 5 / 48 * down) / (narrow + down)
    assert found.weight_bits == pytest.approx(4 + low)
    rows = 192 + 32
    indices = 6 * 3 + 5
    assert found.weight_bits_stored == pytest.approx(found.weight_bits + (36 * rows + 16 * indices) / (narrow + down))
    assert found.activation_bits == pytest.approx(4.02)
    assert found.activation_bits_stored == pytest.approx(5.02 + 10 * 4 / (3 * 32 + 48))
    assert "columns at 8 bits" in found.bits_note


def test_a_research_recipe_says_what_it_needs(float_model: LanguageModel) -> None:
    recipe = Recipe.model_validate({"weights": {"group_size": 16, "wide_fraction": 0}})
    found = measure_widths(faked(float_model).model, "spikequant", recipe, salient_ratio=0)
    assert found.weight_bits_stored == pytest.approx(4 + 20 / 16)
    assert "a multiplier per neuron" in found.bits_note
