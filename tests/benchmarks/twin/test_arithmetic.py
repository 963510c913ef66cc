"""The multiply-accumulate twin's arithmetic, against exact fractions and the threshold's codes."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikequant.benchmarks.twin.arithmetic import (
    MULTIPLIER_BITS,
    SHIFT_STEP,
    charge_room,
    dense_spec,
    dequantize,
    feed_cycles,
    first_shift,
    joined_cycles,
    joins,
    largest_step,
    level_bits,
    level_sum,
    mac_vectors,
    make_scale,
    run_mac_layer,
    token_grain,
    token_rows,
)
from spikequant.golden.layer.integer import run_layer
from spikequant.golden.layer.random_layers import random_vectors
from spikequant.golden.layer.spec import THETA_BITS, Spec

specs = st.builds(Spec, theta_fraction_bits=st.integers(0, 24), output_bits=st.integers(2, 16))


@given(spec=specs, theta=st.integers(1, 2**THETA_BITS - 1), membrane=st.integers(-(2**32), 2**32))
def test_codes_follow_the_formula_and_are_next_to_the_exact_ones(spec: Spec, theta: int, membrane: int) -> None:
    scale = make_scale(np.array([theta], np.uint32), spec)
    multiplier, step = int(scale[0]) % 2**MULTIPLIER_BITS, int(scale[0]) >> MULTIPLIER_BITS
    shift = first_shift(spec) + SHIFT_STEP * step
    assert step <= largest_step(spec)
    magnitude = min(spec.max_output_code, (abs(membrane) * multiplier + 2 ** (shift - 1)) >> shift)
    code = int(dequantize(np.array([[membrane]], np.int64), scale, spec)[0, 0])
    assert code == (magnitude if membrane >= 0 else -magnitude)
    exact = min(Fraction(spec.max_output_code), Fraction(abs(membrane) << spec.theta_fraction_bits, theta))
    # rounding, and the multiplier's 14 bits
    assert abs(magnitude - exact) <= Fraction(1, 2) + exact / 2 ** (MULTIPLIER_BITS - SHIFT_STEP)


@pytest.mark.parametrize(("output_bits", "share"), [(4, 0.001), (8, 0.002), (12, 0.02)])
def test_codes_differ_from_the_thresholds_rarely_and_by_one(output_bits: int, share: float) -> None:
    spec = Spec(output_bits=output_bits)
    vectors = random_vectors(spec, outputs=64, inputs=300, tokens=64, seed=1)
    threshold, twin = run_layer(vectors, spec), run_mac_layer(vectors, spec)
    assert twin.membrane.tolist() == threshold.membrane.tolist()
    difference = np.abs(twin.code - threshold.code)
    assert difference.max() <= 1
    assert (difference != 0).mean() <= share


def test_only_theta_is_replaced() -> None:
    spec = Spec()
    vectors = random_vectors(spec, outputs=8, inputs=20, tokens=2, wide=3, seed=1)
    twin = mac_vectors(vectors, spec)
    assert twin.theta.tolist() == make_scale(vectors.theta, spec).tolist()
    assert all(getattr(twin, name) is getattr(vectors, name) for name in vars(vectors) if name != "theta")


@pytest.mark.parametrize(
    ("levels", "salient", "shift", "cycles"),
    [
        ([0] * 8, [], 0, 2),  # silent rows cost as much
        ([0] * 9, [], 0, 3),
        ([31, *[0] * 7], [0], 0, 4),  # 15 and 15 and 1
        ([-31, *[0] * 7], [0], 0, 3),  # -16 and -15
        ([16, 16, *[0] * 6], [0, 1], 0, 3),
        ([8, *[0] * 7], [0], 3, 2 + 1 + 3),  # a row by itself, and three doublings
        ([0, *[1] * 7], [0], 3, 2),  # a salient code of 0 is none
    ],
)
def test_cycles(levels: list[int], salient: list[int], shift: int, cycles: int) -> None:
    spec = Spec(lanes=4)
    assert level_bits(spec) == 5
    chosen = np.isin(np.arange(len(levels)), salient)
    assert feed_cycles(spec, np.array(levels, np.int64), chosen, shift) == cycles


def test_a_phase_of_its_own_needs_no_doublings() -> None:
    spec = Spec(lanes=4, depth=64)
    shift = spec.max_salient_shift
    assert charge_room(spec).whole <= 1 << shift
    assert feed_cycles(spec, np.array([1 << shift, 0, 0, 0]), np.array([True, False, False, False]), shift) == 2


@pytest.mark.parametrize(
    ("levels", "salient", "shift", "total"),
    [([1, -2, 3, -4, 5], [], 3, 15), ([8, -1, 0, 0, 5], [0], 3, 8 + 8 + 5), ([0, 1, 1, 1, -16], [0, 4], 3, 3 + 16)],
)
def test_a_slice_with_a_salient_level_counts_as_shifted(
    levels: list[int], salient: list[int], shift: int, total: int
) -> None:
    chosen = np.isin(np.arange(len(levels)), salient)
    assert level_sum(Spec(lanes=4), np.array(levels, np.int64), chosen, shift) == total


@given(
    depth=st.integers(1, 600).map(lambda rows: 16 * rows),
    weight_bits=st.sampled_from([2, 4, 8]),
    salient_bits=st.sampled_from([0, 5, 7]),
)
def test_charges_have_the_room_that_is_granted(depth: int, weight_bits: int, salient_bits: int) -> None:
    spec = Spec(neurons=16, lanes=8, depth=max(depth, 16), weight_bits=weight_bits, salient_bits=salient_bits)
    room, limit = charge_room(spec), 2 ** (dense_spec(spec).charge_bits - 1)
    # as many levels as there may be, at the largest weight either way
    assert spec.weight_offset * (room.whole - 1) < limit
    assert spec.max_level * spec.depth < room.whole
    high = (spec.weight_offset << weight_bits) * max(0, room.high - 1)
    assert high + spec.max_weight_code * max(0, room.low - 1) < limit
    # and those that zero points take
    assert (max(0, room.high - 1) << weight_bits) < 2 ** dense_spec(spec).population_bits


def test_joined_halves_are_doubled_as_often_as_a_weight_has_bits() -> None:
    spec = Spec(lanes=4)
    level, wide = np.zeros(12, np.int64), np.array([0, 5])
    level[[0, 7]] = 6, 12
    none, one, both = (np.isin(np.arange(12), chosen) for chosen in ([], [7], [0, 7]))
    assert joined_cycles(spec, level, none, 0, wide) == 3 + 4 + 1
    # the salient row by itself, and its doubling; three more are left, and one belongs to the low half's salient row
    assert joined_cycles(spec, level, one, 1, wide) == (1 + 1 + 3) + 4 + 1
    assert joined_cycles(spec, level, both, 1, wide) == (2 + 1 + 3) + 3 + (1 + 1 + 1)
    assert joins(spec, level, both, 3, wide)
    assert not joins(spec, level, both, 4, wide)
    assert not joins(spec, level * 400, none, 0, wide)


@pytest.mark.parametrize(
    ("lanes", "score_words", "inputs", "rows"),
    [(4, 1024, 576, 144), (4, 1024, 37, 12), (8, 1024, 36, 8), (1, 64, 3, 4)],
)
def test_rows_of_a_token(lanes: int, score_words: int, inputs: int, rows: int) -> None:
    spec = Spec(lanes=lanes, depth=lanes * 192, score_words=score_words)
    assert token_rows(spec, inputs) == rows
    assert rows % token_grain(spec) == 0
