from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from spikequant.golden.baselines.rtn import rtn


def nearest_of_16(row: torch.Tensor) -> torch.Tensor:
    """A row of weights or a token on its 16 values, one number after the other."""
    low, high = min(0.0, float(row.min())), max(0.0, float(row.max()))
    step = torch.tensor(high - low) / 15
    zero = round(float(-low / step))
    return torch.stack([(torch.clamp(torch.round(x / step) + zero, 0, 15) - zero) * step for x in row])


def test_four_bits_are_16_values_a_row_and_a_token(case: Any) -> None:
    layer = rtn().quantize(case.layer)
    values = case.values[:3]
    assert torch.allclose(
        layer.weight[:4], torch.stack([nearest_of_16(row) for row in case.layer.linear.weight.detach()[:4]])
    )
    tokens = torch.stack([nearest_of_16(token) for token in values])
    expected = torch.nn.functional.linear(tokens, layer.weight, case.layer.linear.bias)
    assert torch.allclose(layer(values), expected, rtol=1e-4, atol=1e-3)


def test_more_bits_are_nearer(case: Any) -> None:
    errors = [case.error(rtn(bits, bits)) for bits in range(1, 9)]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 1e-3
    assert errors[3] > 0.05


@pytest.mark.parametrize(("weight_bits", "activation_bits"), [(2, 8), (8, 2)])
def test_the_two_widths_are_their_own(case: Any, weight_bits: int, activation_bits: int) -> None:
    layer = rtn(weight_bits, activation_bits).quantize(case.layer)
    assert max(len(row.unique()) for row in layer.weight) <= 2**weight_bits
    assert max(len(token.unique()) for token in layer.quantize_input(case.values)) <= 2**activation_bits
    assert max(len(row.unique()) for row in layer.weight) > 2 ** (weight_bits - 2)


def test_no_calibration_is_needed(make_case: Callable) -> None:
    case = make_case()
    assert not rtn().calibrated
    bare = replace(case.layer, statistics=None, norm_gain=None)
    assert rtn().quantize(bare)(case.values).equal(rtn().quantize(case.layer)(case.values))
