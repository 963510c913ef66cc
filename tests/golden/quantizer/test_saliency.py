import pytest
import torch
from torch import Tensor

from spikequant.golden.quantizer.saliency import (
    MOST_SALIENT,
    is_salient,
    median_and_deviation,
    saliency_threshold,
    salient_band,
)


def test_median_and_deviation_of_known_values() -> None:
    median, deviation = median_and_deviation(torch.tensor([[1.0, 2.0, 3.0, 4.0, 100.0], [3.0, 3.0, 3.0, 2.0, 4.0]]))
    assert (median.tolist(), deviation.tolist()) == ([[3.0], [3.0]], [[1.0], [0.0]])


def test_the_deviation_estimates_the_sigma_of_normal_data_and_ignores_outliers() -> None:
    values = torch.randn(50_001, generator=torch.Generator().manual_seed(2)) * 3 + 5
    values[:500] = 1e6
    median, deviation = median_and_deviation(values)
    assert float(median) == pytest.approx(5, abs=0.1)
    assert float(saliency_threshold(deviation, k=2.0)) == pytest.approx(6, rel=0.03)


def test_a_value_at_the_threshold_is_not_salient() -> None:
    values = torch.tensor([-1.0, -1.5, 3.0, 3.5])
    assert is_salient(values, median=1.0, threshold=2.0).tolist() == [False, True, False, True]


def salient_share(values: Tensor, k: float) -> float:
    median, threshold = salient_band(values.flatten(), k)
    return float(is_salient(values, median=median, threshold=threshold).float().mean())


def test_the_band_of_ordinary_values_is_the_formula() -> None:
    values = torch.randn(2, 50_001, generator=torch.Generator().manual_seed(3)) * torch.tensor([[1.0], [3.0]]) + 1
    median, deviation = median_and_deviation(values)
    for k in (2.0, 3.4, 6.8):
        found = salient_band(values, k)
        assert found[0].equal(median)
        assert found[1].equal(saliency_threshold(deviation, k))


@pytest.mark.parametrize("shift", [-3.0, -2.0, -1.2, -0.5, 0.0, 0.5])
def test_a_threshold_after_relu_leaves_the_usual_share(shift: float) -> None:
    values = (torch.randn(40_000, generator=torch.Generator().manual_seed(4)) + shift).relu()
    for k in (0.5, 3.4, 6.8):
        assert 0.0003 < salient_share(values, k) < 0.0251
    # no zero is salient
    median, threshold = salient_band(values, 3.4)
    assert not bool(is_salient(torch.zeros(1), median=median, threshold=threshold).any())


@pytest.mark.parametrize(
    "values",
    [
        torch.cat([torch.zeros(30), torch.full((70,), 100.0) + torch.linspace(-1, 1, 70)]),
        torch.cat([torch.full((60,), 5.0), torch.linspace(-1, 1, 40)]),
        torch.cat([torch.linspace(-1e-6, 0, 800), torch.linspace(0, 1, 200)]),
        torch.cat([torch.zeros(999), torch.tensor([1e6])]),
        torch.cat([torch.linspace(-1, 1, 999), torch.tensor([1e30])]),
        torch.full((100,), 3.0),
        torch.zeros(100),
    ],
    ids=["two-peaks", "mostly-equal", "near-zero", "one-value", "one-outlier", "constant", "zero"],
)
def test_no_distribution_is_mostly_salient(values: Tensor) -> None:
    for k in (0.5, 3.4, 6.8):
        assert salient_share(values, k) <= MOST_SALIENT
    median, threshold = salient_band(values, 3.4)
    assert bool(threshold.isfinite().all())
    # one row of many has the same band
    rows = torch.stack([values, torch.linspace(-1, 1, len(values)), values])
    assert salient_band(rows, 3.4)[1][::2].equal(threshold.repeat(2, 1))
    assert salient_band(rows, 3.4)[0][2].equal(median)
