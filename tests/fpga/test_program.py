import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from fpga.boards import BOARDS
from fpga.build import BITSTREAM
from fpga.cli import add_commands
from fpga.program import find_loader, program_command, run_loader
from fpga.toolchain import ToolError
from golden.errors import InputError


def run(*arguments: object) -> Result:
    app = typer.Typer()
    app.callback()(lambda: None)
    add_commands(app)
    return CliRunner().invoke(app, ["program", *map(str, arguments)])


def put_bitstream(path: Path, device: str) -> Path:
    """The beginning of what ecppack writes."""
    path.write_bytes(b"\xff\x00Part: %s-6CABGA381\x00\xff\xff" % device.encode())
    return path


def put_loader(folder: Path, script: str) -> list[str]:
    path = folder / "loader"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return [str(path)]


@pytest.mark.parametrize("name", BOARDS)
def test_a_dry_run_shows_the_command_for_every_board(tmp_path: Path, name: str) -> None:
    board = BOARDS[name]
    file = put_bitstream(tmp_path / BITSTREAM, board.device)
    result = run("--board", name, tmp_path, "--dry-run", "--json", tmp_path / "figures.json")
    assert result.exit_code == 0, result.output
    assert result.stdout == f"{find_loader()} --board {board.loader} {file}\n"
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert (figures["board"], figures["programmed"]) == (name, False)
    assert figures["command"][1:] == ["--board", board.loader, str(file)]


def test_the_loader_knows_every_board() -> None:
    content = find_loader().read_bytes()
    assert all(board.loader.encode() + b"\0" in content for board in BOARDS.values())


def test_flash_is_only_written_when_asked(tmp_path: Path) -> None:
    command = program_command(tmp_path / "loader", BOARDS["ulx3s_85f"], tmp_path / "a.bit", flash=True)
    assert command[1:] == ["--board", "ulx3s", "--write-flash", str(tmp_path / "a.bit")]


def test_a_loader_that_fails_is_told_with_its_last_words(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match=r"^openFPGALoader failed \(status 1\): unable to open ftdi device: -3$"):
        run_loader(put_loader(tmp_path, "echo write to flash; echo 'unable to open ftdi device: -3'; echo; exit 1"))
    run_loader(put_loader(tmp_path, "exit 0"))


def test_a_loader_that_cannot_start_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot start: No such file or directory$"):
        run_loader([str(tmp_path / "none")])
    script = "echo 'loader: error while loading shared libraries: libftdi1.so.2: cannot open' >&2; exit 127"
    with pytest.raises(InputError, match=r"cannot start without the library libftdi1.so.2, expected it installed"):
        run_loader(put_loader(tmp_path, script))


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["none.bit"], "none.bit: cannot read the bitstream: No such file or directory"),
        (["."], "spikequant.bit: cannot read the bitstream: No such file or directory"),
        (["text.bit"], "text.bit: no bitstream of an ECP5, expected one that `spikequant synth` made"),
        (["other.bit"], "other.bit: is for the part LFE5U-25F-6CABGA381, expected LFE5U-85F of board ulx3s_85f"),
        (["other.bit", "--board", "arty"], "board: unknown board 'arty', expected one of ulx3s_25f, "),
    ],
)
def test_bad_input_is_one_line(
    arguments: list[str], expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    put_bitstream(tmp_path / "other.bit", "LFE5U-25F")
    (tmp_path / "text.bit").write_text("hello")
    result = run("--dry-run", *arguments)
    assert isinstance(result.exception, InputError)
    assert str(result.exception).startswith(expected)
    assert "\n" not in str(result.exception)
