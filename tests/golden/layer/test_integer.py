"""The integer level against a plain loop over the definition."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikequant.golden.layer.integer import output_code, run_layer, weight_steps
from spikequant.golden.layer.random_layers import random_vectors
from spikequant.golden.layer.spec import PRESETS, Spec

TINY = PRESETS["tiny"]


@settings(max_examples=100)
@given(
    weight_bits=st.sampled_from([2, 4, 8]),
    inputs=st.integers(1, 9),
    wide=st.integers(0, 9),
    seed=st.integers(0, 2**32 - 1),
)
def test_layer_equals_the_definition(weight_bits: int, inputs: int, wide: int, seed: int) -> None:
    spec = Spec(weight_bits=weight_bits, membrane_bits=39, max_salient_shift=7)
    vectors = random_vectors(
        spec, outputs=5, inputs=inputs, tokens=4, wide=min(wide, inputs), salient_fraction=0.3, seed=seed
    )
    output = run_layer(vectors, spec)
    columns = vectors.wide.tolist()
    scale = 2**weight_bits if columns else 1
    for token, levels in enumerate(vectors.level.tolist()):
        for neuron, codes in enumerate(vectors.w_code.tolist()):
            weights = [scale * (code - int(vectors.w_zero[neuron])) for code in codes]
            for place, column in enumerate(columns):
                weights[column] += int(vectors.w_low[neuron, place])
            products = [weight * level for weight, level in zip(weights, levels, strict=True)]
            membrane = sum(products) + int(vectors.bias[neuron])
            excitation = Fraction(abs(membrane) * 2**spec.theta_fraction_bits, int(vectors.theta[neuron]))
            magnitude = min(int(excitation + Fraction(1, 2)), 127)
            assert output.membrane[token, neuron] == membrane
            assert output.code[token, neuron] == (magnitude if membrane >= 0 else -magnitude)
            assert not output.saturated[token, neuron]


@pytest.mark.parametrize(
    ("membrane", "theta", "code"),
    [
        (0, 1, 0),
        (1, 1, 127),  # 4096 thetas
        (-1, 1, -127),
        (0, 2**32 - 1, 0),
        (2**19 - 1, 2**32 - 1, 0),  # just below half a theta
        (2**19, 2**32 - 1, 1),
        (-(2**19), 2**32 - 1, -1),
        (1, 2**13, 1),  # exactly half rounds away from zero
        (-1, 2**13, -1),
        (1, 2**13 + 1, 0),
        (126, 4096, 126),
        (127, 4096, 127),
        (128, 4096, 127),
        (-128, 4096, -127),
    ],
)
def test_output_code(membrane: int, theta: int, code: int) -> None:
    arrays = (np.array([[membrane]], np.int64), np.array([theta], np.uint32))
    assert output_code(*arrays, theta_fraction_bits=12, output_bits=8).tolist() == [[code]]


def test_output_code_of_the_largest_membrane() -> None:
    membrane = np.array([[2**38 + 2**31, -(2**38) - 2**31]])
    theta = np.full(2, 2**32 - 1, np.uint32)
    exact = ((2**38 + 2**31) * 2**24 + 2**31 - 1) // (2**32 - 1)
    assert exact > 2**15
    assert output_code(membrane, theta, theta_fraction_bits=24, output_bits=16).tolist() == [[2**15 - 1, -(2**15) + 1]]


def test_wide_weights_are_in_fractions_of_a_step() -> None:
    vectors = random_vectors(TINY, outputs=2, inputs=3, tokens=1, wide=1, extremes=False, seed=1)
    vectors = replace(
        vectors,
        w_code=np.array([[0, 8, 15], [7, 8, 9]], np.uint8),
        w_zero=np.array([0, 8], np.uint8),
        wide=np.array([1], np.int32),
        w_low=np.array([[15], [1]], np.uint8),
    )
    assert weight_steps(vectors, weight_bits=4).tolist() == [[0, 16 * 8 + 15, 16 * 15], [-16, 1, 16]]


@pytest.mark.parametrize(("bias", "level", "saturated"), [(0, 8, False), (0, 9, True), (2**31 - 1, 8, False)])
def test_saturation_starts_where_the_sum_of_magnitudes_reaches_the_range(
    bias: int, level: int, saturated: bool
) -> None:
    # 8 bits hold 127; the weights 7, -7 and 1 reach 114 at the levels 8, 8 and 2, and 128 at 9, 9 and 2
    spec = TINY.model_copy(update={"membrane_bits": 8})
    vectors = random_vectors(spec, outputs=1, inputs=3, tokens=1, extremes=False, seed=1)
    vectors = replace(
        vectors,
        w_code=np.array([[15, 1, 9]], np.uint8),
        w_zero=np.array([8], np.uint8),
        level=np.array([[level, level, 2]], np.int32),
        bias=np.array([bias], np.int32),
    )
    output = run_layer(vectors, spec)
    assert output.saturated.tolist() == [[saturated]]
    # the sums cancel, so the exact value is small all the same
    assert output.membrane.tolist() == [[2 + bias]]


def test_largest_sum_that_fits_is_not_flagged() -> None:
    spec = TINY.model_copy(update={"membrane_bits": 8})
    vectors = random_vectors(spec, outputs=2, inputs=2, tokens=1, extremes=False, seed=1)
    vectors = replace(
        vectors,
        w_code=np.array([[15, 1], [15, 2]], np.uint8),
        w_zero=np.zeros(2, np.uint8),
        level=np.array([[8, 7]], np.int32),
    )
    assert run_layer(vectors, spec).saturated.tolist() == [[False, True]]  # 127, 134
