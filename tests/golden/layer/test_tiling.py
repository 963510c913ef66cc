"""Tiles hold every input once, in order, and fit the accelerator."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikequant.golden.layer.random_layers import random_vectors
from spikequant.golden.layer.spec import Spec
from spikequant.golden.layer.tiling import token_tiles
from spikequant.golden.layer.vectors import LayerVectors


@settings(max_examples=60)
@given(
    lanes=st.sampled_from([1, 2, 4, 8]),
    rows=st.integers(2, 40),
    inputs=st.integers(1, 150),
    population_bits=st.integers(8, 13),
    score_words=st.sampled_from([64, 128]),
    seed=st.integers(0, 999),
)
def test_every_input_is_in_one_tile_that_fits(
    lanes: int, rows: int, inputs: int, population_bits: int, score_words: int, seed: int
) -> None:
    spec = Spec(
        neurons=8, lanes=lanes, depth=lanes * rows, population_bits=population_bits, score_words=score_words, ramp=4
    )
    wide = seed % (inputs + 1)
    vectors = random_vectors(spec, outputs=1, inputs=inputs, tokens=2, wide=wide, extremes=bool(seed % 2), seed=seed)
    for token in range(vectors.tokens):
        tiles = token_tiles(vectors, token, spec)
        for low, columns in ((False, np.arange(inputs)), (True, vectors.wide)):
            parts = [tile.columns for tile in tiles if tile.low == low]
            assert np.array_equal(np.concatenate([*parts, []]), columns)
            # where a tile begins, so does a row of lanes
            places = np.cumsum([0, *map(len, parts)])[:-1] % spec.depth
            assert not any(places % lanes)
        for tile in tiles:
            assert 0 < len(tile.columns) <= spec.depth
            assert tile.cost.fits
            assert tile.cost.words <= spec.score_words
            level = np.abs(vectors.level[token, tile.columns].astype(np.int64))
            salient = vectors.salient[token, tile.columns]
            shift = int(vectors.shift[token])
            if tile.cost.merged:
                assert level.sum() <= spec.max_population
            else:
                assert (level[salient] >> shift).sum() <= spec.max_population


def small_token(level: list[int]) -> LayerVectors:
    spec = Spec(neurons=8)
    vectors = random_vectors(spec, outputs=1, inputs=len(level), tokens=1, extremes=False, seed=0)
    return replace(vectors, level=np.array([level], np.int32), salient=np.zeros((1, len(level)), np.bool_))


def test_a_tile_of_a_few_inputs_more_than_lanes_is_cut_behind_the_lanes() -> None:
    spec = Spec(neurons=8, lanes=4, depth=64, population_bits=7)
    tiles = token_tiles(small_token([31] * 5), 0, spec)
    assert [tile.columns.tolist() for tile in tiles] == [[0, 1, 2, 3], [4]]


def test_a_level_that_no_code_has_is_an_error() -> None:
    spec = Spec(neurons=8, lanes=4, depth=64, population_bits=7)
    with pytest.raises(ValueError, match="levels of token 0: too large for one input per lane"):
        token_tiles(small_token([1, 1, 200]), 0, spec)
