"""Layers that are out of line are named."""

import logging
from dataclasses import replace

import pytest
import torch
from torch import nn

from spikequant.golden.quantizer.health import LayerHealth, layer_health, warn_about
from spikequant.golden.quantizer.linear import SpikeQuantLinear
from spikequant.golden.quantizer.site import Site
from spikequant.golden.quantizer.weights import quantize_weight

HEALTHY = LayerHealth("model.layers.0.mlp.down_proj", salient=0.025, silent=0.3, clipped=0.0, error=0.02, plain=0.3)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"salient": 0.314}, "31.4% of the inputs salient, expected at most 10%"),
        ({"clipped": 0.2}, "salient inputs of 20% of the tokens clipped, expected 1%"),
        ({"silent": 1.0}, "every input silent, expected some spikes"),
        ({"error": 0.4}, "output error 0.4, expected at most 0.3 as with plain rounding"),
        ({"error": float("nan")}, "output error nan, expected at most 0.3 as with plain rounding"),
    ],
)
def test_a_figure_out_of_line_is_named(change: dict[str, float], line: str) -> None:
    assert HEALTHY.warnings() == []
    assert replace(HEALTHY, **change).warnings() == [f"model.layers.0.mlp.down_proj: {line}"]


def make(scale: float) -> tuple[SpikeQuantLinear, nn.Linear, torch.Tensor]:
    torch.manual_seed(1)
    linear = nn.Linear(40, 12)
    values = torch.randn(300, 40)
    return (
        SpikeQuantLinear(quantize_weight(linear.weight), linear.bias, Site(0.0, 7.5 * scale, scale, 8)),
        linear,
        values,
    )


def test_figures_are_those_of_the_layer(caplog: pytest.LogCaptureFixture) -> None:
    layer, linear, values = make(0.4)
    found = layer_health("x", layer, linear, values)
    assert found.salient < 0.01
    assert found.error == pytest.approx(
        float((layer.exact(values) - linear(values)).square().sum() / linear(values).square().sum()), rel=1e-3
    )
    assert found.error < 2 * found.plain
    with caplog.at_level(logging.WARNING):
        warn_about("x", *make(0.05))
    assert "x: " in caplog.text
    assert "salient, expected at most 10%" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        warn_about("x", *make(50.0))
    assert "every input silent" in caplog.text
