from dataclasses import replace

import pytest
import torch

from spikequant.golden.quantizer.encode import encode
from spikequant.golden.quantizer.health import LayerHealth, SiteHealth, layer_warnings, site_warnings
from spikequant.golden.quantizer.site import Site
from spikequant.golden.quantizer.tally import Tally

HEALTHY = SiteHealth(
    name="model.layers.0.mlp.down", salient=0.025, silent=0.3, clipped=0.0, scale=0.1, threshold=0.8, peak=3.0
)


def test_a_healthy_site_and_layer_are_not_named() -> None:
    assert site_warnings(HEALTHY) == []
    assert site_warnings(replace(HEALTHY, scale=None, threshold=None)) == []
    assert layer_warnings(LayerHealth("x", error=0.01, plain=0.05)) == []
    assert layer_warnings(LayerHealth("x", error=0.1)) == []


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"salient": 0.314}, "31% salient, expected at most 10%"),
        ({"clipped": 0.2}, "salient values of 20% of the tokens clipped, expected at most 1%"),
        ({"threshold": 0.0}, "threshold 0, expected a positive one"),
        ({"silent": 1.0}, "scale 0.1 leaves every value silent, the largest being 3"),
        ({"peak": 0.0}, "always 0 in calibration, expected an input that varies"),
    ],
)
def test_a_site_out_of_line_is_named(change: dict[str, float], line: str) -> None:
    assert site_warnings(replace(HEALTHY, **change)) == [f"model.layers.0.mlp.down: {line}"]


def test_everything_out_of_line_is_named() -> None:
    assert len(site_warnings(replace(HEALTHY, salient=0.5, clipped=0.5, threshold=0.0, silent=1.0))) == 4


@pytest.mark.parametrize(
    ("layer", "line"),
    [
        (LayerHealth("a.b", error=0.06, plain=0.05), "output error 0.06, expected at most 0.05 as with plain rounding"),
        (LayerHealth("a.b", error=0.3), "output error 0.3, expected at most 0.1"),
        (LayerHealth("a.b", error=float("nan")), "output error nan, expected at most 0.1"),
        (LayerHealth("a.b", error=0.3, plain=0.4), "output error 0.3, expected at most 0.1"),
    ],
)
def test_a_layer_out_of_line_is_named(layer: LayerHealth, line: str) -> None:
    assert layer_warnings(layer) == [f"a.b: {line}"]


def test_shares_are_those_of_a_tally() -> None:
    site = Site(median=0.0, threshold=1.5, scale=0.2, zero=8)
    values = torch.tensor([[0.0, 0.05, 1.0, 2.0], [0.0, -1.0, 1.0, 30.0]])
    tally = Tally()
    tally.add(encode(values, site, max_shift=1))
    found = SiteHealth.of_tally("x", tally, scale=site.scale, threshold=site.threshold, peak=30.0)
    assert found == SiteHealth("x", salient=0.25, silent=0.375, clipped=0.5, scale=0.2, threshold=1.5, peak=30.0)
    assert len(site_warnings(found)) == 2
