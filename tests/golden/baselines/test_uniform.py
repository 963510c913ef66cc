import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spikequant.golden.baselines.uniform import (
    asymmetric_grid,
    check_bits,
    round_groups_symmetric,
    round_tokens_asymmetric,
    round_tokens_symmetric,
    symmetric_step,
)
from spikequant.golden.support.errors import InputError

SEEDS = st.integers(0, 2**32)


def tokens(seed: int, size: float) -> torch.Tensor:
    return torch.randn(3, 40, generator=torch.Generator().manual_seed(seed)) * size


@given(SEEDS, st.floats(0.01, 100), st.integers(1, 8))
def test_an_asymmetric_token_has_few_values_within_half_a_step(seed: int, size: float, bits: int) -> None:
    values = tokens(seed, size)
    rounded = round_tokens_asymmetric(values, bits=bits)
    step = (values.amax(-1, keepdim=True) - values.amin(-1, keepdim=True)) / (2**bits - 1)
    error = (rounded - values).abs()
    # the zero point is rounded too, so that values near one end are up to a step off
    assert (error <= step * 1.001).all()
    assert (error.mean(-1, keepdim=True) <= step / 2).all()
    assert all(len(token.unique()) <= 2**bits for token in rounded)


@given(SEEDS, st.floats(0.01, 100), st.integers(2, 8), st.sampled_from([1.0, 0.9, 0.5]))
def test_a_symmetric_token_is_within_half_a_step_where_it_is_not_clipped(
    seed: int, size: float, bits: int, clip: float
) -> None:
    values = tokens(seed, size)
    rounded = round_tokens_symmetric(values, bits=bits, clip=clip)
    end = values.abs().amax(-1, keepdim=True) * clip
    step = end / (2 ** (bits - 1) - 1)
    inside = values.abs() <= end
    assert ((rounded - values).abs() <= step * 0.501)[inside].all()
    assert (rounded.abs() <= (end + step) * 1.001).all()
    assert all(len(token.unique()) <= 2**bits for token in rounded)


def test_four_bits_by_hand() -> None:
    values = torch.tensor([[-3.0, 0.4, 12.0], [2.0, 5.0, 30.0]])
    step, zero = asymmetric_grid(values, 15)
    assert step[:, 0].tolist() == [1.0, 2.0]
    assert zero[:, 0].tolist() == [3.0, 0.0]
    assert round_tokens_asymmetric(values, bits=4).tolist() == [[-3.0, 0.0, 12.0], [2.0, 4.0, 30.0]]
    # with steps of 1 and 2, halves go to the even code
    assert symmetric_step(torch.tensor([[-7.0, 1.0], [3.0, 14.0]]), 4)[:, 0].tolist() == [1.0, 2.0]
    assert round_tokens_symmetric(torch.tensor([[7.0, -0.6, -7.0]]), bits=4).tolist() == [[7.0, -1.0, -7.0]]
    clipped = round_tokens_symmetric(torch.tensor([8.0, -8.0]), bits=4, clip=0.5)
    assert clipped.tolist() == pytest.approx([4.0, -32 / 7])


@pytest.mark.parametrize("bits", [1, 4])
def test_zero_stays_zero(bits: int) -> None:
    assert round_tokens_asymmetric(torch.zeros(2, 4), bits=bits).eq(0).all()
    assert round_tokens_asymmetric(torch.tensor([[0.0, 3.0, 14.2]]), bits=bits)[0, 0] == 0
    assert round_tokens_symmetric(torch.zeros(2, 4), bits=4).eq(0).all()


@given(SEEDS, st.sampled_from([5, 8, 13, 40, 64]))
def test_groups_are_tokens_of_their_own(seed: int, group: int) -> None:
    values = tokens(seed, 1.0) * torch.linspace(0.1, 9, 40)
    rounded = round_groups_symmetric(values, bits=4, clip=0.9, group=group)
    parts = [round_tokens_symmetric(part, bits=4, clip=0.9) for part in values.split(group, -1)]
    assert rounded.equal(torch.cat(parts, -1))


def test_inputs_are_left_as_they_are() -> None:
    values = tokens(1, 1.0)
    kept = values.clone()
    round_tokens_asymmetric(values, bits=4)
    round_tokens_symmetric(values, bits=4)
    round_groups_symmetric(values, bits=4, clip=1.0, group=16)
    assert values.equal(kept)


@pytest.mark.parametrize(("least", "weight", "activation", "message"), [
    (1, 0, 4, "weight_bits: 0, expected 1..8"),
    (2, 4, 1, "activation_bits: 1, expected 2..8"),
    (1, 9, 4, "weight_bits: 9, expected 1..8"),
])  # fmt: skip
def test_other_widths_are_refused(least: int, weight: int, activation: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_bits(least=least, weight_bits=weight, activation_bits=activation)
