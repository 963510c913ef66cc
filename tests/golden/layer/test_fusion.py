"""Layers that share their input, run as one."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikequant.golden.layer.fusion import fuse, neighbours_with_one_input, share_input, split_count, split_output
from spikequant.golden.layer.integer import run_layer
from spikequant.golden.layer.neuron import simulate
from spikequant.golden.layer.random_layers import random_vectors
from spikequant.golden.layer.spec import Spec
from spikequant.golden.layer.vectors import PER_TOKEN, LayerVectors, check_vectors

SPEC = Spec(neurons=8, lanes=2, depth=16)


def sharing(
    spec: Spec, outputs: list[int], wide: list[int], *, inputs: int, tokens: int, seed: int
) -> list[LayerVectors]:
    """Random layers with the activations of the first one."""
    layers = [
        random_vectors(spec, outputs=size, inputs=inputs, tokens=tokens, wide=columns, seed=seed + number)
        for number, (size, columns) in enumerate(zip(outputs, wide, strict=True))
    ]
    activations = {name: getattr(layers[0], name) for name in PER_TOKEN}
    return [replace(vectors, **activations) for vectors in layers]


@st.composite
def shared_layers(draw: st.DrawFn) -> list[LayerVectors]:
    inputs = draw(st.integers(1, 40))
    outputs = draw(st.lists(st.integers(1, 20), min_size=1, max_size=4))
    some_wide = draw(st.booleans())
    wide = [draw(st.integers(1, inputs)) if some_wide else 0 for _ in outputs]
    seed = draw(st.integers(0, 2**31))
    return sharing(SPEC, outputs, wide, inputs=inputs, tokens=draw(st.integers(1, 8)), seed=seed)


@given(shared_layers())
def test_a_fused_layer_gives_what_its_layers_give(layers: list[LayerVectors]) -> None:
    fused = fuse(layers)
    check_vectors(dict(vars(fused)), SPEC, source="fused")
    for own, vectors in zip(split_output(run_layer(fused, SPEC), layers), layers, strict=True):
        golden = run_layer(vectors, SPEC)
        assert own.membrane.tolist() == golden.membrane.tolist()
        assert own.code.tolist() == golden.code.tolist()
        assert own.saturated.tolist() == golden.saturated.tolist()


def test_spikes_of_a_fused_layer_give_what_its_layers_give() -> None:
    layers = sharing(SPEC, [3, 9, 5], [2, 4, 1], inputs=30, tokens=3, seed=5)
    fused = fuse(layers)
    assert set(fused.wide.tolist()) == {column for vectors in layers for column in vectors.wide.tolist()}
    for token in range(3):
        expected = np.concatenate([run_layer(vectors, SPEC).membrane[token] for vectors in layers])
        assert simulate(fused, token, SPEC).membrane.tolist() == expected.tolist()


def test_one_layer_stays_as_it_is() -> None:
    (layer,) = sharing(SPEC, [5], [3], inputs=20, tokens=2, seed=1)
    assert fuse([layer]) is layer


@pytest.mark.parametrize("name", PER_TOKEN)
def test_layers_with_other_activations_share_no_input(name: str) -> None:
    one, other = sharing(SPEC, [4, 4], [2, 3], inputs=20, tokens=2, seed=1)
    assert share_input(one, other)
    changed = getattr(other, name).copy()
    changed.flat[-1] = not changed.flat[-1]
    assert not share_input(one, replace(other, **{name: changed}))
    assert not share_input(one, one.of_tokens(slice(1)))


def test_membranes_in_other_units_are_not_fused() -> None:
    one, other = sharing(SPEC, [4, 4], [2, 0], inputs=20, tokens=2, seed=1)
    assert not share_input(one, other)


def test_only_neighbours_are_fused() -> None:
    q, k, v = sharing(SPEC, [4, 2, 2], [2, 3, 1], inputs=20, tokens=2, seed=1)
    (o,) = sharing(SPEC, [4], [2], inputs=20, tokens=2, seed=9)
    named = [("q", q), ("k", k), ("o", o), ("v", v)]
    assert [list(group) for group in neighbours_with_one_input(named)] == [["q", "k"], ["o"], ["v"]]
    assert list(neighbours_with_one_input([])) == []


@given(st.integers(0, 10**9), st.lists(st.integers(1, 500), min_size=1, max_size=4))
def test_a_count_is_divided_by_outputs_and_none_is_lost(count: int, outputs: list[int]) -> None:
    layers = [random_vectors(SPEC, outputs=1, inputs=1, tokens=1, seed=1).of_outputs(slice(1)) for _ in outputs]
    layers = [replace(one, w_code=np.zeros((size, 1), np.uint8)) for one, size in zip(layers, outputs, strict=True)]
    shares = split_count(count, layers)
    assert sum(shares) == count
    for share, size in zip(shares, outputs, strict=True):
        assert abs(share - count * size / sum(outputs)) <= 1
