"""Random layers: valid, repeatable, and as extreme as promised."""

from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikequant.golden.layer.integer import run_layer
from spikequant.golden.layer.random_layers import random_vectors
from spikequant.golden.layer.spec import PRESETS, Spec
from spikequant.golden.layer.vectors import LayerVectors, check_vectors
from spikequant.golden.support.errors import InputError

BASE = PRESETS["base"]


def arrays_of(vectors: LayerVectors) -> dict[str, Any]:
    return {item.name: getattr(vectors, item.name) for item in fields(vectors)}


@settings(max_examples=100)
@given(data=st.data(), seed=st.integers(0, 2**32 - 1))
def test_every_layer_is_valid(data: st.DataObject, seed: int) -> None:
    activation_bits = data.draw(st.integers(2, 7))
    spec = Spec(
        weight_bits=data.draw(st.sampled_from([2, 4, 8])),
        activation_bits=activation_bits,
        salient_bits=data.draw(st.just(0) | st.integers(activation_bits, 7)),
        max_salient_shift=data.draw(st.integers(0, 15)),
        theta_fraction_bits=data.draw(st.integers(0, 24)),
    )
    inputs = data.draw(st.integers(1, 20))
    vectors = random_vectors(
        spec,
        outputs=data.draw(st.integers(1, 12)),
        inputs=inputs,
        tokens=data.draw(st.integers(1, 12)),
        wide=data.draw(st.integers(0, inputs)),
        salient_fraction=data.draw(st.floats(0, 1)),
        extremes=data.draw(st.booleans()),
        seed=seed,
    )
    arrays = arrays_of(vectors)
    checked = arrays_of(check_vectors(arrays, spec, source="layer"))
    for name, array in arrays.items():
        assert array.dtype == checked[name].dtype
        assert array.tolist() == checked[name].tolist()


def test_a_seed_gives_one_layer() -> None:
    first, again, other = (random_vectors(BASE, outputs=9, inputs=9, tokens=9, wide=2, seed=s) for s in (1, 1, 2))
    assert all((array == getattr(again, name)).all() for name, array in arrays_of(first).items())
    assert (first.w_code != other.w_code).any()


def test_codes_are_informative() -> None:
    vectors = random_vectors(BASE, outputs=64, inputs=576, tokens=32, extremes=False, seed=1)
    magnitude = np.abs(run_layer(vectors, BASE).code)
    assert (magnitude == BASE.max_output_code).mean() < 0.2
    assert (magnitude < 4).mean() < 0.2
    assert np.unique(magnitude).size == BASE.max_output_code + 1
    assert 0.02 < vectors.salient.mean() < 0.04
    assert 0.2 < (vectors.level == 0).mean() < 0.4


@pytest.mark.parametrize("seed", range(5))
def test_extremes_are_in_a_large_enough_layer(seed: int) -> None:
    vectors = random_vectors(BASE, outputs=8, inputs=50, tokens=8, salient_fraction=0.2, seed=seed)
    assert {1, 2**32 - 1, 2**13} <= set(vectors.theta.tolist())
    assert {-(2**31), 2**31 - 1} <= set(vectors.bias.tolist())
    assert {0, 15} <= set(vectors.w_zero.tolist())
    assert {0, 15} <= set(vectors.zero.tolist())
    assert {-15, 15} <= set(vectors.level[~vectors.salient].tolist())
    assert 11 in vectors.shift
    assert np.abs(vectors.level).max() == 31 << 11
    assert (vectors.level == 0).all(axis=1).any()
    assert vectors.salient.all(axis=1).any()
    assert (~vectors.salient.any(axis=1) & vectors.level.any(axis=1)).any()


def test_max_shift_limits_the_shift() -> None:
    vectors = random_vectors(BASE, outputs=8, inputs=20, tokens=50, max_shift=1, salient_fraction=0.5, seed=3)
    assert set(vectors.shift.tolist()) == {0, 1}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"outputs": 0}, "outputs is 0, expected 1 or more"),
        ({"inputs": 0}, "inputs is 0, expected 1 or more"),
        ({"tokens": 0}, "tokens is 0, expected 1 or more"),
        ({"wide": 4}, "wide is 4, expected 0..3"),
        ({"wide": -1}, "wide is -1, expected 0..3"),
        ({"salient_fraction": 1.1}, "salient_fraction is 1.1, expected 0..1"),
        ({"max_shift": 12}, "max_shift is 12, expected 0..11"),
    ],
)
def test_a_bad_size_is_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as refusal:
        random_vectors(BASE, **({"outputs": 2, "inputs": 3, "tokens": 2, "seed": 1} | wrong))
    assert message in str(refusal.value)
