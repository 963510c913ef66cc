"""Figures of the memory's bandwidth."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from spikequant.benchmarks.memory_bandwidth import (
    Streamed,
    Traffic,
    block_of,
    count_traffic,
    fitting_blocks,
    summarize,
)
from spikequant.fpga.sdram.layout import place_layer
from spikequant.fpga.sdram.packets import LAYOUTS, MemoryOperation
from spikequant.fpga.sdram.timing import SdramTiming
from spikequant.gen.commands.memory_bandwidth import bandwidth_lines
from spikequant.golden.layer.random_layers import random_vectors
from spikequant.golden.layer.spec import Spec
from spikequant.golden.support.errors import InputError


def test_a_layer_names_its_block() -> None:
    assert block_of("model.layers.12.mlp.down_proj") == 12
    for name in ("lm_head", "model.layers.x.q", "model.layers"):
        with pytest.raises(InputError, match=f"^layer: {name} names no decoder block, expected ...layers.N....$"):
            block_of(name)


def test_traffic_is_that_of_one_token_at_a_time(small: Spec) -> None:
    vectors = random_vectors(small, outputs=18, inputs=40, tokens=2, wide=0, max_shift=3, seed=4)
    vectors.level[0] = 0
    vectors.level[1] = 1
    traffic = count_traffic(small, {"layers.0.a": vectors, "layers.0.b": vectors, "layers.1.a": vectors})
    place = place_layer(small, vectors)
    assert list(traffic) == [0, 1]
    assert traffic[1].held == place.words
    # a row for the silent token, and all for the other one
    assert traffic[1].read == place.tiles * (3 * 8 + (1 + 40) / 2)
    assert (traffic[0].held, traffic[0].read) == (2 * traffic[1].held, 2 * traffic[1].read)
    assert traffic[0].silent == traffic[1].silent == 0.5
    # a layer counts by its inputs: 40 of which half are silent, and 10 of which none is
    loud = random_vectors(small, outputs=18, inputs=10, tokens=1, wide=0, max_shift=3, seed=4)
    loud.level[:] = 1
    assert count_traffic(small, {"layers.0.a": vectors, "layers.0.b": loud})[0].silent == pytest.approx(0.4)
    assert fitting_blocks(traffic, 3 * place.words) == [0, 1]
    assert fitting_blocks(traffic, 3 * place.words - 1) == [0]
    assert fitting_blocks(traffic, 0) == []


def test_the_summary_adds_up(small: Spec, timing: SdramTiming) -> None:
    vectors = random_vectors(small, outputs=18, inputs=40, tokens=3, wide=0, max_shift=3, seed=4)
    blocks = count_traffic(small, {"layers.0.a": vectors})
    streamed = [Streamed("layers.0.a", words=900, all_words=1200, memory_cycles=2000, mismatches=0, violations=0)]
    figures = summarize(streamed, blocks, timing, clock_hz=75e6)
    assert figures.ok
    assert figures.peak_share == 0.9
    assert figures.sustained_megabytes_per_second == pytest.approx(216)
    assert figures.layers[0].traffic_saved == 0.25
    chip = figures.chips["AS4C16M16SA-7"]
    assert (chip.blocks, chip.of_blocks) == (1, 1)
    assert chip.tokens_per_second == pytest.approx(216e6 / (4 * blocks[0].read))
    for broken in ({"mismatches": 1}, {"violations": 1}):
        numbers = {"words": 1, "all_words": 1, "memory_cycles": 2, "mismatches": 0, "violations": 0} | broken
        assert not summarize([Streamed("a", **numbers)], blocks, timing, clock_hz=75e6).ok


def test_a_chip_that_holds_no_block_is_reported(timing: SdramTiming) -> None:
    blocks = {0: Traffic(held=12 * 2**20, read=9e6, silent=0.25)}
    streamed = [Streamed("layers.0.a", words=900, all_words=1200, memory_cycles=2000, mismatches=0, violations=0)]
    lines = bandwidth_lines(summarize(streamed, blocks, timing, clock_hz=75e6))
    assert lines[-2] == "AS4C16M16SA-7, 33.6 MB: holds no block"
    assert lines[-1].startswith("AS4C32M16SB-7, 67.1 MB: the first 1 of 1 blocks, 50.3 MB, 6.00 tokens/s (")


def test_the_document_has_the_packets_of_the_code() -> None:
    text = (Path(__file__).parents[2] / "docs" / "memory.md").read_text(encoding="utf-8")
    assert len(LAYOUTS) == len(MemoryOperation)
    for operation in MemoryOperation:
        assert f"| {operation.name} ({operation.value}) |" in text


def test_the_document_has_the_clocks_that_boards_take(timing: SdramTiming) -> None:
    text = (Path(__file__).parents[2] / "docs" / "memory.md").read_text(encoding="utf-8")
    slowest, fastest = map(float, re.findall(r"clock has to be (\d+) to (\d+) MHz", text)[0])
    for hz in (slowest * 1e6 + 2e5, fastest * 1e6 - 5e5):
        replace(timing, clock_hz=hz).check_pins()
    for hz in (slowest * 1e6 - 5e5, fastest * 1e6 + 5e5):
        with pytest.raises(InputError, match="memory clock"):
            replace(timing, clock_hz=hz).check_pins()
