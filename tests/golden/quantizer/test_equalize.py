"""Channel factors and the search among them."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from spikequant.golden.quantizer.equalize import WORTHWHILE, channel_factors, search_factors
from spikequant.golden.quantizer.statistics import SiteStatistics, SiteWatcher

STRENGTHS = (0.0, 0.25, 0.5)


def observed(values: Tensor) -> SiteStatistics:
    watcher = SiteWatcher(windows=1)
    watcher.add(values)
    return watcher.statistics()


def uneven(seed: int = 1, spread: float = 2.0) -> tuple[SiteStatistics, list[Tensor]]:
    """A site of 20 channels whose sizes differ by powers of ten, and two layers that read it."""
    generator = torch.Generator().manual_seed(seed)
    sizes = 10 ** (torch.rand(20, generator=generator) * spread)
    weights = [torch.randn(n, 20, generator=generator) / sizes.sqrt() for n in (8, 12)]
    return observed(torch.randn(50, 20, generator=generator) * sizes), weights


def test_full_strength_makes_all_channels_equally_loud() -> None:
    statistics, weights = uneven()
    factors = channel_factors(statistics, weights, of_inputs=1.0, of_weights=0.0)
    power = statistics.divided(factors).power
    torch.testing.assert_close(power, power.mean().expand(20))
    factors = channel_factors(statistics, weights, of_inputs=0.0, of_weights=1.0)
    columns = torch.cat([weight * factors for weight in weights]).square().sum(0)
    torch.testing.assert_close(columns, columns.mean().expand(20))


def test_factors_are_even_on_average_and_ones_without_strength() -> None:
    statistics, weights = uneven()
    for of_inputs in (0.0, 0.3, 1.0):
        for of_weights in (0.0, 0.7):
            factors = channel_factors(statistics, weights, of_inputs=of_inputs, of_weights=of_weights)
            assert float(factors.log().mean()) == pytest.approx(0, abs=1e-4)
            assert bool((factors == 1).all()) == (of_inputs == of_weights == 0)


def test_dead_channels_and_columns_get_usable_factors() -> None:
    values = torch.randn(9, 4, generator=torch.Generator().manual_seed(1))
    values[:, 2] = 0
    weight = torch.randn(3, 4, generator=torch.Generator().manual_seed(2))
    weight[:, 1] = 0
    for inputs in (values, torch.zeros(9, 4)):
        for weights in ([weight], [torch.zeros(3, 4)]):
            factors = channel_factors(observed(inputs), weights, of_inputs=1.0, of_weights=1.0)
            assert bool(factors.isfinite().all())
            assert bool((factors > 0).all())


@given(st.integers(0, 2**31), st.lists(st.floats(0, 1), max_size=4))
def test_the_search_never_returns_what_is_worse_by_its_own_error(seed: int, strengths: list[float]) -> None:
    statistics, weights = uneven(seed)
    tried: list[tuple[Tensor, float]] = []

    def error(found: SiteStatistics, scaled: list[Tensor]) -> float:
        # as good as random, but always the same for the same factors
        factors = scaled[0][0] / weights[0][0]
        torch.testing.assert_close(found.power, statistics.power / factors.square())
        value = float((factors.log() * 1e3 + seed % 7).sin().mean() + 1)
        tried.append((factors, value))
        return value

    best = search_factors(statistics, weights, strengths, foldable=lambda factors: factors, error=error)  # type: ignore[arg-type]
    plain = tried[0][1]
    assert bool((tried[0][0] == 1).all())
    chosen = error(statistics.divided(best), [weight * best for weight in weights])
    assert chosen == pytest.approx(min([plain, *(value for _, value in tried if value < WORTHWHILE * plain)]), rel=1e-3)


def test_little_gain_is_not_worth_it() -> None:
    statistics, weights = uneven()
    calls = iter([1.0, *[0.985] * 10])
    best = search_factors(statistics, weights, STRENGTHS, foldable=lambda f: f, error=lambda _s, _w: next(calls))
    assert best.tolist() == [1.0] * 20


def test_only_foldable_factors_are_tried_and_returned() -> None:
    statistics, weights = uneven()

    def by_pairs(factors: Tensor) -> Tensor:
        return factors.view(-1, 2).log().mean(1).exp().repeat_interleave(2)

    def loudness(found: SiteStatistics, _weights: object) -> float:
        return float(found.power.log().std())

    best = search_factors(statistics, weights, STRENGTHS, foldable=by_pairs, error=loudness)
    assert best[0::2].equal(best[1::2])
    assert not bool((best == 1).all())


def test_without_strengths_nothing_is_tried() -> None:
    statistics, weights = uneven()
    best = search_factors(statistics, weights, (), foldable=lambda f: f * 0, error=lambda _s, _w: 1.0)
    assert best.tolist() == [1.0] * 20
