"""Bitstreams onto boards, through openFPGALoader."""

import re
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

from fpga.boards import Board
from fpga.build import BITSTREAM
from fpga.toolchain import ToolError
from golden.errors import InputError

LOADER = "openFPGALoader"
PACKAGE = "openfpgaloader"

HEADER_BYTES = 256
"""A bitstream begins with comments, one of which names the part."""


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

    Raises:
        InputError: there is none, or it is for another part.
    """
    file = path / BITSTREAM if path.is_dir() else path
    try:
        with file.open("rb") as opened:
            header = opened.read(HEADER_BYTES)
    except OSError as error:
        raise InputError(f"{file}: cannot read the bitstream: {error.strerror}") from None
    part = re.search(rb"Part: ([-A-Z0-9]+)", header)
    if part is None:
        raise InputError(f"{file}: no bitstream of an ECP5, expected one that `spikequant synth` made")
    name = part[1].decode("ascii")
    if not name.startswith(f"{board.device}-"):
        raise InputError(f"{file}: is for the part {name}, expected {board.device} of board {board.name}")
    return file


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
