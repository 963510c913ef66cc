"""A bitstream, the weights of two layers in it, and what its block RAMs then do on the netlist of a board."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from spikequant.fpga.baked.bake import BAKEABLE, BAKED, CONFIGURATION, MARKER, bake, make_marker, read_bakeable
from spikequant.fpga.baked.ecpbram import ecpbram_run
from spikequant.fpga.baked.image import image_text, read_image, weights_image
from spikequant.fpga.baked.program import placed_program
from spikequant.fpga.build.build import BITSTREAM, find_tools
from spikequant.fpga.toolchain import ToolError, ToolRun
from spikequant.gen.cli import app
from spikequant.golden.layer.random_layers import random_vectors
from spikequant.golden.layer.spec import PRESETS, Spec, load_spec
from spikequant.golden.layer.vectors import LayerVectors, save_vectors
from spikequant.golden.support.errors import InputError


def spikequant(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def refusal(*arguments: object) -> str:
    """Error message of bad input."""
    error = spikequant(*arguments).exception
    assert isinstance(error, InputError)
    return str(error)


def layer(spec: Spec, *, seed: int) -> LayerVectors:
    """Two tiles of outputs with low halves."""
    return random_vectors(spec, outputs=11, inputs=5, wide=2, tokens=3, salient_fraction=0.0, max_shift=0, seed=seed)


def test_a_bitstream_takes_weights_and_a_board_runs_on_them(
    tmp_path: Path, smallest_file: Path, build_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = load_spec(str(smallest_file))
    build, figures_file = tmp_path / "build", tmp_path / "figures.json"
    cached = ["--cache", build_cache, "--json", figures_file]
    options = ["--config", smallest_file, "--board", "ulx3s_25f", "--frequency", 30, "--bakeable", "--out", build]
    options += ["--seeds", 1]
    result = spikequant("synth", *options, *cached)
    assert result.exit_code == 0, result.output
    assert "met" in result.stdout
    figures = json.loads(figures_file.read_text())
    assert (figures["board"], figures["device"], figures["timing_met"]) == ("ulx3s_25f", "LFE5U-25F", True)
    assert len(figures["fmax_mhz"]) == 1
    assert figures["fmax_mhz"][0] >= figures["frequency_mhz"] == pytest.approx(30, rel=0.02)
    assert all(figures[name] > 0 for name in ("luts", "ffs", "ebrs"))
    assert (build / figures["bitstream"]).stat().st_size > 100_000
    assert read_bakeable(build).spec == spec

    files, folders = [tmp_path / "1.npz", tmp_path / "2.npz"], [tmp_path / "baked1", tmp_path / "baked2"]
    for seed, (vectors, baked) in enumerate(zip(files, folders, strict=True), start=1):
        save_vectors(vectors, layer(spec, seed=seed))
        result = spikequant("bake", build, "--vectors", vectors, "--out", baked, *cached)
        assert result.exit_code == 0, result.output
        assert f"{vectors}: 11 x 5 weights in 4 block RAMs" in result.stdout
        assert {path.name for path in baked.iterdir()} == {BITSTREAM, BAKED}
        assert json.loads(figures_file.read_text())["seconds"] > 0
    for folder in (build, *folders):
        check_that_its_board_is_known(folder)
    assert len({(folder / BITSTREAM).read_bytes() for folder in (build, *folders)}) == 3

    sim = ["run", "--port", "sim", "--config", smallest_file, *cached]
    run = [*sim, "--baked", folders[0]]
    result = spikequant(*run, "--vectors", files[0])
    assert result.exit_code == 0, result.output
    assert "33 outputs, 0 mismatches, 0 saturated: equal" in result.stdout
    assert json.loads(figures_file.read_text())["weights"] == "bitstream"

    expected = f"run: the bitstream in {folders[0]} has the weights of {files[0]}, expected this layer's"
    assert refusal(*run, "--vectors", files[1]) == expected
    expected = f"bake: {build} is the build's own folder, expected another one for --out"
    assert refusal("bake", build, "--vectors", files[0], "--out", build) == expected

    check_that_mistakes_are_noticed(build, tmp_path / "lost", layer(spec, seed=1), build_cache, monkeypatch)
    record = json.loads((folders[0] / BAKED).read_text())
    name = next(iter(record["blocks"]))
    (folders[0] / BAKED).write_text(json.dumps({**record, "blocks": {**record["blocks"], name: 999}}))
    expected = f"bitstream {folders[0] / BITSTREAM}: has no block RAM 999, expected {name} of {BAKED}"
    assert refusal(*run, "--vectors", files[0]) == expected
    (folders[0] / BITSTREAM).write_bytes((build / BITSTREAM).read_bytes())
    expected = f"does not match {BAKED}, expected both from one run"
    assert refusal(*run, "--vectors", files[0]).endswith(expected)

    # a record of what is no bitstream
    record = json.loads((folders[1] / BAKED).read_text())
    (folders[1] / BITSTREAM).write_bytes(b"none")
    record["bitstream_sha256"] = hashlib.sha256(b"none").hexdigest()
    (folders[1] / BAKED).write_text(json.dumps(record))
    result = spikequant(*sim, "--baked", folders[1], "--vectors", files[1])
    assert isinstance(result.exception, ToolError)
    assert str(result.exception).startswith(f"{files[1]}: ecpunpack failed")


def check_that_its_board_is_known(folder: Path) -> None:
    assert spikequant("program", folder, "--board", "ulx3s_25f", "--dry-run").exit_code == 0
    expected = f"{folder / BITSTREAM}: is for the board ulx3s_25f, expected a bitstream for colorlight_i5"
    assert refusal("program", folder / BITSTREAM, "--board", "colorlight_i5", "--dry-run") == expected


def check_that_mistakes_are_noticed(
    build: Path, out: Path, vectors: LayerVectors, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def careless(arguments: Sequence[str], inputs: Mapping[str, bytes], outputs: Sequence[str]) -> ToolRun:
        """A tool that loses a weight."""
        new = inputs["new.hex"]
        place = next(place for place, digit in enumerate(new) if digit in b"123456789abcdef")
        return ecpbram_run(arguments, {**inputs, "new.hex": new[:place] + b"0" + new[place + 1 :]}, outputs)

    spec = read_bakeable(build).spec
    image = weights_image(spec, placed_program(spec, vectors).packets)
    arguments: dict[str, Any] = {"layer": "it", "tools": find_tools(), "out": out, "cache": cache}
    with monkeypatch.context() as patched:
        patched.setattr("spikequant.fpga.baked.bake.ecpbram_run", careless)
        with pytest.raises(ToolError, match=r"^ecpbram: .* has other weights than expected$"):
            bake(build, image, **arguments)

    # a marker of another build
    kept = (build / MARKER).read_text()
    changed = read_image(kept, spec, source=MARKER)
    changed[3, 4] ^= 1
    (build / MARKER).write_text(image_text(changed))
    expected = f"^build {build}: {MARKER} and {CONFIGURATION} do not belong together, expected one build's$"
    with pytest.raises(InputError, match=expected):
        bake(build, image, **arguments)
    assert not out.exists()


def test_a_folder_without_such_a_build_is_refused(tmp_path: Path) -> None:
    vectors = tmp_path / "in.npz"
    save_vectors(vectors, layer(PRESETS["tiny"], seed=1))
    bake_it = ["bake", tmp_path, "--vectors", vectors, "--out", tmp_path / "out"]
    missing = "cannot read the file: No such file or directory, expected what `spikequant"
    assert refusal(*bake_it) == f"build {tmp_path / BAKEABLE}: {missing} synth --bakeable` writes"
    (tmp_path / BAKEABLE).write_text("{}")
    assert refusal(*bake_it) == f"build {tmp_path / BAKEABLE}: board: Field required"
    assert not (tmp_path / "out").exists()

    run_it = ["run", "--port", "/dev/none", "--config", "tiny", "--vectors", vectors, "--baked", tmp_path]
    assert refusal(*run_it) == f"bitstream {tmp_path / BAKED}: {missing} bake` writes"
    expected = "run: --baked and --memory both give the source of the weights, expected one of them"
    assert refusal(*run_it, "--memory", "AS4C16M16SA-7") == expected


def test_the_marker_leaves_the_row_of_idle_lanes_zero(tmp_path: Path) -> None:
    spec = PRESETS["tiny"]
    marker = make_marker(spec, cache=tmp_path / "first").image
    assert not marker[0].any()
    assert 0.45 < marker.mean() < 0.55
    np.testing.assert_array_equal(marker, make_marker(spec, cache=tmp_path / "second").image)
