"""The command line: groups, lists, and bad input with exit status 2, one clear line, and nothing left behind."""

import inspect
import json
import subprocess
import sys
from dataclasses import fields
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest

import spikequant.gen.commands
from spikequant.fpga.boards import BOARDS
from spikequant.gen.cli import COMMANDS, main
from spikequant.gen.commands.options import complete_board, complete_chip, complete_preset, complete_recipe
from spikequant.golden.evaluation.methods import METHODS
from spikequant.golden.layer.random_layers import random_vectors
from spikequant.golden.layer.spec import PRESETS
from spikequant.golden.layer.vectors import LayerVectors
from spikequant.golden.quantizer.recipe import RECIPES


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """Runs a command line in a folder of its own; gives status, output and error lines."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["spikequant", *arguments])
        with pytest.raises(SystemExit) as stop:
            main()
        captured = capsys.readouterr()
        return stop.value.code or 0, captured.out, captured.err

    return run


def write_vectors(path: Path, **changes: object) -> None:
    """A small layer as .npz with some arrays replaced, or left out where None."""
    vectors: LayerVectors = random_vectors(PRESETS["tiny"], outputs=3, inputs=5, tokens=2, seed=1)
    arrays = {item.name: getattr(vectors, item.name) for item in fields(vectors)} | changes
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})


def assert_refused(result: tuple[int, str, str], *words: str) -> None:
    status, _, error = result
    assert status == 2, error
    assert error.count("\n") == 1, error
    assert "Traceback" not in error
    for word in words:
        assert word in error


@pytest.mark.parametrize("command", [command for group in COMMANDS.values() for command in group])
def test_every_command_has_help_and_the_name_of_its_file(run, command):
    name = Path(inspect.getfile(inspect.unwrap(command))).stem.replace("_", "-")
    status, output, _ = run(name, "--help")
    assert status == 0
    assert "--json" in output or name in ("generate", "bench", "prices")


def test_every_file_is_a_command():
    files = {path.stem for path in Path(spikequant.gen.commands.__file__).parent.glob("*.py")}
    names = {inspect.unwrap(command).__module__.rpartition(".")[2] for group in COMMANDS.values() for command in group}
    assert files - {"__init__", "options"} == names


def test_help_has_groups(run, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    status, output, _ = run("--help")
    assert status == 0
    places = [output.index(f"─ {group} ─") for group in COMMANDS]
    assert places == sorted(places)
    assert places[0] < output.index("│ quantize ") < places[1] < output.index("│ generate ") < places[2]


def test_the_version(run):
    assert run("--version")[:2] == (0, f"spikequant {version('spikequant')}\n")


@pytest.mark.parametrize(
    ("command", "names"),
    [
        ("presets", list(PRESETS)),
        ("boards", list(BOARDS)),
        ("recipes", list(RECIPES)),
        ("methods", list(METHODS)),
    ],
)
def test_lists_have_a_line_for_each_choice(run, monkeypatch, command, names):
    monkeypatch.setenv("COLUMNS", "200")
    status, output, error = run(command, "--json", "choices.json")
    assert status == 0, error
    *lines, written = output.splitlines()
    assert [line.split()[0] for line in lines] == names
    assert all(len(line.split()) > 1 for line in lines)
    assert written == "wrote choices.json"
    choices = json.loads(Path("choices.json").read_text())["choices"]
    assert [choice["name"] for choice in choices] == names
    assert all(choice["summary"] for choice in choices)


def test_names_are_completed():
    assert complete_preset("max") == ["max45", "max85"]
    assert complete_board("ecp5") == ["ecp5_evn"]
    assert complete_recipe("research-g") == ["research-groups"]
    assert complete_chip("AS4C32") == ["AS4C32M16SB-7"]


def test_help_loads_nothing_heavy():
    program = "import sys, spikequant.gen.cli; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "numpy", "amaranth", "transformers", "matplotlib", "distributed"} & set(loaded)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"w_code": np.zeros((3, 4), np.uint8)}, ["level", "[2, 5]", "K=4"]),
        ({"w_zero": np.zeros((3, 1), np.uint8)}, ["w_zero", "[3, 1]"]),
        ({"theta": None}, ["theta", "missing"]),
        ({"theta": np.array([1, 0, 1], np.uint32)}, ["theta[1]", "0"]),
        ({"w_code": np.full((3, 5), 16, np.uint8)}, ["w_code[0, 0]", "16", "0..15"]),
        ({"w_zero": np.array([0, 0, 16], np.uint8)}, ["w_zero[2]", "16"]),
        ({"level": np.full((2, 5), np.nan)}, ["level", "nan", "[0, 0]"]),
        ({"bias": np.zeros(3)}, ["bias", "float64", "int32"]),
        ({"shift": np.array([0, 12], np.uint8)}, ["shift[1]", "12"]),
        ({"surprise": np.zeros(1)}, ["surprise"]),
        ({"wide": np.array([0], np.int32), "w_low": None}, ["wide", "w_low"]),
        ({"wide": np.array([5], np.int32), "w_low": np.zeros((3, 1), np.uint8)}, ["wide[0]", "5"]),
        (
            {"level": np.full((2, 5), 16, np.int32), "salient": np.zeros((2, 5), bool), "zero": np.zeros(2, np.uint8)},
            ["level[0, 0]", "16"],
        ),
    ],
)
def test_bad_vectors(run, tmp_path, changes, words):
    write_vectors(tmp_path / "in.npz", **changes)
    result = run("cosim", "--config", "tiny", "--vectors", "in.npz", "--out", "out.npz", "--json", "result.json")
    assert_refused(result, "in.npz", *words)
    assert [path.name for path in tmp_path.iterdir()] == ["in.npz"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["generate", "--config", "huge", "--out", "out"], ["huge", "tiny, base, max45, max85"]),
        (["generate", "--config", "bad.toml", "--out", "out"], ["bad.toml", "nerons", "neurons"]),
        (["generate", "--config", "syntax.toml", "--out", "out"], ["syntax.toml", "TOML"]),
        (["generate", "--config", "none.toml", "--out", "out"], ["none.toml", "cannot read"]),
        (["generate", "--config", "tiny", "--out", "bad.toml/out"], ["bad.toml/out", "cannot write"]),
        (["generate"], ["--out"]),
        (["cosim", "--config", "tiny"], ["--vectors", "--checkpoint"]),
        (["cosim", "--config", "tiny", "--vectors", "none.npz"], ["none.npz", "cannot read"]),
        (["cosim", "--config", "tiny", "--vectors", "bad.toml"], ["bad.toml", ".npz"]),
        (["cosim", "--checkpoint", "nowhere", "--layer", "x"], ["nowhere"]),
        (["eval", "broken.gguf"], ["broken.gguf"]),
        (["eval", "--method", "magic"], ["magic", "spikequant"]),
        (["quantize", "none.gguf", "--out", "out"], ["none.gguf"]),
        (["quantize", "./nosuchmodel", "--out", "out"], ["nosuchmodel"]),
        (["quantize", "--calibration", "none.txt", "--out", "out"], ["none.txt"]),
        (["bake", "nowhere", "--vectors", "in.npz", "--out", "out"], ["nowhere"]),
        (["formal", "--only", "nothing", "--out", "out"], ["no property nothing", "--list"]),
        (["every-board", "--board", "arduino", "--out", "out"], ["arduino", "ulx3s_85f"]),
        (["bench", "--seeds", "0"], ["Invalid value for '--seeds'"]),
        (["verify", "--seeds", "few", "--out", "out"], ["seeds 'few'", "1-40"]),
        (["sweep", "none.toml"], ["none.toml", "cannot read"]),
        (["cosim", "--config", "tiny", "--vectors", "none.npz", "--out", "a/b/out.npz"], ["none.npz"]),
        (["synth", "--config", "tiny", "--board", "arduino", "--out", "out"], ["arduino", "ulx3s_85f"]),
        (["juggle"], ["juggle"]),
        (["generate", "--colour", "red", "--out", "out"], ["--colour"]),
    ],
)
def test_bad_input(run, tmp_path, arguments, words):
    given = {"bad.toml": "nerons = 8\n", "syntax.toml": "neurons = \n", "broken.gguf": "GGUF but not really"}
    for name, text in given.items():
        (tmp_path / name).write_text(text)
    assert_refused(run(*arguments), *words)
    assert {path.name for path in tmp_path.rglob("*")} == set(given)


def test_missing_tool_is_named(run, tmp_path, monkeypatch):
    write_vectors(tmp_path / "in.npz")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert_refused(run("cosim", "--config", "tiny", "--vectors", "in.npz"), "g++", "not found")


@pytest.mark.parametrize("testbench", [False, True])
def test_generate_writes_the_verilog_and_its_package(run, tmp_path, testbench):
    status, output, _ = run("generate", "--config", "tiny", "--out", "out", *["--testbench"] * testbench)
    assert status == 0
    first, *written = output.splitlines()
    assert first.startswith("8 neurons x 2 lanes")
    names = ["spikequant.v", "spikequant.vlt", "manifest.json"]
    names += ["packets.json", "spikequant.core", "spikequant_litex.py", *["testbench"] * testbench]
    assert written == [f"wrote out/{name}" for name in names]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(names)


def test_a_bench_of_primitives_is_refused(run, tmp_path):
    status, _, error = run("generate", "--config", "tiny", "--out", "out", "--style", "ecp5", "--testbench")
    assert (status, error.count("\n")) == (2, 1)
    assert "expected portable" in error
    assert not (tmp_path / "out").exists()


def test_cosim_of_vectors(run, tmp_path):
    write_vectors(tmp_path / "in.npz")
    status, output, error = run(
        *("cosim", "--config", "tiny", "--vectors", "in.npz", "--out", "out.npz", "--json", "result.json")
    )
    assert status == 0, error
    assert "0 mismatches" in output
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["ok"] is True
    assert result["mismatches"] == 0
    for name, kind in {
        "output_bits": int,
        "theta_fraction_bits": int,
        "cycles": int,
        "spikes": int,
        "beats": int,
        "lane_utilisation": float,
        "sim_cycles_per_second": float,
        "seconds": float,
    }.items():
        assert type(result[name]) is kind, name
    with np.load(tmp_path / "out.npz") as out:
        assert {name: (out[name].dtype, out[name].shape) for name in out.files} == {
            "membrane": (np.int64, (2, 3)),
            "code": (np.int32, (2, 3)),
            "saturated": (np.bool_, (2, 3)),
        }


def test_saturation_fails_unless_allowed(run, tmp_path):
    (tmp_path / "narrow.toml").write_text('preset = "tiny"\nmembrane_bits = 8\n')
    changes = {
        "w_code": np.full((3, 5), 15, np.uint8),
        "w_zero": np.zeros(3, np.uint8),
        "level": np.full((2, 5), 15, np.int32),
        "salient": np.zeros((2, 5), bool),
        "zero": np.zeros(2, np.uint8),
        "wide": None,
        "w_low": None,
    }
    write_vectors(tmp_path / "in.npz", **changes)
    arguments = ["cosim", "--config", "narrow.toml", "--vectors", "in.npz", "--out", "out.npz", "--json", "r.json"]
    status, output, _ = run(*arguments)
    result = json.loads((tmp_path / "r.json").read_text())
    assert (status, result["ok"], result["saturated"], result["mismatches"]) == (1, False, 6, 0)
    assert "SATURATED" in output
    with np.load(tmp_path / "out.npz") as out:
        assert out["saturated"].all()
    assert run(*arguments, "--allow-saturation")[0] == 0


def test_installed_command_runs():
    command = Path(sys.executable).with_name("spikequant")
    arguments = ["generate", "--config", "no", "--out", "x"]
    done = subprocess.run([command, *arguments], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("spikequant: config 'no'")
