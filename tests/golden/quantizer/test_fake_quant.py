import copy

import pytest
import torch
from torch import nn

from spikequant.golden.quantizer.fake_quant import FakeQuantLinear


def test_it_is_the_product_of_what_both_roundings_give() -> None:
    linear, values = nn.Linear(8, 4), torch.randn(2, 5, 8)
    layer = FakeQuantLinear(linear.weight.round(), linear.bias, torch.round)
    assert layer(values).equal(nn.functional.linear(values.round(), linear.weight.round(), linear.bias))


@pytest.mark.parametrize("bias", [None, torch.arange(4.0)])
def test_the_output_is_transformed_before_the_bias(bias: torch.Tensor | None) -> None:
    weight, values = torch.randn(4, 8), torch.randn(5, 8)
    layer = FakeQuantLinear(weight, bias, torch.round, torch.neg)
    expected = -(values.round() @ weight.T) + (0 if bias is None else bias)
    assert torch.allclose(layer(values), expected, atol=1e-6)


def test_it_is_saved_and_copied_like_any_layer() -> None:
    layer = FakeQuantLinear(torch.randn(4, 8).T.contiguous().T, torch.randn(4), torch.round)
    assert set(layer.state_dict()) == {"weight", "bias"}
    assert layer.weight.is_contiguous()
    values = torch.randn(5, 8)
    assert copy.deepcopy(layer)(values).equal(layer(values))
