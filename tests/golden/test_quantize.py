import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from golden.quantize import CLIP_GRID, Site, SiteStatistics, calibrate_site, choose_wide, quantize_weight


def statistics(*, median: float, deviation: float, low: float, high: float) -> SiteStatistics:
    return SiteStatistics(median, deviation, low, high, torch.ones(4))


def test_a_site_spans_the_values_that_are_not_salient() -> None:
    site = calibrate_site(statistics(median=1.0, deviation=2.0, low=-100.0, high=100.0), k=2.0)
    threshold = 2.0 * 1.4826 * 2.0
    assert site.threshold == pytest.approx(threshold)
    assert site.scale == pytest.approx(2 * threshold / 15)
    assert site.zero == round((threshold - 1.0) / (2 * threshold / 15))


def test_a_site_never_spans_more_than_the_values_and_always_zero() -> None:
    site = calibrate_site(statistics(median=4.0, deviation=2.0, low=3.0, high=6.0), k=9.0)
    assert (site.scale, site.zero) == (pytest.approx(6 / 15), 0)
    site = calibrate_site(statistics(median=-4.0, deviation=2.0, low=-6.0, high=-3.0), k=9.0)
    assert (site.scale, site.zero) == (pytest.approx(6 / 15), 15)


def test_a_site_that_is_always_zero_is_usable() -> None:
    assert calibrate_site(statistics(median=0, deviation=0, low=0, high=0), k=3.0) == Site(0.0, 0.0, 1.0, 0)


@pytest.mark.parametrize(
    "values", [(0.0, 1.0, 0.0, 3), (0.0, -1.0, 1.0, 3), (0.0, 1.0, 1.0, 16), (float("nan"), 1, 1, 1)]
)
def test_impossible_sites_are_refused(values: tuple[float, float, float, int]) -> None:
    with pytest.raises(ValueError, match="expected finite"):
        Site(*values)


@given(st.integers(0, 2**32), st.integers(1, 9), st.integers(1, 33), st.floats(-1, 1), st.sampled_from([0, 0.25, 1]))
def test_rounding_is_within_half_a_step(seed: int, rows: int, columns: int, shift: float, wide_fraction: float) -> None:
    weight = torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed)) + shift
    quantized = quantize_weight(weight, wide_fraction=wide_fraction)
    # the zero point is rounded too, so that the range may be clipped by up to half a step more
    error = (quantized.values() - weight).abs() / quantized.scales[:, None]
    assert error.max() <= 1.0 + 1e-4
    assert error.mean() <= 0.5
    assert quantized.codes.max() <= 15
    assert quantized.zeros.max() <= 15
    assert quantized.wide.tolist() == sorted(set(quantized.wide.tolist()))
    if quantized.wide.numel():
        assert quantized.low.max() <= 15
        # clipping by the zero point's rounding apart, a wide column has 16 times finer steps
        assert error[:, quantized.wide.long()].median() <= 1 / 32 + 1e-4


def test_rows_without_any_weight_stay_zero() -> None:
    assert quantize_weight(torch.zeros(2, 5)).values().eq(0).all()


def test_the_wide_columns_are_those_with_loud_inputs_and_coarse_weights() -> None:
    weight = torch.randn(16, 8, generator=torch.Generator().manual_seed(3))
    power = torch.tensor([1.0, 50.0, 1.0, 1.0, 1.0, 70.0, 1.0, 1.0])
    assert choose_wide(weight, power, 2).tolist() == [1, 5]
    weight[:, 5] = 0.0
    assert 5 not in choose_wide(weight, power, 2).tolist()


def row_with_quiet_outlier() -> tuple[torch.Tensor, torch.Tensor]:
    """Weights [32, 64] and input power [64]; large weights at a quiet input should not set the range."""
    generator = torch.Generator().manual_seed(4)
    weight, power = torch.randn(32, 64, generator=generator), torch.rand(64, generator=generator)
    weight[:, 9] *= 5
    power[9] = 1e-3
    return weight, power


def weighted_error(row: list[float], power: list[float], fraction: float) -> float:
    """Error of one row rounded by hand between ``fraction`` times its extremes."""
    low, high = min(0.0, *row) * fraction, max(0.0, *row) * fraction
    scale = (high - low) / 15
    zero = round(-low / scale)
    codes = [min(max(round(value / scale) + zero, 0), 15) for value in row]
    return sum(p * ((code - zero) * scale - value) ** 2 for p, code, value in zip(power, codes, row, strict=True))


def test_the_clip_search_finds_the_least_weighted_error_of_its_grid() -> None:
    weight, power = row_with_quiet_outlier()
    searched = quantize_weight(weight, power=power, clip_search=True).values()
    found = (searched - weight).square() @ power
    least = [min(weighted_error(row, power.tolist(), fraction) for fraction in CLIP_GRID) for row in weight.tolist()]
    assert found.tolist() == pytest.approx(least, rel=1e-3)
    plain = [weighted_error(row, power.tolist(), 1.0) for row in weight.tolist()]
    assert sum(least) < sum(plain)


def test_the_clip_search_never_hurts_a_row_with_wide_columns() -> None:
    weight, power = row_with_quiet_outlier()

    def error(*, clip_search: bool) -> torch.Tensor:
        quantized = quantize_weight(weight, power=power, wide_fraction=0.1, clip_search=clip_search)
        return (quantized.values() - weight).square() @ power

    plain, searched = error(clip_search=False), error(clip_search=True)
    assert (searched <= plain * (1 + 1e-5)).all()
    assert searched.sum() < plain.sum()
