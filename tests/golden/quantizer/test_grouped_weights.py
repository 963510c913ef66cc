"""Research weights: nearer to the float ones, as their extra hardware should buy."""

import pytest
import torch

from spikequant.golden.quantizer.grouped_weights import round_grouped
from spikequant.golden.quantizer.recipe import Weights
from spikequant.golden.quantizer.weights import quantize_weight


def uneven_weight(seed: int = 3) -> torch.Tensor:
    """Weights [16, 96] whose columns grow from the first to the last."""
    return torch.randn(16, 96, generator=torch.Generator().manual_seed(seed)) * torch.logspace(-1, 1, 96)


def error(weight: torch.Tensor, values: torch.Tensor) -> float:
    return float((values - weight).square().sum())


def test_one_group_is_the_plain_quantizer() -> None:
    weight = uneven_weight()
    for size in (96, 1000):
        assert round_grouped(weight, Weights(group_size=size)).equal(quantize_weight(weight).values())


def test_smaller_groups_lower_the_error() -> None:
    weight = uneven_weight()
    errors = [error(weight, round_grouped(weight, Weights(group_size=size))) for size in (96, 48, 24, 12)]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.5 * errors[0]


@pytest.mark.parametrize(("size", "bits"), [(40, 4), (7, 3), (32, 1)])
def test_each_group_of_a_row_has_its_own_few_values(size: int, bits: int) -> None:
    weight = uneven_weight()
    values = round_grouped(weight, Weights(group_size=size, bits=bits))
    assert values.shape == weight.shape
    groups = [group for columns in values.split(size, dim=1) for group in columns]
    # the last group holds what is left
    assert len(groups) == 16 * -(-96 // size)
    assert all(group.unique().numel() <= 2**bits for group in groups)


def test_salient_weights_stay_where_normal_ones_would_pay() -> None:
    weight = torch.randn(16, 96, generator=torch.Generator().manual_seed(4))
    outliers = torch.zeros_like(weight, dtype=torch.bool)
    outliers[:, 5] = True
    outliers[2, 60:62] = True
    weight[outliers] *= 30
    plain = round_grouped(weight, Weights(group_size=96))
    kept = round_grouped(weight, Weights(salient_k=5.0))
    # the normal ones set the scale, the salient ones are still there
    assert error(weight[~outliers], kept[~outliers]) < 0.05 * error(weight[~outliers], plain[~outliers])
    large = outliers & (weight.abs() > 20)
    assert large.sum() > 5
    torch.testing.assert_close(kept[large], weight[large], rtol=0.15, atol=0)
    for row in range(16):
        assert kept[row].unique().numel() <= 16 + int((weight[row].abs() > 4).sum())


def test_salient_weights_have_one_bit_more() -> None:
    generator = torch.Generator().manual_seed(6)
    weight = torch.randn(1, 900, generator=generator)
    weight[:, 600:] = (torch.rand(1, 300, generator=generator) - 0.5) * 200
    for bits in (2, 3, 4):
        values = round_grouped(weight, Weights(salient_k=4.0, bits=bits))
        salient = values[0, 600:][weight[0, 600:].abs() > 10].unique().numel()
        assert 2**bits < salient <= 2 ** (bits + 1)
        assert values[0, :600].unique().numel() <= 2**bits


def test_a_factor_too_large_for_any_weight_is_the_plain_quantizer() -> None:
    weight = uneven_weight()
    assert round_grouped(weight, Weights(salient_k=1e6)).equal(quantize_weight(weight).values())
