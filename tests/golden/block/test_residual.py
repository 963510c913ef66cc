import torch
from hypothesis import given
from hypothesis import strategies as st

from spikequant.golden.block.residual import (
    MOST_FRACTION,
    add,
    enter,
    entry_bound,
    leave,
    plan_addition,
    power_of_two,
)
from spikequant.golden.block.results import Results

EXPONENTS = st.lists(st.integers(0, 15), min_size=3, max_size=3)


@given(
    st.lists(st.floats(0, 1e4, width=32), min_size=3, max_size=3),
    st.lists(st.tuples(EXPONENTS, st.integers(-14, 2)), min_size=1, max_size=8),
    st.integers(8, 25),
    st.sampled_from([2, 8, 16]),
    st.data(),
)
def test_no_codes_overflow_the_stream(
    largest: list[float], writers: list[tuple[list[int], int]], bits: int, code_bits: int, data: st.DataObject
) -> None:
    embedding = torch.tensor(largest)
    bound = entry_bound(embedding, bits)
    signs = torch.tensor(data.draw(st.lists(st.sampled_from([-1, 1]), min_size=3, max_size=3)))
    stream, flags = enter(embedding * signs, bits=bits, fraction=bound.fraction)
    assert not flags.any()
    exact = stream.double() / 2.0**bound.fraction
    most = 2 ** (code_bits - 1) - 1
    for exponents, power in writers:
        results = Results(code_bits, torch.tensor(exponents), 2.0**power)
        addition, bound = plan_addition(bound, results, power, bits)
        codes = torch.tensor(data.draw(st.lists(st.sampled_from([-most, 0, most]), min_size=3, max_size=3)))
        stream = add(stream, codes << results.exponents, addition)
        assert stream.abs().le(bound.channels).all()
        assert int(bound.channels.max()) < 2 ** (bits - 1)
        assert addition.stream_shift >= 0
        # the step is the finest that fits: a finer one would overflow, or be finer than the one before
        assert addition.stream_shift == 0 or int(bound.channels.max()) >= 2 ** (bits - 2) - 4
        # each writer rounds the stream and its result, by half a step at most
        exact += (codes << results.exponents).double() * 2.0**power
        error = (stream.double() / 2.0**addition.fraction - exact).abs()
        assert error.le(1.0 * 2.0**-addition.fraction).all()
        exact = stream.double() / 2.0**addition.fraction


def test_extreme_codes_reach_the_bound() -> None:
    results = Results(8, torch.tensor([0, 3]), 0.25)
    before = entry_bound(torch.tensor([1.0, 0.5]), 16)
    addition, after = plan_addition(before, results, -2, 16)
    stream, _ = enter(torch.tensor([1.0, 0.5]), bits=16, fraction=before.fraction)
    assert add(stream, torch.tensor([127, 127 << 3]), addition).equal(after.channels)
    assert add(-stream, -torch.tensor([127, 127 << 3]), addition).equal(-after.channels)


def test_an_exact_sum_is_exact() -> None:
    results = Results(8, torch.tensor([2, 0]), 2.0**-6)
    before = entry_bound(torch.tensor([2.0, 2.0]), 18)
    addition, after = plan_addition(before, results, -6, 18)
    stream, _ = enter(torch.tensor([1.5, -0.25]), bits=18, fraction=before.fraction)
    found = leave(add(stream, torch.tensor([5 << 2, -3]), addition), after.fraction)
    assert found.tolist() == [1.5 + 20 / 64, -0.25 - 3 / 64]


def test_embeddings_beyond_the_table_saturate_with_a_flag() -> None:
    bound = entry_bound(torch.tensor([1.0]), 8)
    stream, flags = enter(torch.tensor([[0.5], [3.0], [-1e30]]), bits=8, fraction=bound.fraction)
    assert stream.flatten().tolist() == [32, 127, -128]
    assert flags.flatten().tolist() == [False, True, True]


def test_zeros_of_either_sign_stay_zero() -> None:
    bound = entry_bound(torch.zeros(2), 16)
    assert bound.fraction == MOST_FRACTION
    stream, flags = enter(torch.tensor([0.0, -0.0]), bits=16, fraction=bound.fraction)
    assert stream.tolist() == [0, 0]
    assert not flags.any()


def test_only_powers_of_two_have_a_logarithm() -> None:
    assert [power_of_two(unit) for unit in (0.25, 1.0, 8.0, 2.0**-140, 3.0, 0.3)] == [-2, 0, 3, -140, None, None]
