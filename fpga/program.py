"""Programming of boards with openFPGALoader."""

import hashlib
import re
import shutil
from importlib.util import find_spec
from pathlib import Path

from pydantic import BaseModel

from spikequant.fpga.baked.bake import BAKED
from spikequant.fpga.boards import Board
from spikequant.fpga.build.build import BITSTREAM, RECORD
from spikequant.fpga.toolchain import ToolError, run_process
from spikequant.golden.support.errors import InputError
from spikequant.golden.support.json_files import read_json

LOADER = "openFPGALoader"
PACKAGE = "openfpgaloader"

HEADER_BYTES = 256
"""Length of the comments at the beginning of a bitstream, one of which names the part."""


class Record(BaseModel):
    """The part of ``synth``'s or ``bake``'s figures that identifies a bitstream and its board."""

    board: str
    bitstream_sha256: str


def find_loader() -> Path:
    """Find openFPGALoader in its Python package, or else on the PATH.

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
    """Find the bitstream at a path, a file or the folder of a build, and check that it is for the board.

    Boards may have the same part with other pins, so the figures next to the bitstream are checked, too.

    Raises:
        InputError: there is no bitstream, or it is for another part or board.
    """
    file = path
    try:
        file = path / BITSTREAM if path.is_dir() else path
        content = file.read_bytes()
    except OSError as error:
        raise InputError(f"{file}: cannot read the bitstream: {error.strerror}") from None
    part = re.search(rb"Part: ([-A-Z0-9]+)", content[:HEADER_BYTES])
    if part is None:
        raise InputError(f"{file}: no bitstream of an ECP5, expected one from `spikequant synth`")
    name = part[1].decode("ascii")
    platform = board.make_platform()
    grade, balls = f"{platform.device}-{platform.speed}", re.sub(r"\D", "", platform.package)
    if not re.fullmatch(rf"{grade}[A-Z]+{balls}", name):
        raise InputError(f"{file}: is for the part {name}, expected {grade} with {balls} balls for board {board.name}")
    digest = hashlib.sha256(content).hexdigest()
    for name in (RECORD, BAKED):
        record = _read_record(file.with_name(name))
        if record and record.bitstream_sha256 == digest and record.board != board.name:
            raise InputError(f"{file}: is for the board {record.board}, expected a bitstream for {board.name}")
    return file


def _read_record(path: Path) -> Record | None:
    """The record; None if there is none, since a bitstream alone will do."""
    try:
        return read_json(path, Record, what="record")
    except InputError:
        return None


def program_command(loader: Path, board: Board, bitstream: Path, *, flash: bool) -> list[str]:
    """Command line that loads a bitstream until power-down, or writes it to the board's flash."""
    return [str(loader), "--board", board.loader, *(["--write-flash"] if flash else []), str(bitstream)]


def run_loader(command: list[str]) -> None:
    """Run openFPGALoader.

    Raises:
        InputError: it cannot start here.
        ToolError: it failed, for example because no board is connected.
    """
    try:
        status, console = run_process(command)
    except OSError as error:
        raise InputError(f"tool {command[0]}: cannot start: {error.strerror}") from None
    library = re.search(r"error while loading shared libraries: ([^:]+):", console)
    if library:
        raise InputError(
            f"tool {LOADER}: cannot start without the library {library[1]}, expected it installed "
            "(on Debian: apt-get install libftdi1-2)"
        )
    if status:
        lines = [line.strip() for line in console.splitlines() if line.strip()]
        raise ToolError(
            f"{LOADER} failed (status {status}): {lines[-1] if lines else 'no message'}",
            console=console,
        )
