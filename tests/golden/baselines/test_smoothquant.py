from collections.abc import Callable
from typing import Any

import pytest
import torch

from spikequant.golden.baselines.rtn import rtn
from spikequant.golden.baselines.smoothquant import smoothing_factors, smoothquant
from spikequant.golden.quantizer.method import FloatSite
from spikequant.golden.support.errors import InputError


def test_factors_by_hand() -> None:
    peak, weight_peak = torch.tensor([16.0, 1.0, 0.0]), torch.tensor([4.0, 4.0, 0.0])
    assert smoothing_factors(peak, weight_peak, 0.5).tolist() == pytest.approx([2.0, 0.5, 1.0])
    assert smoothing_factors(peak, weight_peak, 1.0).tolist() == pytest.approx([16.0, 1.0, 1e-5])
    assert smoothing_factors(peak, weight_peak, 0.0).tolist() == pytest.approx([0.25, 0.25, 1e5])


def test_at_one_half_inputs_and_weights_end_up_alike() -> None:
    peak, weight_peak = torch.rand(20) + 0.1, torch.rand(20) + 0.1
    factors = smoothing_factors(peak, weight_peak, 0.5)
    assert torch.allclose(peak / factors, weight_peak * factors)


def test_a_site_has_one_set_of_factors_that_folds(case: Any) -> None:
    seen: list[torch.Tensor] = []

    def foldable(factors: torch.Tensor) -> torch.Tensor:
        seen.append(factors)
        return factors.mean().expand_as(factors)

    weights = [case.layer.linear.weight, 3 * case.layer.linear.weight.roll(1, 1)]
    method = smoothquant()
    assert method.factors is not None
    factors = method.factors(FloatSite("self_attn.qkv", case.layer.statistics, weights, foldable))
    weight_peak = torch.maximum(weights[0].abs().amax(0), weights[1].abs().amax(0))
    assert seen[0].equal(smoothing_factors(case.values.abs().amax(0), weight_peak, 0.5))
    assert factors.equal(seen[0].mean().expand_as(seen[0]))


def test_smooth_inputs_lose_less(make_case: Callable) -> None:
    case = make_case()
    expected = case.layer.linear(case.values)
    plain = case.error(rtn())
    factors = smoothing_factors(case.values.abs().amax(0), case.layer.linear.weight.detach().abs().amax(0), 0.5)
    with torch.no_grad():
        case.layer.linear.weight.mul_(factors)
    smooth = smoothquant().quantize(case.layer)(case.values / factors)
    assert (smooth - expected).square().mean() / expected.square().mean() < 0.5 * plain


def test_a_share_beyond_one_is_refused() -> None:
    with pytest.raises(InputError, match=r"alpha: 1.5, expected 0..1"):
        smoothquant(alpha=1.5)
