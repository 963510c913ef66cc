from dataclasses import replace

import pytest
import torch

from spikequant.golden.compensation.site_search import Prices, SiteCost, search_site
from spikequant.golden.quantizer.encode import encode
from spikequant.golden.quantizer.site import Site, salient_outside

START = Site(0.0, 1.0, 0.11, 4)


def inputs(seed: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(300, 16, generator=generator) ** 3


def make_cost(**prices: float) -> SiteCost:
    generator = torch.Generator().manual_seed(2)
    weights = [torch.randn(5, 16, generator=generator), torch.randn(3, 16, generator=generator)]
    shape = [torch.rand(5, generator=generator), torch.rand(3, generator=generator)]
    return SiteCost(weights, shape, Prices(**{"salient": 0.0, **prices}))


def test_the_cost_is_the_weighted_output_error_and_the_prices() -> None:
    generator = torch.Generator().manual_seed(4)
    weight, sensitivity = torch.randn(5, 16, generator=generator), torch.rand(5, generator=generator)
    values, site = inputs(), salient_outside(START)
    cost = SiteCost([weight], [sensitivity], Prices(0.25, 0.5))
    levels = encode(values, site)
    error = (levels.level * site.scale - values) @ weight.T
    expected = float((error.square() @ sensitivity).sum() / 2) + 0.25 * int(levels.salient.sum())
    expected += 0.5 * int((levels.level != 0).sum())
    assert cost(values, site) == pytest.approx(expected / 300, rel=1e-4)


def test_the_search_never_loses_and_ends_in_a_minimum() -> None:
    cost, values = make_cost(salient=0.05), inputs()
    found, least = search_site(START, values, cost)
    assert least <= cost(values, salient_outside(START))
    assert least == pytest.approx(cost(values, found))
    for scale in (found.scale * 1.07, found.scale / 1.07):
        assert cost(values, salient_outside(replace(found, scale=scale))) >= least
    for zero in {max(0, found.zero - 1), min(15, found.zero + 1)}:
        assert cost(values, salient_outside(replace(found, zero=zero))) >= least


def test_a_price_on_salient_values_lowers_their_share() -> None:
    shares = []
    for price in (0.0, 0.05, 5.0):
        site, _ = search_site(START, inputs(), make_cost(salient=price))
        shares.append(float(encode(inputs(), site).salient.float().mean()))
    assert shares[0] >= shares[1] >= shares[2]
    assert shares[2] < shares[0]


def test_a_price_on_spikes_silences_inputs() -> None:
    silent = []
    for price in (0.0, 0.05, 0.3):
        site, _ = search_site(START, inputs(), make_cost(salient=0.05, spike=price))
        silent.append(float((encode(inputs(), site).level == 0).float().mean()))
    assert silent == sorted(silent)
    assert silent[2] > silent[1] > silent[0]


def test_the_dead_zone_stays() -> None:
    site, _ = search_site(replace(START, dead_zone=0.8), inputs(), make_cost(salient=0.05))
    assert site.dead_zone == 0.8
