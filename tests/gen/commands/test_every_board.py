from pathlib import Path

import typer
from typer.testing import CliRunner

from spikequant.gen.commands.every_board import every_board
from spikequant.golden.support.errors import InputError


def test_an_unknown_board_or_preset_is_refused_before_anything_is_built(tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(every_board)
    for options, words in ((["--board", "nexys"], "unknown board"), (["--config", "huge"], "unknown preset")):
        result = CliRunner().invoke(app, [*options, "--out", str(tmp_path / "out")])
        assert isinstance(result.exception, InputError)
        assert words in str(result.exception)
    assert list(tmp_path.iterdir()) == []
