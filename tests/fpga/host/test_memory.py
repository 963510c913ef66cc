"""Layers stored and streamed by the real driver, on the whole top of a board with the strict chip at its pins."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from spikequant.fpga.host.device import Accelerator
from spikequant.fpga.host.resident import ResidentLayers
from spikequant.fpga.sdram.layout import StoredLayer
from spikequant.fpga.sdram.timing import CHIPS, DEFAULT_CHIP, SdramTiming
from spikequant.fpga.virtual.board import BAUD, VirtualBoard
from spikequant.gen.cli import app
from spikequant.golden.layer.integer import run_layer
from spikequant.golden.layer.random_layers import random_vectors
from spikequant.golden.layer.spec import Spec
from spikequant.golden.layer.vectors import PER_TOKEN, LayerVectors, save_vectors
from spikequant.golden.support.errors import InputError
from spikequant.rtl.driver.device import LayerRun

LIMIT = 240


def layer(spec: Spec, *, tokens: int, seed: int) -> LayerVectors:
    return random_vectors(spec, outputs=18, inputs=40, tokens=tokens, wide=20, max_shift=3, seed=seed)


def with_tokens(vectors: LayerVectors, other: LayerVectors) -> LayerVectors:
    return replace(vectors, **{name: getattr(other, name) for name in PER_TOKEN})


def assert_right(run: LayerRun, vectors: LayerVectors, spec: Spec) -> None:
    expected = run_layer(vectors, spec)
    np.testing.assert_array_equal(run.output.membrane, expected.membrane)
    np.testing.assert_array_equal(run.output.code, expected.code)
    assert not run.output.saturated.any()


def test_layers_are_stored_once_and_run_on_any_tokens(
    memory_board_program: Path, timing: SdramTiming, small: Spec
) -> None:
    with VirtualBoard(memory_board_program, memory=True, seconds=LIMIT) as board:
        with Accelerator(small, port=board.port, baud=BAUD, chip=timing.chip) as accelerator:
            first, second = (layer(small, tokens=1, seed=seed) for seed in (1, 2))
            stored = [accelerator.store_layer(vectors) for vectors in (first, second)]
            assert stored[1].place.address == stored[0].place.end
            for seed, tokens in ((3, 1), (4, 5)):
                for place, vectors in zip(stored, (first, second), strict=True):
                    fed = with_tokens(vectors, layer(small, tokens=tokens, seed=seed))
                    assert_right(accelerator.run_stored(place, fed), fed, small)
            # and one whose weights come over the line
            assert_right(accelerator.run_layer(second), second, small)
        # another session can use what is stored, and does not overwrite it
        third = layer(small, tokens=1, seed=3)
        with Accelerator(small, port=board.port, baud=BAUD, chip=timing.chip) as accelerator:
            with pytest.raises(ValueError, match=r"^the layer was neither stored nor kept in this session$"):
                accelerator.run_stored(stored[1], second)
            accelerator.keep_layer(stored[1])
            far, other = 2**23, small.model_copy(update={"lanes": 4})
            for changes in ({"address": far}, {"spec": other}):
                foreign = replace(stored[0], place=replace(stored[0].place, **changes))
                with pytest.raises(InputError, match=r"^memory: the layer was stored for another board, expected "):
                    accelerator.keep_layer(foreign)
            with pytest.raises(
                InputError, match=r"^memory: the layer at word \d+ overlaps with the one at \d+, expected "
            ):
                accelerator.keep_layer(stored[1])
            assert accelerator.store_layer(third).place.address == stored[1].place.end
            assert_right(accelerator.run_stored(stored[1], second), second, small)


class OneLayer(Accelerator):
    """A board whose memory is full with one layer."""

    stores = 0

    def has_room(self, vectors: LayerVectors) -> bool:
        return super().has_room(vectors) and not self.stores

    def store_layer(self, vectors: LayerVectors) -> StoredLayer:
        self.stores += 1
        return super().store_layer(vectors)


def test_layers_stay_where_there_is_room(memory_board_program: Path, timing: SdramTiming, small: Spec) -> None:
    first, second = (layer(small, tokens=1, seed=seed) for seed in (1, 2))
    with (
        VirtualBoard(memory_board_program, memory=True, seconds=LIMIT) as board,
        OneLayer(small, port=board.port, baud=BAUD, chip=timing.chip) as accelerator,
    ):
        resident = ResidentLayers(accelerator)
        for seed in (3, 4):
            for name, vectors in (("first", first), ("second", second)):
                fed = with_tokens(vectors, layer(small, tokens=2, seed=seed))
                assert_right(resident.run(name, fed), fed, small)
        assert (list(resident.stored), accelerator.stores) == (["first"], 1)
        with pytest.raises(ValueError, match="the memory holds other"):
            resident.run("first", second)


def test_noise_costs_time_and_nothing_else(memory_board_program: Path, timing: SdramTiming, small: Spec) -> None:
    vectors = layer(small, tokens=2, seed=5)
    with (
        VirtualBoard(memory_board_program, memory=True, seconds=LIMIT, corrupt=0.005, seed=7) as board,
        Accelerator(small, port=board.port, baud=BAUD, chip=timing.chip) as accelerator,
    ):
        run = accelerator.run_stored(accelerator.store_layer(vectors), vectors)
        health = accelerator.health()
    assert_right(run, vectors, small)
    assert health.board_damaged > 3


def test_a_board_without_that_memory_is_refused(memory_board_program: Path, small: Spec) -> None:
    with VirtualBoard(memory_board_program, memory=True, seconds=LIMIT) as board:
        for chip in (None, CHIPS["AS4C32M16SB-7"]):
            with pytest.raises(InputError, match=r"the board holds Accelerator\+DRAM [0-9a-f]{16}, expected"):
                Accelerator(small, port=board.port, baud=BAUD, chip=chip)


def test_a_bitstream_without_a_memory_stores_nothing(board_program: Path, small: Spec) -> None:
    vectors = layer(small, tokens=1, seed=1)
    with (
        VirtualBoard(board_program, seconds=LIMIT) as board,
        Accelerator(small, port=board.port, baud=BAUD) as accelerator,
    ):
        assert not accelerator.has_room(vectors)
        refused = r"^memory: the bitstream has none, expected one that was built with --memory$"
        with pytest.raises(InputError, match=refused):
            accelerator.store_layer(vectors)


@pytest.mark.usefixtures("memory_board_program")
def test_the_command_runs_a_layer_from_the_memory(tmp_path: Path, small: Spec, build_cache: Path) -> None:
    config, result_file = tmp_path / "small.toml", tmp_path / "result.json"
    config.write_text(
        "".join(f"{name} = {getattr(small, name)}\n" for name in ("neurons", "lanes", "depth", "membrane_slots"))
    )
    save_vectors(tmp_path / "in.npz", layer(small, tokens=2, seed=6))
    options = ["run", "--port", "sim", "--memory", DEFAULT_CHIP, "--config", config, "--vectors", tmp_path / "in.npz"]
    result = CliRunner().invoke(
        app, [str(option) for option in (*options, "--cache", build_cache, "--json", result_file)]
    )
    assert result.exit_code == 0, result.output
    figures = json.loads(result_file.read_text())
    assert (figures["ok"], figures["mismatches"], figures["memory"]) == (True, 0, DEFAULT_CHIP)
    assert (figures["spikes"], figures["beats"]) == (figures["expected_spikes"], figures["expected_beats"])
