"""Files that appear whole or not at all."""

import errno
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from spikequant.golden.support.errors import InputError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
"""Errors of a write to an open file: the disk, the quota or the file is full, or the disk is broken."""


@contextmanager
def write_errors(path: Path, *numbers: int) -> Iterator[None]:
    """Turn file system errors into bad input, in one line.

    Args:
        path: what is written, for the message.
        numbers: the error numbers that count; all if there are none.

    Raises:
        InputError: the block raised such an error.
    """
    try:
        yield
    except OSError as error:
        if numbers and error.errno not in numbers:
            raise
        raise InputError(f"{path}: cannot write here: {error.strerror or error}") from None


@contextmanager
def replace_file(path: Path) -> Iterator[Path]:
    """A temporary path in the same folder to write to, which is renamed to ``path`` if the block succeeds.

    Raises:
        InputError: the folder cannot be made or written to, or the disk is full.
    """
    with write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        with write_errors(path, *FULL):
            yield temporary
        # mkstemp makes private files; the result should be as readable as any other
        umask = os.umask(0)
        os.umask(umask)
        with write_errors(path):
            temporary.chmod(0o666 & ~umask)
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def read_text(path: Path, *, what: str, expected: str = "") -> str:
    """The text of a UTF-8 file.

    Args:
        path: the file.
        what: kind of file, for the error.
        expected: what the file should be, for the error.

    Raises:
        InputError: it cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        wanted = f", expected {expected}" if expected else ""
        raise InputError(f"{what} {path}: cannot read the file: {error.strerror}{wanted}") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{what} {path}: not UTF-8 at byte {error.start}") from None


def write_text(path: Path, text: str) -> None:
    """Write a text file, whole or not at all."""
    with replace_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, values: dict[str, Any]) -> None:
    """Write a JSON file, whole or not at all."""
    write_text(path, json.dumps(values, indent=2) + "\n")


def check_folder(path: Path) -> None:
    """Check that a folder can be made, or written to where it exists, without making anything.

    Raises:
        InputError: it cannot, or another file has its name or that of a parent.
    """
    existing = next(place for place in (path, *path.absolute().parents) if os.path.lexists(place))
    # a file without a name: nothing is left even if the process is killed here
    with write_errors(path), tempfile.TemporaryFile(dir=existing):
        pass


def check_writable(path: Path) -> None:
    """Check that a file can be written, without making anything; for use before any long work starts.

    Raises:
        InputError: the path is a folder, or its own folder cannot be made or written to.
    """
    if path.is_dir():
        raise InputError(f"{path}: is a folder, expected a file to write")
    check_folder(path.parent)


def writable_folder(path: Path) -> Path:
    """Make a folder where it is missing, and check that it can be written to.

    Raises:
        InputError: it cannot be made or written to.
    """
    check_folder(path)
    with write_errors(path):
        path.mkdir(parents=True, exist_ok=True)
    return path
