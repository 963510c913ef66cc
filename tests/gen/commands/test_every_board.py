import json
from dataclasses import replace
from pathlib import Path

import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner, Result

from spikequant.fpga.boards import DEVICES, SIZED
from spikequant.gen.commands import every_board
from spikequant.gen.commands.every_board import Built, boards_table, main
from spikequant.golden.layer.spec import PRESETS
from spikequant.golden.support.errors import InputError


def run(*arguments: object) -> Result:
    app = typer.Typer()
    app.command()(main)
    return CliRunner().invoke(app, list(map(str, arguments)))


def test_each_part_has_a_preset() -> None:
    assert set(SIZED) == set(DEVICES)
    assert set(SIZED.values()) <= set(PRESETS)


@pytest.mark.long
def test_a_board_is_built_twice_and_compared(
    tmp_path: Path, build_cache: Path, smallest_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[Built]] = []

    def table(built: list[Built]) -> object:
        seen.append(built)
        return boards_table(built)

    monkeypatch.setattr(every_board, "boards_table", table)
    figures_file = tmp_path / "figures.json"
    options = ["--board", "ulx3s_25f", "--config", smallest_file, "--frequency", 30, "--jobs", 1, "--twice"]
    result = run(*options, "--out", tmp_path / "out", "--cache", build_cache, "--json", figures_file)
    assert result.exit_code == 0, result.output
    figures = json.loads(figures_file.read_text())
    assert figures["ok"]
    (board,) = figures["boards"]
    assert (board["board"], board["timing_met"], board["ok"]) == ("ulx3s_25f", True, True)
    assert board["second_sha256"] == board["bitstream_sha256"]
    assert (tmp_path / "out" / "ulx3s_25f" / board["bitstream"]).is_file()

    ((built,),) = seen
    other = replace(built, again="0" * 64)
    assert built.ok
    assert not other.ok
    console = Console(width=80)
    with console.capture() as shown:
        console.print(boards_table([built, other, replace(built, again=None)]))
    assert [line.split()[-1] for line in shown.get().splitlines()[-3:]] == ["same", "OTHER", "-"]


def test_an_unknown_board_or_preset_is_refused_before_anything_is_built(tmp_path: Path) -> None:
    for options, words in ((["--board", "nexys"], "unknown board"), (["--config", "huge"], "unknown preset")):
        result = run(*options, "--out", tmp_path / "out")
        assert isinstance(result.exception, InputError)
        assert words in str(result.exception)
    assert list(tmp_path.iterdir()) == []
