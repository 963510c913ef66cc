"""The command ``tokens``, on a small traced model."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from spikequant.fpga.sdram.timing import DEFAULT_CHIP
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


def test_a_board_has_a_budget(traced_cache: Path, tmp_path: Path) -> None:
    file = tmp_path / "budget.json"
    options = ["--tokens", 6, "--cache", traced_cache, "--json", file]
    result = tokens(*options, "--board", "ulx3s_25f", "--baud", 3_000_000)
    assert result.exit_code == 0, result.output
    figures = json.loads(file.read_text())
    assert (figures["board"], figures["config"], figures["memory"]) == ("ulx3s_25f", "base", DEFAULT_CHIP)
    assert (figures["clock_mhz"], figures["memory_clock_mhz"], figures["baud"]) == (60, 120, 3_000_000)
    assert [need["kind"] for need in figures["kinds"]] == ["q", "down"]
    assert figures["binds"] == "line"
    assert f"the line binds: {figures['tokens_per_second']:.3g} tokens/s" in result.stdout
    assert "output head" in result.stdout

    # a board without a memory gets all weights over its line
    result = tokens(*options, "--board", "ecpix5_85f", "--config", "tiny")
    assert result.exit_code == 0, result.output
    slower = json.loads(file.read_text())
    assert (slower["memory"], slower["stored_layers"], slower["upload_bytes"]) == (None, 0, 0)
    assert slower["total"]["line"]["bytes_sent"] > figures["total"]["line"]["bytes_sent"]
    assert slower["tokens_per_second"] < figures["tokens_per_second"]
    assert tokens(*options, "--board", "ulx3s_25f", "--memory", "none").exit_code == 0
    assert json.loads(file.read_text())["memory"] is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--board", "nobody"], "board: unknown board 'nobody'"),
        (["--board", "ecpix5_85f", "--memory", DEFAULT_CHIP], "ecpix5_85f has no SDR SDRAM"),
        (["--board", "ulx3s_85f", "--mhz", 100], "expected --frequency with --board"),
        (["--memory", DEFAULT_CHIP], "are for a board, expected --board"),
    ],
)
def test_options_of_the_other_kind_are_refused(options: list[object], message: str) -> None:
    refused = tokens(*options)
    assert isinstance(refused.exception, InputError)
    assert message in str(refused.exception)
