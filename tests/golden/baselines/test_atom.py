from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from spikequant.golden.baselines.atom import GROUP, atom
from spikequant.golden.baselines.rtn import rtn


def test_channels_come_in_the_order_of_their_power_and_the_last_ones_have_eight_bits(case: Any) -> None:
    layer = atom().quantize(case.layer)
    wide = round(0.0625 * case.values.shape[1])
    rounded = layer.quantize_input(case.values)
    order = case.layer.statistics.second_moment.diagonal().argsort()
    ordered = case.values[:, order]
    strong, exact = rounded[:, -wide:], ordered[:, -wide:]
    assert {5, 60, 131} <= set(order[-wide:].tolist())
    step = exact.abs().amax(1, keepdim=True) / 127
    assert ((strong - exact).abs() <= 0.501 * step).all()
    for group, of in zip(rounded[:, :-wide].split(GROUP, 1), ordered[:, :-wide].split(GROUP, 1), strict=True):
        assert max(len(token.unique()) for token in group) <= 16
        end = 0.9 * of.abs().amax(1, keepdim=True)
        inside = of.abs() <= end
        assert ((group - of).abs() <= 0.501 * end / 7)[inside].all()


def test_weights_have_a_symmetric_grid_a_row_and_group(case: Any) -> None:
    weight = atom().quantize(case.layer).weight
    wide = round(0.0625 * weight.shape[1])
    for group in weight[:, :-wide].split(GROUP, 1):
        for row in group:
            values = row.unique()
            assert len(values) <= 16
            step = values.diff().min()
            assert torch.allclose((values / step).round() * step, values, atol=1e-4)
    assert max(len(row.unique()) for row in weight[:, -wide:]) > wide // 2


def test_outliers_cost_little(case: Any) -> None:
    assert case.error(atom()) < 0.1 * case.error(rtn())


def test_few_channels_make_do_without_wide_ones(make_case: Callable) -> None:
    case = make_case()
    few = torch.nn.Linear(7, 4)
    statistics = case.layer.statistics
    narrow = replace(
        statistics,
        sample=statistics.sample[:, :7],
        low=statistics.low[:7],
        high=statistics.high[:7],
        power=statistics.power[:7],
        second_moment=statistics.second_moment[:7, :7],
    )
    layer = atom().quantize(replace(case.layer, linear=few, statistics=narrow))
    assert layer(case.values[:, :7]).shape == (300, 4)


def test_a_layer_without_second_moment_is_refused(case: Any) -> None:
    bare = replace(case.layer, statistics=replace(case.layer.statistics, second_moment=None))
    with pytest.raises(ValueError, match="q_proj: no second moment of its input"):
        atom().quantize(bare)
    with pytest.raises(ValueError, match="q_proj: no statistics of its input"):
        atom().quantize(replace(case.layer, statistics=None))
