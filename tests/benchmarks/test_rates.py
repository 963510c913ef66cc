"""Tokens a second, with weights on chip and from a memory."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from spikequant.benchmarks.rates import Batch, average_batch
from spikequant.benchmarks.results import median_clock
from spikequant.golden.layer.spec import PRESETS, Spec
from spikequant.golden.layer.vectors import LayerVectors
from spikequant.golden.support.errors import InputError

BATCH = Batch(tokens=2, cycles={"spiking": 1000, "mac": 2000}, words=4000, words_used=3000)


def test_a_stream_takes_a_word_a_cycle_or_what_the_memory_gives() -> None:
    assert BATCH.rate("spiking", 1e6) == 2000
    assert BATCH.rate("mac", 1e6) == 1000
    # 1000 cycles for the tokens, 4000 for the words
    assert BATCH.streamed_rate("spiking", 1e6, bandwidth=1e9) == pytest.approx(2 / 0.005)
    # 16 kB at 1 MB/s
    assert BATCH.streamed_rate("spiking", 1e6, bandwidth=1e6) == pytest.approx(2 / 0.017)
    assert BATCH.streamed_rate("spiking", 1e6, bandwidth=1e6, skip_silent=True) == pytest.approx(2 / 0.013)


def test_a_batch_shares_its_weights(layers: dict[str, LayerVectors]) -> None:
    spec = Spec(neurons=32)
    one, three = (average_batch(spec, layers, size) for size in (1, 3))
    assert (
        one.words
        == three.words
        == 2 * sum(tiles * (rows * 4 + 96) for rows, tiles in ((320, 2), (256, 2))) + 2 * 2 * 16 * 4
    )
    assert one.words_used < three.words_used < one.words
    for array in ("spiking", "mac"):
        assert one.cycles[array] < three.cycles[array] < 3 * one.cycles[array]
    with pytest.raises(ValueError, match="a batch of 7 tokens"):
        average_batch(spec, layers, 7)


def test_silent_rows_are_those_of_all_tokens_of_a_batch(layers: dict[str, LayerVectors]) -> None:
    vectors = next(iter(layers.values()))
    level = np.zeros_like(vectors.level)
    level[:, 3] = 1
    level[0, 5] = -1
    quiet = {"q": replace(vectors, level=level, salient=np.zeros_like(vectors.salient))}
    batch = average_batch(Spec(neurons=64), quiet, vectors.tokens)
    assert batch.words_used == 2 * 8 + 3 * 64


def test_clocks_come_from_a_benchmark(tmp_path: Path) -> None:
    path = tmp_path / "benchmarks.json"
    spec = PRESETS["tiny"]
    assert median_clock(path, spec, "mac", "LFE5U-25F") is None
    one = {"array": "mac", "device": "LFE5U-25F", "spec": spec.model_dump(), "fmax_median_mhz": 123.5}
    path.write_text(json.dumps({"arrays": [{**one, "array": "spiking", "fmax_median_mhz": 1}, one]}))
    assert median_clock(path, spec, "mac", "LFE5U-25F") == 123.5
    assert median_clock(path, spec, "mac", "LFE5U-85F") is None
    assert median_clock(path, Spec(), "mac", "LFE5U-25F") is None
    path.write_text("{}")
    with pytest.raises(InputError, match="cannot be read"):
        median_clock(path, spec, "mac", "LFE5U-25F")
