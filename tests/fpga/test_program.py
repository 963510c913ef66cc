import hashlib
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from spikequant.fpga.baked.bake import BAKED
from spikequant.fpga.boards import BOARDS
from spikequant.fpga.build.build import BITSTREAM, RECORD
from spikequant.fpga.program import find_loader, program_command, run_loader
from spikequant.fpga.toolchain import ToolError
from spikequant.gen.cli import app
from spikequant.golden.support.errors import InputError


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["program", *map(str, arguments)])


PARTS = {
    "ulx3s_25f": "LFE5U-25F-6CABGA381",
    "ulx3s_45f": "LFE5U-45F-6CABGA381",
    "ulx3s_85f": "LFE5U-85F-6CABGA381",
    "ecpix5_45f": "LFE5UM5G-45F-8CABGA554",
    "ecpix5_85f": "LFE5UM5G-85F-8CABGA554",
    "orangecrab_25f": "LFE5U-25F-8CSFBGA285",
    "orangecrab_85f": "LFE5U-85F-8CSFBGA285",
    "colorlight_i5": "LFE5U-25F-6CABGA381",
    "colorlight_i9": "LFE5U-45F-6CABGA381",
    "ecp5_evn": "LFE5UM5G-85F-8CABGA381",
}
"""What ecppack calls each board's part."""


def put_bitstream(path: Path, part: str) -> Path:
    """The beginning of what ecppack writes."""
    path.write_bytes(b"\xff\x00Part: %s\x00\xff\xff" % part.encode())
    return path


def put_loader(folder: Path, script: str) -> list[str]:
    path = folder / "loader"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return [str(path)]


@pytest.mark.parametrize("name", BOARDS)
def test_a_dry_run_shows_the_command_for_every_board(tmp_path: Path, name: str) -> None:
    board = BOARDS[name]
    file = put_bitstream(tmp_path / BITSTREAM, PARTS[name])
    result = run("--board", name, tmp_path, "--dry-run", "--json", tmp_path / "figures.json")
    assert result.exit_code == 0, result.output
    command, *written = result.stdout.splitlines()
    assert command == f"{find_loader()} --board {board.loader} {file}"
    assert written == [f"wrote {tmp_path / 'figures.json'}"]
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert (figures["board"], figures["programmed"]) == (name, False)
    assert figures["command"][1:] == ["--board", board.loader, str(file)]


@pytest.mark.parametrize("name", BOARDS)
def test_a_bitstream_goes_onto_boards_of_its_part_alone(tmp_path: Path, name: str) -> None:
    file = put_bitstream(tmp_path / "it.bit", PARTS[name])
    taken = {other for other in BOARDS if run("--board", other, file, "--dry-run").exit_code == 0}
    assert taken == {other for other in BOARDS if PARTS[other] == PARTS[name]}


@pytest.mark.parametrize("name", [RECORD, BAKED])
def test_a_record_names_the_board_among_those_with_that_part(tmp_path: Path, name: str) -> None:
    file = put_bitstream(tmp_path / BITSTREAM, PARTS["colorlight_i5"])
    record = {"board": "colorlight_i5", "bitstream_sha256": hashlib.sha256(file.read_bytes()).hexdigest()}
    (tmp_path / name).write_text(json.dumps(record))
    assert run("--board", "colorlight_i5", tmp_path, "--dry-run").exit_code == 0
    expected = f"{file}: is for the board colorlight_i5, expected a bitstream for ulx3s_25f"
    for path in (tmp_path, file):
        assert str(run("--board", "ulx3s_25f", path, "--dry-run").exception) == expected
    # a record of another bitstream, or an invalid file, is ignored
    for text in (json.dumps({**record, "bitstream_sha256": "0" * 64}), "{}", "[1, 2", "7"):
        (tmp_path / name).write_text(text)
        assert run("--board", "ulx3s_25f", tmp_path, "--dry-run").exit_code == 0


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
        (["text.bit"], "text.bit: no bitstream of an ECP5, expected one from `spikequant synth`"),
        (
            ["other.bit"],
            "other.bit: is for the part LFE5U-25F-6CABGA381, expected LFE5U-85F-6 with 381 balls for board ulx3s",
        ),
        (["n" * 300], "n" * 300 + ": cannot read the bitstream: File name too long"),
        (["other.bit", "--board", "arty"], "board: unknown board 'arty', expected one of ulx3s_25f, "),
    ],
)
def test_bad_input_is_one_line(
    arguments: list[str], expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    put_bitstream(tmp_path / "other.bit", PARTS["ulx3s_25f"])
    (tmp_path / "text.bit").write_text("hello")
    result = run("--dry-run", *arguments)
    assert isinstance(result.exception, InputError)
    assert str(result.exception).startswith(expected)
    assert "\n" not in str(result.exception)
