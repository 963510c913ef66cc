"""The whole command, on a model that is already traced."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from spikequant.gen.cli import app
from spikequant.golden.support.errors import InputError


def bench(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["bench", *map(str, arguments)])


def test_what_does_not_fit_is_skipped_and_reported(traced_cache: Path, tmp_path: Path) -> None:
    options = ["--shapes", "128x8,64x8", "--parts", "25F", "--seeds", 2, "--tokens", 6, "--toggles", ""]
    result = bench("--out", tmp_path / "out", "--cache", traced_cache, *options)
    assert result.exit_code == 0, result.output
    figures = json.loads((tmp_path / "out" / "benchmarks.json").read_text())
    assert [(one["array"], one["shape"]) for one in figures["arrays"]] == [
        ("spiking", "64x8"),
        ("mac", "64x8"),
        ("spiking", "128x8"),
        ("mac", "128x8"),
    ]
    assert figures["arrays"][0]["skipped"] == "its weights alone take 60 EBRs, the LFE5U-25F has 56"
    assert figures["pareto"] == {"LFE5U-25F": []}
    assert (tmp_path / "out" / "throughput.png").stat().st_size > 5000
    assert result.stdout.count("skipped: its weights alone") == 4
    assert "missing" not in result.stdout


def test_what_is_not_built_is_reported(traced_cache: Path, tmp_path: Path) -> None:
    options = ["--shapes", "8x2", "--parts", "25F", "--seeds", 2, "--tokens", 6, "--no-build", "--toggles", "8x2"]
    result = bench("--out", tmp_path / "out", "--cache", traced_cache, *options)
    assert result.exit_code == 0, result.output
    figures = json.loads((tmp_path / "out" / "benchmarks.json").read_text())
    assert figures["missing"] == [f"{array} 8x2 on LFE5U-25F: seed 1, 2" for array in ("spiking", "mac")]
    assert figures["work"]["8x2"]["all"]["layers"] == 4
    assert figures["toggles"] == []
    assert result.stdout.count("missing: ") == 2
    assert result.stdout.count("not built yet") == 2


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--parts", "12F"], "part '12F': unknown, expected some of LFE5U-25F"),
        (["--arrays", "gpu"], "array 'gpu': unknown, expected some of spiking, mac"),
        (["--toggles", "64"], "shape '64': unknown, expected NEURONSxLANES[xCLUSTERS], such as 64x4"),
        (["--shapes", "8x3"], "shape '8x3': "),
        (["--checkpoint", "nowhere"], "checkpoint nowhere: no such checkpoint"),
    ],
)
def test_bad_input_is_one_line(arguments: list[str], expected: str, tmp_path: Path) -> None:
    result = bench("--out", tmp_path / "out", *arguments)
    assert isinstance(result.exception, InputError)
    assert str(result.exception).startswith(expected)
    assert "\n" not in str(result.exception)
    assert list(tmp_path.iterdir()) == []
