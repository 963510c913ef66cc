import pytest
import torch

from spikequant.golden.quantizer.saliency import is_salient, median_and_deviation, saliency_threshold


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
