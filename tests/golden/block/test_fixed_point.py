from fractions import Fraction
from math import floor

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spikequant.golden.block.fixed_point import bit_length, floor_shift, mantissa, round_shift, rounded_root, saturate

INTEGERS = st.lists(st.integers(-(2**45), 2**45), min_size=1, max_size=20)


@given(INTEGERS, st.integers(-15, 62))
def test_a_shift_rounds_the_exact_quotient_half_to_even(values: list[int], bits: int) -> None:
    expected = [round(value / Fraction(2) ** bits) for value in values]
    assert round_shift(torch.tensor(values), bits).tolist() == expected
    assert round_shift(torch.tensor(values), torch.full((len(values),), bits)).tolist() == expected


@given(INTEGERS, st.integers(-15, 62))
def test_a_floor_shift_truncates_the_exact_quotient(values: list[int], bits: int) -> None:
    expected = [floor(value / Fraction(2) ** bits) for value in values]
    assert floor_shift(torch.tensor(values), bits).tolist() == expected
    assert floor_shift(torch.tensor(values), torch.full((len(values),), bits)).tolist() == expected


def test_ties_go_to_the_even_neighbour() -> None:
    assert round_shift(torch.tensor([-6, -2, 2, 6, 10]), 2).tolist() == [-2, 0, 0, 2, 2]


@given(INTEGERS, st.integers(2, 40))
def test_saturation_clips_and_flags_exactly_what_does_not_fit(values: list[int], bits: int) -> None:
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    clipped, flags = saturate(torch.tensor(values), bits)
    assert clipped.tolist() == [min(max(value, low), high) for value in values]
    assert flags.tolist() == [not low <= value <= high for value in values]


@given(st.lists(st.integers(1, 2**61 - 1), min_size=1, max_size=20))
def test_bit_length_is_pythons(values: list[int]) -> None:
    values += [1, 2, 3, 2**60, 2**61 - 1]
    assert bit_length(torch.tensor(values)).tolist() == [value.bit_length() for value in values]


@given(st.fractions(Fraction(1, 10**6), 10**6), st.integers(1, 20))
def test_a_mantissa_is_the_nearest_of_its_width(value: Fraction, bits: int) -> None:
    found, exponent = mantissa(value, bits)
    assert 2 ** (bits - 1) <= found < 2**bits
    assert abs(found - value * Fraction(2) ** exponent) <= Fraction(1, 2)


@pytest.mark.parametrize("value", [Fraction(255, 256), Fraction(511, 256), Fraction(2), Fraction(1)])
def test_a_mantissa_that_rounds_up_to_a_power_of_two_keeps_its_width(value: Fraction) -> None:
    found, exponent = mantissa(value, 4)
    assert 8 <= found < 16
    assert found / Fraction(2) ** exponent == round(value)


@given(st.fractions(0, 10**12))
def test_a_root_is_the_nearest_integer(value: Fraction) -> None:
    root = rounded_root(value)
    assert (root - Fraction(1, 2)) ** 2 <= value or root == 0
    assert value < (root + Fraction(1, 2)) ** 2
