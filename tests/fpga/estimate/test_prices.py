"""Prices of lookup tables, fitted to designs."""

import pytest

from spikequant.fpga.estimate.prices import (
    COMPONENTS,
    OTHERS,
    PACKING,
    Priced,
    estimate_total,
    fit_prices,
    left_out_errors,
)
from spikequant.golden.layer.spec import Spec

PRICES = {
    "array": {"cluster": 150.0, "lane of a cluster": 20.0, "bit of a sum": 1.2, "bit of a charge": 1.4},
    "encoder": {"once": 100.0, "lane": 190.0},
    "writer": {"once": 60.0, "neuron": 0.5, "cluster after the first": 30.0},
    "cluster": {"cluster": 30.0, "cluster of several": 75.0},
    PACKING: {"once": 70.0, "bucket": 25.0, "cluster of many": 100.0},
    "runs": {"once": 60.0},
}

SPECS = [
    Spec(neurons=neurons, clusters=clusters, lanes=lanes, depth=512 * lanes)
    for neurons, clusters in ((8, 1), (32, 1), (64, 1), (64, 4))
    for lanes in (1, 2, 4, 8)
]


def priced(spec: Spec) -> Priced:
    return Priced(spec, {name: estimate_total(spec, {name: prices}) for name, prices in PRICES.items()})


@pytest.mark.parametrize(("lanes", "bits"), [(1, 5), (2, 5), (4, 5 + 5 + 6), (8, 4 * 5 + 2 * 6 + 7)])
def test_the_sums_of_a_neuron(lanes: int, bits: int) -> None:
    spec = Spec(neurons=8, lanes=lanes, depth=512)
    assert estimate_total(spec, {"array": {"bit of a sum": 1.0}}) == 8 * bits


def test_prices_are_found_again() -> None:
    found = fit_prices([priced(spec) for spec in SPECS])
    assert set(found) == set(PRICES)
    assert all(tuple(prices) == tuple(COMPONENTS.get(name, OTHERS)) for name, prices in found.items())
    for spec in (*SPECS, Spec(neurons=256, lanes=2), Spec(neurons=256, clusters=8)):
        assert estimate_total(spec, found) == pytest.approx(priced(spec).total, rel=0.001)


def test_the_error_of_a_design_is_told_by_the_others() -> None:
    designs = [priced(spec) for spec in SPECS]
    assert max(map(abs, left_out_errors(designs))) < 0.003
    last = designs[-1]
    odd = [*designs[:-1], Priced(last.spec, {name: 2 * luts for name, luts in last.counts.items()})]
    assert left_out_errors(odd)[-1] == pytest.approx(-0.5, abs=0.003)


def test_a_component_that_only_one_design_has_is_part_of_the_fit() -> None:
    designs = [priced(spec) for spec in SPECS]
    more = [Priced(designs[0].spec, {**designs[0].counts, "new": 120}), *designs[1:]]
    assert 0 < fit_prices(more)["new"]["once"] < 120


def test_no_price_is_negative() -> None:
    # more lanes take less here, which no term can say
    designs = [Priced(spec, {"encoder": 1000 - 50 * spec.lanes}) for spec in SPECS]
    found = fit_prices(designs)["encoder"]
    assert found["lane"] == 0
    assert 600 < found["once"] < 1000
