"""Weights that are all in the synapse memory before the first token."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from spikequant.fpga.baked.program import baked_program, placed_program
from spikequant.fpga.host.device import Accelerator
from spikequant.fpga.virtual.board import BAUD, VirtualBoard
from spikequant.golden.layer.integer import run_layer
from spikequant.golden.layer.random_layers import random_vectors
from spikequant.golden.layer.spec import Spec
from spikequant.golden.layer.vectors import PER_TOKEN, LayerVectors
from spikequant.golden.support.errors import InputError
from spikequant.rtl.driver.packet_model import PacketModel
from spikequant.rtl.driver.packets import operation_of, parse_result
from spikequant.rtl.driver.program import gather
from spikequant.rtl.shapes import Operation


def layer(spec: Spec, *, seed: int, tokens: int = 3, inputs: int = 5) -> LayerVectors:
    """Two tiles of outputs with low halves, which just fit where there are five inputs."""
    return random_vectors(spec, outputs=13, inputs=inputs, wide=2, tokens=tokens, max_shift=1, seed=seed)


def assert_right(membrane: object, vectors: LayerVectors, spec: Spec) -> None:
    np.testing.assert_array_equal(membrane, run_layer(vectors, spec).membrane)


def test_tiles_side_by_side_are_right_for_any_tokens(board_program: Path, small: Spec) -> None:
    vectors, other = (layer(small, seed=seed) for seed in (1, 2))
    program = baked_program(small, vectors)
    loads = [
        packet
        for packet in placed_program(small, vectors).packets
        if Operation(operation_of(packet)) is Operation.WEIGHTS
    ]
    assert len(loads) == 4
    with (
        VirtualBoard(board_program, seconds=240) as board,
        Accelerator(small, port=board.port, baud=BAUD) as accelerator,
    ):
        played = accelerator.play([*loads, *program.packets], len(program.places))
        results = [parse_result(small, packet) for packet in played.packets]
        assert_right(gather(vectors, program.places, results).membrane, vectors, small)
        tokens = layer(small, seed=3, tokens=5)
        fed = replace(vectors, **{name: getattr(tokens, name) for name in PER_TOKEN})
        assert_right(accelerator.run_baked(fed).output.membrane, fed, small)
        # and nothing else is loaded
        assert (accelerator.run_baked(other).output.membrane != run_layer(other, small).membrane).any()


def test_tokens_run_in_blocks_and_are_sorted_once() -> None:
    spec = Spec(neurons=8, lanes=2, depth=128, score_words=64, membrane_slots=2)
    tokens = 20
    vectors = random_vectors(spec, outputs=21, inputs=30, wide=3, tokens=tokens, max_shift=1, seed=1)
    model = PacketModel(spec)
    for packet in placed_program(spec, vectors).packets:
        if Operation(operation_of(packet)) is Operation.WEIGHTS:
            model.take(packet)
    program = baked_program(spec, vectors)
    operations = [Operation(operation_of(packet)) for packet in program.packets]
    assert operations.count(Operation.NEURONS) > 3
    golden = run_layer(vectors, spec)
    found = [result for packet in program.packets if (result := model.take(packet))]
    for place, result in zip(program.places, found, strict=True):
        expected = golden.membrane[place.token, place.outputs]
        assert result.membrane[: expected.size].tolist() == expected.tolist()


def test_a_layer_that_is_too_large_is_refused(small: Spec) -> None:
    expected = r"^layer: its 2 tiles of outputs have 20 rows of weights, expected at most 16$"
    with pytest.raises(InputError, match=expected):
        placed_program(small, layer(small, seed=1, inputs=7))
