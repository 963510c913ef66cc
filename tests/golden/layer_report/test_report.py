import copy
import json
import math
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from spikequant.golden.evaluation.accuracy import measure_accuracy
from spikequant.golden.layer_report.page import render_page, write_layers
from spikequant.golden.layer_report.report import LayerReport, accumulator_bits, measure_layers, signal_to_noise
from spikequant.golden.models.model import LanguageModel
from spikequant.golden.quantizer.encode import encode
from spikequant.golden.quantizer.linear import quantized_layers
from spikequant.golden.support.errors import InputError

NAME = "model.layers.1.mlp.down_proj"


def measure(quantized: LanguageModel, reference: LanguageModel, windows: list[torch.Tensor]) -> LayerReport:
    return measure_layers(quantized.model, reference.model, windows, membrane_bits=12, protocol="tiny; prose")


@pytest.fixture
def report(quantized_model: LanguageModel, float_model: LanguageModel, windows: list[torch.Tensor]) -> LayerReport:
    return measure(quantized_model, float_model, windows)


@pytest.mark.parametrize(
    ("low", "high", "bits"),
    [(0, 0, 1), (-1, 0, 1), (0, 1, 2), (-2, 1, 2), (-3, 1, 3), (-8, 7, 4), (-8, 8, 5), (5, 9, 5)],
)
def test_widths_of_accumulators(low: int, high: int, bits: int) -> None:
    assert accumulator_bits(low, high) == bits


def test_noise_of_known_power() -> None:
    expected = torch.randn(4000, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    noise = torch.randn(4000, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(2)) * 0.1
    gains = torch.tensor([0.5, 1.0, 7.0])

    def decibels(found: torch.Tensor) -> float | None:
        return signal_to_noise(expected.square().sum(0), found.square().sum(0), (expected * found).sum(0))

    assert decibels((expected + noise) * gains) == pytest.approx(20, abs=0.3)
    assert decibels(expected * gains) is None
    assert decibels(torch.zeros_like(expected)) == pytest.approx(0)


def test_layers_are_measured_side_by_side(
    report: LayerReport, quantized_model: LanguageModel, float_model: LanguageModel, windows: list[torch.Tensor]
) -> None:
    """Against whole passes of both models, and integer membranes of the encoded inputs."""
    seen: dict[str, list[torch.Tensor]] = {"input": [], "ours": [], "theirs": []}

    def catch(kind: str) -> Any:
        def hook(_module: Any, inputs: Any, output: torch.Tensor) -> None:
            seen[kind].append(output[0])
            if kind == "ours":
                seen["input"].append(inputs[0][0])

        return hook

    layer = quantized_layers(quantized_model.model)[NAME]
    layer.register_forward_hook(catch("ours"))
    float_model.model.get_submodule(NAME).register_forward_hook(catch("theirs"))
    with torch.no_grad():
        for window in windows:
            quantized_model.model(window[None])
            float_model.model(window[None])
    values, ours, theirs = (torch.cat(seen[kind]) for kind in ("input", "ours", "theirs"))
    found = next(item for item in report.layers if item.name == NAME)
    gains = torch.stack([torch.linalg.lstsq(ours[:, n : n + 1], theirs[:, n]).solution[0] for n in range(32)])
    noise = (theirs - ours * gains).square().sum()
    assert found.sqnr_db == pytest.approx(10 * math.log10(float(theirs.square().sum() / noise)), abs=1e-3)
    assert (found.gain_low, found.gain_high) == pytest.approx((float(gains.min()), float(gains.max())), rel=1e-4)
    membrane = encode(values, layer.site).level.double() @ (layer.steps.double() * layer.units).T
    assert (found.membrane_low, found.membrane_high) == (int(membrane.min()), int(membrane.max()))
    assert found.membrane_bits == accumulator_bits(found.membrane_low, found.membrane_high)
    assert (found.inputs, found.outputs, found.wide_columns, found.block, found.kind) == (48, 32, 5, 1, "down_proj")


def test_sites_are_those_of_the_evaluation(
    report: LayerReport, quantized_model: LanguageModel, windows: list[torch.Tensor]
) -> None:
    assert [site.group for site in report.sites] == ["qkv", "o", "gate_up", "down"] * 2
    assert [site.block for site in report.sites] == [0] * 4 + [1] * 4
    whole = measure_accuracy(quantized_model.model, windows)
    values = sum(site.inputs for site in report.sites)
    assert sum(s.salient_ratio * s.inputs for s in report.sites) / values == pytest.approx(whole.salient_ratio)
    assert sum(s.silent_ratio * s.inputs for s in report.sites) / values == pytest.approx(whole.silent_ratio)
    for site in report.sites:
        assert sum(site.histogram) == report.tokens * site.inputs
        assert site.histogram[32] == pytest.approx(site.silent_ratio * sum(site.histogram))


def test_nothing_is_left_on_the_models(
    quantized_model: LanguageModel, float_model: LanguageModel, windows: list[torch.Tensor]
) -> None:
    measure(quantized_model, float_model, windows[:1])
    for model in (quantized_model.model, float_model.model):
        assert not any(module._forward_hooks for module in model.modules())
    assert all(layer.tally is None for layer in quantized_layers(quantized_model.model).values())


def test_models_that_are_no_pair_are_refused(
    quantized_model: LanguageModel, float_model: LanguageModel, windows: list[torch.Tensor]
) -> None:
    with pytest.raises(InputError, match="no layers for the integer datapath"):
        measure(float_model, float_model, windows)
    other = copy.deepcopy(float_model)
    other.model.model.layers[1].mlp.down_proj = torch.nn.Linear(40, 32)
    with pytest.raises(InputError, match=r"down_proj is \[32, 40\] there, expected \[32, 48\]"):
        measure(quantized_model, other, windows)


def test_the_page_stands_alone(report: LayerReport, tmp_path: Path) -> None:
    write_layers(tmp_path / "layers.html", report)
    page = (tmp_path / "layers.html").read_text()
    assert page == render_page(report)
    assert page.count("data:image/svg+xml;base64,") == 4
    assert not re.search(r'(?:src|href)="(?!data:)', page)
    assert all(layer.name in page for layer in report.layers)
    # the accelerator's 12 bits are too few for some
    assert page.count('class="n bad"') == sum(layer.membrane_bits > 12 for layer in report.layers) > 0


def test_the_json_holds_all(report: LayerReport, tmp_path: Path) -> None:
    write_layers(tmp_path / "layers.json", report)
    written = json.loads((tmp_path / "layers.json").read_text())
    assert written["tokens"] == report.tokens
    assert written["histogram_levels"] == [-32, 32]
    assert [layer["sqnr_db"] for layer in written["layers"]] == [layer.sqnr_db for layer in report.layers]
    assert [site["histogram"] for site in written["sites"]] == [site.histogram for site in report.sites]
