"""Layers streamed from the memory: the same packets as without it, and the right results from the accelerator."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spikequant.fpga.sdram.bench import run_bench
from spikequant.fpga.sdram.layout import place_layer, store_layer
from spikequant.fpga.sdram.packets import MASK_WORDS, MemoryOperation
from spikequant.fpga.sdram.program import active_inputs, streamed_program, without_silent
from spikequant.fpga.sdram.timing import CHIPS, DEFAULT_CHIP, SdramTiming
from spikequant.golden.layer.integer import run_layer
from spikequant.golden.layer.random_layers import random_vectors
from spikequant.golden.layer.spec import Spec
from spikequant.golden.layer.vectors import PER_TOKEN, LayerVectors
from spikequant.golden.support.errors import InputError
from spikequant.rtl.driver.program import layer_program

CHIP = CHIPS[DEFAULT_CHIP]
CLOCK_HZ = 60e6


def layer(spec: Spec, *, tokens: int = 1, inputs: int = 40, wide: int = 5, seed: int = 1) -> LayerVectors:
    return random_vectors(spec, outputs=18, inputs=inputs, tokens=tokens, wide=wide, max_shift=3, seed=seed)


@given(seed=st.integers(0, 2**32 - 1), tokens=st.integers(1, 3), inputs=st.integers(1, 50), wide=st.integers(0, 9))
def test_silent_inputs_change_no_result(seed: int, tokens: int, inputs: int, wide: int) -> None:
    spec = Spec(neurons=8, lanes=2, depth=16, membrane_slots=3)
    vectors = layer(spec, tokens=tokens, inputs=inputs, wide=min(wide, inputs), seed=seed)
    active = active_inputs(vectors)
    fewer = without_silent(vectors, active)
    used = np.count_nonzero((vectors.level != 0).any(axis=0))
    # one that is silent stays where there is no other, and no other wide one
    assert used <= fewer.inputs <= used + 1
    expected, found = run_layer(vectors, spec), run_layer(fewer, spec)
    np.testing.assert_array_equal(found.membrane, expected.membrane)
    np.testing.assert_array_equal(found.code, expected.code)


def test_an_input_that_is_used_cannot_be_left_out(small: Spec) -> None:
    vectors = layer(small)
    active = active_inputs(vectors)
    active[np.flatnonzero(active)[3]] = False
    with pytest.raises(ValueError, match="not silent"):
        without_silent(vectors, active)


def test_a_wide_input_stays_although_it_is_silent(small: Spec) -> None:
    vectors = layer(small, wide=2)
    vectors.level[:, vectors.wide] = 0
    active = active_inputs(vectors)
    assert active[vectors.wide].tolist() == [True, False]
    active[vectors.wide[0]] = False
    with pytest.raises(ValueError, match="all wide inputs are omitted"):
        without_silent(vectors, active)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 2**32 - 1),
    tokens=st.integers(1, 5),
    inputs=st.integers(1, 60),
    wide=st.integers(0, 20),
    address=st.integers(0, 5000),
)
def test_what_reaches_the_accelerator_is_the_ordinary_program(
    memory_program: Path,
    timing: SdramTiming,
    small: Spec,
    seed: int,
    tokens: int,
    inputs: int,
    wide: int,
    address: int,
) -> None:
    vectors = layer(small, tokens=tokens, inputs=inputs, wide=min(wide, inputs), seed=seed)
    stored = store_layer(small, vectors, chip=CHIP, address=address)
    program = streamed_program(stored, vectors)
    expected = layer_program(small, without_silent(vectors, active_inputs(vectors)))
    run = run_bench(
        memory_program,
        stored.packets(),
        program.packets,
        results=len(expected.packets),
        clock_hz=CLOCK_HZ,
        timing=timing,
    )
    assert run.violations == 0
    assert program.places == expected.places
    assert [packet.tolist() for packet in run.packets] == [packet.tolist() for packet in expected.packets]


def test_parts_of_many_inputs_share_the_mask(memory_program: Path, timing: SdramTiming, small: Spec) -> None:
    """Each part has the bits of its own rows; a bit for each row of the layer would be too many."""
    vectors = layer(small, inputs=1500, wide=80)
    stored = store_layer(small, vectors, chip=CHIP, address=77)
    assert stored.place.mask_words <= MASK_WORDS < 1500 // small.depth * 1500 // 32
    program = streamed_program(stored, vectors)
    expected = layer_program(small, without_silent(vectors, active_inputs(vectors)))
    results = len(expected.packets)
    run = run_bench(
        memory_program, stored.packets(), program.packets, results=results, clock_hz=CLOCK_HZ, timing=timing
    )
    assert run.violations == 0
    assert [packet.tolist() for packet in run.packets] == [packet.tolist() for packet in expected.packets]


@given(seed=st.integers(0, 2**32 - 1), inputs=st.integers(1, 400), silent=st.floats(0, 1))
def test_the_mask_is_as_long_as_is_told_before(small: Spec, seed: int, inputs: int, silent: float) -> None:
    vectors = layer(small, inputs=inputs, wide=inputs // 3, seed=seed)
    vectors.level[:, np.random.default_rng(seed).random(inputs) < silent] = 0
    stored = store_layer(small, vectors, chip=CHIP)
    selects = [
        packet for packet in streamed_program(stored, vectors).packets if packet[0] % 16 == MemoryOperation.SELECT
    ]
    assert sum(len(packet) - 1 for packet in selects) <= stored.place.mask_words


def test_a_layer_is_stored_once_for_all_tokens(small: Spec) -> None:
    """Programs of other tokens have no weights in them."""
    stored = store_layer(small, layer(small), chip=CHIP)
    for seed in (2, 3):
        other = layer(small, seed=seed)
        tokens = {name: getattr(other, name) for name in PER_TOKEN}
        program = streamed_program(stored, replace(layer(small), **tokens))
        operations = {int(packet[0]) % 16 for packet in program.packets}
        assert operations == {MemoryOperation.SELECT, MemoryOperation.STREAM, 3, 4}


def test_another_layer_is_not_taken_for_the_stored_one(small: Spec) -> None:
    vectors = layer(small)
    stored = store_layer(small, vectors, chip=CHIP)
    changes: list[dict[str, Any]] = [{"bias": vectors.bias + 1}, {"w_code": vectors.w_code ^ 1}]
    for change, what in zip(changes, ("constants", "weights"), strict=True):
        with pytest.raises(ValueError, match=f"tile 0: the memory holds other {what}"):
            streamed_program(stored, replace(vectors, **change))


def test_places_follow_each_other(small: Spec) -> None:
    vectors = layer(small, inputs=40, wide=5)
    place = place_layer(small, vectors, address=100)
    assert (place.tiles, place.tile_words) == (3, 3 * 8 + 45)
    assert place.end == 100 + 3 * 69
    assert [place.constants(1), place.rows(1, low=False), place.rows(1, low=True)] == [169, 193, 233]


def test_what_does_not_fit_is_told(small: Spec) -> None:
    many = layer(small, inputs=9000, wide=0)
    assert not place_layer(small, many).fits(CHIP)
    with pytest.raises(InputError, match=r"^memory: the mask of the layer's rows has \d+ words, expected at most 512$"):
        store_layer(small, many, chip=CHIP)
    vectors = layer(small)
    with pytest.raises(InputError, match=r"^memory: the layer ends at word 8388615, expected at most 8388608 in the"):
        store_layer(small, vectors, chip=CHIP, address=CHIP.words - 200)
