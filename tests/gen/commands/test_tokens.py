"""The command ``tokens``, on a small traced model."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from spikequant.gen.cli import app
from spikequant.golden.support.errors import InputError


def tokens(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["tokens", *map(str, arguments)])


def test_both_arrays_are_counted(traced_cache: Path, tmp_path: Path) -> None:
    file = tmp_path / "rates.json"
    options = ["--shape", "64x2", "--tokens", 6, "--cache", traced_cache, "--json", file]
    result = tokens(*options, "--mhz", 100, "--twin-mhz", 150, "--batches", "1,6")
    assert result.exit_code == 0, result.output
    figures = json.loads(file.read_text())
    assert figures["clock_mhz"] == {"spiking": 100, "mac": 150}
    rates = figures["rates"]
    assert [one["batch"] for one in rates] == 3 * [1] + 3 * [6]
    for on_chip, streamed, skipped in (rates[:3], rates[3:]):
        assert on_chip["ours"] > skipped["ours"] >= streamed["ours"] > 0
        assert on_chip["MAC twin"] > streamed["MAC twin"]
    assert rates[1]["megabytes_per_token"] == pytest.approx(6 * rates[4]["megabytes_per_token"])
    assert f"wrote {file}" in result.stdout
    for more, message in (
        (["--mhz", 100, "--batches", "7"], "expected numbers from 1 to the 6 traced tokens"),
        (["--figures", tmp_path / "absent.json"], "no clock of 64x2 on the LFE5U-85F"),
    ):
        refused = tokens(*options, *more)
        assert isinstance(refused.exception, InputError)
        assert message in str(refused.exception)
