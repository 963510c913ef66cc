from pathlib import Path

from typer.testing import CliRunner

from spikequant.gen.cli import app
from spikequant.golden.support.errors import InputError


def test_an_unknown_board_or_preset_is_refused_before_anything_is_built(tmp_path: Path) -> None:
    for options, words in ((["--board", "nexys"], "unknown board"), (["--config", "huge"], "unknown preset")):
        result = CliRunner().invoke(app, ["every-board", *options, "--out", str(tmp_path / "out")])
        assert isinstance(result.exception, InputError)
        assert words in str(result.exception)
    assert list(tmp_path.iterdir()) == []
