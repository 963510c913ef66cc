import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from golden.baselines import RoundToNearestLinear, round_per_token, round_to_nearest
from golden.errors import InputError
from golden.model import LanguageModel, decoder_linears


@given(st.integers(0, 2**32), st.floats(0.01, 100))
def test_a_token_has_at_most_16_values_within_half_a_step(seed: int, size: float) -> None:
    values = torch.randn(3, 40, generator=torch.Generator().manual_seed(seed)) * size
    rounded = round_per_token(values)
    step = (values.amax(-1, keepdim=True) - values.amin(-1, keepdim=True)) / 15
    assert ((rounded - values).abs() <= step * 1.001).all()
    assert ((rounded - values).abs().mean(-1, keepdim=True) <= step / 2).all()
    assert all(len(token.unique()) <= 16 for token in rounded)


def test_zero_stays_zero() -> None:
    assert round_per_token(torch.zeros(2, 4)).eq(0).all()
    assert round_per_token(torch.tensor([[0.0, 3.0, 14.2]]))[0, 0] == 0


def test_the_layer_is_the_product_of_rounded_factors() -> None:
    linear = torch.nn.Linear(8, 4)
    layer = RoundToNearestLinear(linear)
    values = torch.randn(5, 8)
    assert layer(values).equal(torch.nn.functional.linear(round_per_token(values), layer.weight, linear.bias))
    assert all(len(row.unique()) <= 16 for row in layer.weight)


def test_every_decoder_layer_is_replaced(float_model: LanguageModel) -> None:
    round_to_nearest(float_model.model)
    assert sum(isinstance(module, RoundToNearestLinear) for module in float_model.model.modules()) == 14
    with pytest.raises(InputError, match="no linear layers to quantize"):
        decoder_linears(float_model.model)
