"""Files that appear whole or not at all."""

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from spikequant.golden.support.errors import InputError


@contextmanager
def replace_file(path: Path) -> Iterator[Path]:
    """A path beside ``path`` to write to; it takes the name ``path`` only when the block ends well.

    Raises:
        InputError: the folder cannot be made or written to.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:
        raise InputError(f"{path}: cannot write here: {error.strerror}") from None
    os.close(handle)
    beside = Path(name)
    try:
        yield beside
        # mkstemp makes private files; the result should be as readable as any other
        umask = os.umask(0)
        os.umask(umask)
        beside.chmod(0o666 & ~umask)
        try:
            beside.replace(path)
        except OSError as error:
            raise InputError(f"{path}: cannot write here: {error.strerror}") from None
    finally:
        beside.unlink(missing_ok=True)


def read_text(path: Path, *, what: str, expected: str = "") -> str:
    """The text of a file.

    Args:
        path: the file.
        what: what it is, for errors.
        expected: what should have been there, for the error where nothing is.

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
    with replace_file(path) as beside:
        beside.write_text(text, encoding="utf-8")


def write_json(path: Path, values: dict[str, Any]) -> None:
    """Write a JSON file, whole or not at all."""
    write_text(path, json.dumps(values, indent=2) + "\n")


def check_folder(path: Path) -> None:
    """Check that a folder can be made, or written to where it exists, without making anything.

    Raises:
        InputError: it cannot, or another file has its name or that of a parent.
    """
    existing = next(place for place in (path, *path.absolute().parents) if os.path.lexists(place))
    try:
        # a file without a name: nothing is left even if the process is killed here
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        raise InputError(f"{path}: cannot write here: {error.strerror}") from None


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
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{path}: cannot write here: {error.strerror}") from None
    return path
