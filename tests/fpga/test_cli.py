import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from fpga.cli import add_commands
from golden.errors import InputError


def run(*arguments: object) -> Result:
    app = typer.Typer()
    app.callback()(lambda: None)
    add_commands(app)
    return CliRunner().invoke(app, ["synth", *map(str, arguments)])


def test_synth_makes_a_bitstream_and_its_figures(tmp_path: Path, build_cache: Path, smallest_file: Path) -> None:
    figures_file = tmp_path / "figures.json"
    options = ["--config", smallest_file, "--board", "ulx3s_25f", "--out", tmp_path / "out", "--cache", build_cache]
    result = run(*options, "--frequency", 30, "--json", figures_file)
    assert result.exit_code == 0, result.output
    assert "met" in result.stdout
    figures = json.loads(figures_file.read_text())
    assert (figures["board"], figures["device"], figures["timing_met"]) == ("ulx3s_25f", "LFE5U-25F", True)
    assert len(figures["fmax_mhz"]) == 1
    assert figures["fmax_mhz"][0] >= figures["frequency_mhz"] == pytest.approx(30, rel=0.02)
    assert all(figures[name] > 0 for name in ("luts", "ffs", "ebrs"))
    assert (tmp_path / "out" / figures["bitstream"]).stat().st_size > 100_000


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--board", "nexys"], "board: unknown board 'nexys'"),
        (["--config", "huge"], "config 'huge': unknown preset"),
        (["--frequency", "nan"], "frequency: nan MHz"),
        (["--baud", "3"], "baud: 3 "),
    ],
)
def test_bad_input_is_one_line(arguments: list[str], expected: str, tmp_path: Path, build_cache: Path) -> None:
    result = run("--config", "tiny", "--out", tmp_path, "--cache", build_cache, *arguments)
    assert isinstance(result.exception, InputError)
    assert str(result.exception).startswith(expected)
    assert "\n" not in str(result.exception)
    assert list(tmp_path.iterdir()) == []
