from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from spikequant.gen.cli import app
from spikequant.golden.support.errors import InputError


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["synth", *map(str, arguments)])


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--board", "nexys"], "board: unknown board 'nexys'"),
        (["--config", "huge"], "config 'huge': unknown preset"),
        (["--frequency", "100000"], "frequency: 100000 MHz"),
        (["--frequency", "max", "--board", "nexys"], "board: unknown board 'nexys'"),
        (["--baud", "3"], "baud: 3 "),
        (["--bakeable", "--memory", "AS4C16M16SA-7"], "synth: --bakeable and --memory both give the source"),
    ],
)
def test_bad_input_is_one_line(arguments: list[str], expected: str, tmp_path: Path, build_cache: Path) -> None:
    result = run("--config", "tiny", "--out", tmp_path, "--cache", build_cache, *arguments)
    assert isinstance(result.exception, InputError)
    assert str(result.exception).startswith(expected)
    assert "\n" not in str(result.exception)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("clock", ["fast", "nan", "inf", "0", "-5", "MAX"])
def test_a_clock_is_a_number_or_max(clock: str, tmp_path: Path) -> None:
    result = run("--out", tmp_path, "--frequency", clock)
    assert result.exit_code == 2
    assert f"'{clock}' is no clock, expected MHz or max" in " ".join(result.output.replace("│", " ").split())
