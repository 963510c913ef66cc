"""Bitstreams onto boards, through openFPGALoader."""

import hashlib
import re
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

from pydantic import BaseModel

from spikequant.fpga.baked.bake import BAKED
from spikequant.fpga.boards import Board
from spikequant.fpga.build.build import BITSTREAM, RECORD
from spikequant.fpga.toolchain import ToolError
from spikequant.golden.support.errors import InputError
from spikequant.golden.support.json_files import read_json

LOADER = "openFPGALoader"
PACKAGE = "openfpgaloader"

HEADER_BYTES = 256
"""A bitstream begins with comments, one of which names the part."""


class Record(BaseModel):
    """What ``synth`` or ``bake`` says of the bitstream beside it.

    Attributes:
        board: what it is for.
        bitstream_sha256: which bitstream that is.
    """

    board: str
    bitstream_sha256: str


def find_loader() -> Path:
    """The program, from its Python package or else on the PATH.

    Raises:
        InputError: it is not installed.
    """
    package = find_spec(PACKAGE)
    folders = package.submodule_search_locations if package and package.submodule_search_locations else []
    for folder in folders:
        path = Path(folder) / "bin" / LOADER
        if path.is_file():
            return path
    found = shutil.which(LOADER)
    if found is None:
        raise InputError(f"tool {LOADER}: not found, expected from: pip install {PACKAGE}")
    return Path(found)


def find_bitstream(path: Path, board: Board) -> Path:
    """The bitstream that a path names, itself or the folder of a build, once it is one for the board.

    Boards may have the same part with other pins; the record beside a bitstream says which it is for.

    Raises:
        InputError: there is none, or it is for another part or board.
    """
    file = path
    try:
        file = path / BITSTREAM if path.is_dir() else path
        content = file.read_bytes()
    except OSError as error:
        raise InputError(f"{file}: cannot read the bitstream: {error.strerror}") from None
    part = re.search(rb"Part: ([-A-Z0-9]+)", content[:HEADER_BYTES])
    if part is None:
        raise InputError(f"{file}: no bitstream of an ECP5, expected one that `spikequant synth` made")
    name = part[1].decode("ascii")
    platform = board.make_platform()
    grade, balls = f"{platform.device}-{platform.speed}", re.sub(r"\D", "", platform.package)
    if not re.fullmatch(rf"{grade}[A-Z]+{balls}", name):
        raise InputError(
            f"{file}: is for the part {name}, expected {grade} with {balls} balls, that of board {board.name}"
        )
    digest = hashlib.sha256(content).hexdigest()
    for beside in (file.with_name(RECORD), file.with_name(BAKED)):
        record = _read_record(beside)
        if record and record.bitstream_sha256 == digest and record.board != board.name:
            raise InputError(f"{file}: is for the board {record.board}, expected one for {board.name}")
    return file


def _read_record(path: Path) -> Record | None:
    """The record; None where there is none, since the bitstream is what is asked for."""
    try:
        return read_json(path, Record, what="record")
    except InputError:
        return None


def program_command(loader: Path, board: Board, bitstream: Path, *, flash: bool) -> list[str]:
    """The command line that puts a bitstream onto a board: until power-down, or into its flash."""
    return [str(loader), "--board", board.loader, *(["--write-flash"] if flash else []), str(bitstream)]


def run_loader(command: list[str]) -> None:
    """Run it.

    Raises:
        InputError: it cannot start here.
        ToolError: it failed, such as for want of a board.
    """
    try:
        process = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
    except OSError as error:
        raise InputError(f"tool {command[0]}: cannot start: {error.strerror}") from None
    library = re.search(r"error while loading shared libraries: ([^:]+):", process.stdout)
    if library:
        raise InputError(
            f"tool {LOADER}: cannot start without the library {library[1]}, expected it installed "
            "(on Debian: apt-get install libftdi1-2)"
        )
    if process.returncode:
        lines = [line.strip() for line in process.stdout.splitlines() if line.strip()]
        raise ToolError(
            f"{LOADER} failed (status {process.returncode}): {lines[-1] if lines else 'no message'}",
            console=process.stdout,
        )
