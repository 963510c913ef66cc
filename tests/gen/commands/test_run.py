"""The command ``run`` on a virtual board; it is here because the board takes its time to compile."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from spikequant.fpga.link.line import LinkError
from spikequant.gen.cli import app
from spikequant.golden.layer.integer import run_layer
from spikequant.golden.layer.random_layers import random_vectors
from spikequant.golden.layer.spec import Spec
from spikequant.golden.layer.vectors import LayerVectors, save_vectors
from spikequant.golden.support.errors import InputError


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["run", *map(str, arguments)])


@pytest.fixture
def config(tmp_path: Path, small: Spec) -> Path:
    path = tmp_path / "small.toml"
    changed = {"neurons", "lanes", "depth", "membrane_slots"}
    path.write_text("".join(f"{name} = {value}\n" for name, value in small.model_dump(include=changed).items()))
    return path


@pytest.fixture
def vectors(tmp_path: Path, small: Spec) -> LayerVectors:
    vectors = random_vectors(small, outputs=10, inputs=20, tokens=3, max_shift=2, seed=4)
    save_vectors(tmp_path / "in.npz", vectors)
    return vectors


@pytest.mark.usefixtures("board_program")
def test_integers_run_on_the_virtual_board(
    tmp_path: Path, small: Spec, config: Path, vectors: LayerVectors, build_cache: Path
) -> None:
    files = ["--vectors", tmp_path / "in.npz", "--out", tmp_path / "out.npz", "--json", tmp_path / "result.json"]
    result = run("--port", "sim", "--config", config, *files, "--cache", build_cache, "--corrupt", 0.002)
    assert result.exit_code == 0, result.output
    assert "30 outputs, 0 mismatches, 0 saturated: equal" in result.stdout
    expected = run_layer(vectors, small)
    with np.load(tmp_path / "out.npz") as arrays:
        np.testing.assert_array_equal(arrays["membrane"], expected.membrane)
        np.testing.assert_array_equal(arrays["code"], expected.code)
        assert (arrays["membrane"].dtype, arrays["code"].dtype, arrays["saturated"].dtype) == ("i8", "i4", "?")
    figures: dict[str, Any] = json.loads((tmp_path / "result.json").read_text())
    assert (figures["ok"], figures["mismatches"], figures["output_bits"]) == (True, 0, small.output_bits)
    assert (figures["spikes"], figures["beats"]) == (figures["expected_spikes"], figures["expected_beats"])
    assert figures["cycles"] > 1000
    assert figures["line"]["reopened"] == 0
    assert 0 < figures["lane_utilisation"] <= 1


@pytest.mark.long
def test_integers_run_on_the_netlist_of_a_board(
    tmp_path: Path, small: Spec, config: Path, vectors: LayerVectors, build_cache: Path
) -> None:
    files = ["--vectors", tmp_path / "in.npz", "--out", tmp_path / "out.npz"]
    options = ["--netlist", "synth", "--cache", build_cache, "--corrupt", 0.01, "--drop", 0.01]
    result = run("--port", "sim", "--config", config, *files, *options)
    assert result.exit_code == 0, result.output
    assert "30 outputs, 0 mismatches, 0 saturated: equal" in result.stdout
    with np.load(tmp_path / "out.npz") as arrays:
        np.testing.assert_array_equal(arrays["membrane"], run_layer(vectors, small).membrane)


@pytest.mark.usefixtures("board_program")
def test_saturated_outputs_are_a_failure(tmp_path: Path, small: Spec, config: Path, build_cache: Path) -> None:
    inputs = 2400
    huge = LayerVectors(
        w_code=np.full((1, inputs), small.max_weight_code, np.uint8),
        w_zero=np.zeros(1, np.uint8),
        level=np.full((1, inputs), small.max_salient_code << small.max_salient_shift, np.int32),
        salient=np.ones((1, inputs), np.bool_),
        zero=np.zeros(1, np.uint8),
        shift=np.full(1, small.max_salient_shift, np.uint8),
        offset=np.zeros(1, np.int8),
        theta=np.ones(1, np.uint32),
        bias=np.zeros(1, np.int32),
        w_low=np.zeros((1, 0), np.uint8),
    )
    assert run_layer(huge, small).saturated.all()
    save_vectors(tmp_path / "in.npz", huge)
    options = ["--port", "sim", "--config", config, "--vectors", tmp_path / "in.npz", "--cache", build_cache]
    result = run(*options)
    assert result.exit_code == 1
    assert "1 outputs, 0 mismatches, 1 saturated: SATURATED" in result.stdout


@pytest.mark.usefixtures("vectors")
def test_a_board_that_does_not_answer_is_one_line_and_exit_status_1(tmp_path: Path, config: Path) -> None:
    master, slave = os.openpty()
    try:
        result = run("--port", os.ttyname(slave), "--config", config, "--vectors", tmp_path / "in.npz")
    finally:
        os.close(master)
        os.close(slave)
    assert isinstance(result.exception, LinkError)
    assert "no answer at 1000000 bits a second within 5 s" in str(result.exception)
    assert "\n" not in str(result.exception)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (
            ["--port", "/dev/none", "--vectors", "in.npz"],
            "port /dev/none: cannot be opened (No such file or directory)",
        ),
        (["--port", "/dev/none"], "run: expected either --vectors IN.npz, or --checkpoint DIR with --layer NAME"),
        (["--port", "/dev/none", "--vectors", "in.npz", "--drop", "0.01"], "run: --corrupt and --drop are for --port"),
        (["--port", "/dev/none", "--vectors", "in.npz", "--netlist", "synth"], "run: --netlist is for --port sim"),
        (["--port", "sim", "--vectors", "none.npz"], "none.npz: cannot read the file"),
    ],
)
@pytest.mark.usefixtures("vectors")
def test_bad_input_is_one_line(
    arguments: list[str], expected: str, tmp_path: Path, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run("--config", config, *arguments)
    assert isinstance(result.exception, InputError)
    assert str(result.exception).startswith(expected)
    assert "\n" not in str(result.exception)
