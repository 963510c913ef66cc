from io import StringIO

import pytest
import torch
from rich.console import Console

from spikequant.golden.comparison.show import show_agreements
from spikequant.golden.evaluation.agreement import Agreement, compare_paths, spread_layers
from spikequant.golden.layer.spec import PRESETS, Spec
from spikequant.golden.models.model import LanguageModel
from spikequant.golden.quantizer.linear import quantized_layers


def test_layers_are_spread_over_the_model_and_every_kind() -> None:
    names = [f"{block}.{kind}" for block in range(5) for kind in ("a", "b")]
    assert spread_layers(names, 3) == ["0.a", "0.b", "2.a", "2.b", "4.a", "4.b"]
    assert spread_layers(names, 1) == ["0.a", "0.b"]
    assert spread_layers(names[:2], 3) == ["0.a", "0.b"]


@pytest.mark.parametrize(
    "spec", [PRESETS["tiny"], Spec(output_bits=16, theta_fraction_bits=4)], ids=["tiny", "16 bits"]
)
def test_every_kind_of_layer_agrees(quantized_model: LanguageModel, windows: list[torch.Tensor], spec: Spec) -> None:
    agreements = compare_paths(quantized_model.model, windows[0], spec)
    assert len(agreements) == 14
    for agreement in agreements:
        assert agreement.holds, agreement
        assert agreement.outputs % windows[0].numel() == 0
        assert agreement.inexact == 0


def test_the_model_is_left_as_it_was(quantized_model: LanguageModel, windows: list[torch.Tensor]) -> None:
    model = quantized_model.model
    before = model(windows[0][None]).logits
    compare_paths(model, windows[0], PRESETS["tiny"])
    assert model(windows[0][None]).logits.equal(before)
    assert all(layer.output_bits == 8 for layer in quantized_layers(model).values())
    compare_paths(model, windows[0], Spec(output_bits=8, theta_fraction_bits=3))
    assert {layer.theta_fraction_bits for layer in quantized_layers(model).values()} == {12}


def test_a_wrong_weight_is_found(quantized_model: LanguageModel, windows: list[torch.Tensor]) -> None:
    layer = quantized_layers(quantized_model.model)["model.layers.0.mlp.up_proj"]
    layer.steps[3, 5] += 1
    agreements = {a.layer: a for a in compare_paths(quantized_model.model, windows[0], PRESETS["tiny"])}
    assert not agreements["model.layers.0.mlp.up_proj"].holds
    assert agreements["model.layers.0.mlp.gate_proj"].holds


def test_what_counts_as_agreement() -> None:
    fine = Agreement(layer="layer", outputs=10, inexact=2, difference=1e-7, unequal_codes=0)
    assert fine.holds
    assert not fine.model_copy(update={"difference": 1e-5}).holds
    assert not fine.model_copy(update={"unequal_codes": 1}).holds


def test_a_layer_without_an_exact_sum_is_neither_equal_nor_different(
    quantized_model: LanguageModel, windows: list[torch.Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spikequant.golden.evaluation.agreement.FLOAT32_EXACT", 0)
    agreements = compare_paths(quantized_model.model, windows[0], PRESETS["tiny"])
    assert all(agreement.compared == 0 and agreement.holds for agreement in agreements)
    shown = StringIO()
    show_agreements(agreements[:1], Console(width=80, file=shown))
    assert f"{agreements[0].layer}: nothing compared" in shown.getvalue()
    assert "NO" not in shown.getvalue()
