"""The store of results: builds as folders, figures as JSON, each under the digest of everything it depends on."""

import atexit
import hashlib
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Generic, TypeVar

from platformdirs import user_cache_path
from pydantic import TypeAdapter, ValidationError

from spikequant.golden.support.errors import InputError
from spikequant.golden.support.files import check_folder, writable_folder, write_text

Result = TypeVar("Result")


def digest_of(parts: Iterable[str | bytes]) -> str:
    """SHA-256 over parts, each with its length, so that no two lists of parts share a digest."""
    total = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        total.update(len(data).to_bytes(8, "little"))
        total.update(data)
    return total.hexdigest()


def default_cache_folder() -> Path:
    """The folder of builds that later runs reuse, in the user's cache folder."""
    return user_cache_path("spikequant")


def ensure_cache_folder() -> None:
    """Replace the user's cache folder by a temporary one, until this process ends, if it cannot be written.

    Containers and services may have no home. This sets ``XDG_CACHE_HOME``, since the WebAssembly runtimes of Yosys
    and nextpnr, some of them in processes of their own, also fail without a cache folder.
    """
    try:
        check_folder(user_cache_path())
    except InputError as error:
        try:
            folder = tempfile.mkdtemp(prefix="spikequant-cache-")
        except OSError:
            # nothing can be written at all: whatever writes first reports its own path
            return
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        os.environ["XDG_CACHE_HOME"] = folder
        logging.getLogger(__name__).warning("%s; results are cached until this command ends", error)


def cached_folder(cache: Path, kind: str, digest: str) -> Path:
    """The folder of a build, which exists if the build is finished; arguments as ``cached_build``."""
    return cache / f"{kind}-{digest[:32]}"


def cached_build(cache: Path, kind: str, digest: str, build: Callable[[Path], None], *, fresh: bool = False) -> Path:
    """The folder of a finished build: the cached one, or one that ``build`` fills now.

    A build that raises leaves nothing, so a failure is never taken for a result. If two processes build the same
    thing at once, both succeed, and the result of the first to finish is kept.

    Args:
        cache: root of the cache.
        kind: kind of build, the first part of the folder's name.
        digest: of all inputs and tool versions.
        build: fills an empty folder, which is moved afterwards, so that its content must not refer to its path.
        fresh: build even if there is a finished build, and replace that.

    Raises:
        InputError: the cache cannot be written.
    """
    folder = cached_folder(cache, kind, digest)
    if folder.is_dir() and not fresh:
        return folder
    writable_folder(cache)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{kind}-", dir=cache))
    try:
        build(unfinished)
        if fresh:
            shutil.rmtree(folder, ignore_errors=True)
        try:
            unfinished.replace(folder)
        except OSError:
            if not folder.is_dir():
                raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return folder


class ResultFolder(Generic[Result]):
    """Results of a long run, one file each, so that an interrupted run resumes.

    A file holds the digest in its first line, and then the result as JSON.

    Args:
        folder: of the files, made with the first of them; None stores nothing.
        kind: type of a result, a pydantic model or a data class.
    """

    def __init__(self, folder: Path | None, kind: type[Result]) -> None:
        self.folder = folder
        self._adapter = TypeAdapter(kind)

    def find(self, name: str, digest: str) -> Result | None:
        """The result stored under this name and digest; None if there is none, or only a damaged one."""
        if self.folder is None:
            return None
        try:
            stored, _, text = (self.folder / f"{name}.json").read_text(encoding="utf-8").partition("\n")
            return self._adapter.validate_json(text) if stored == digest else None
        except (OSError, ValidationError, UnicodeDecodeError):
            return None

    def keep(self, name: str, digest: str, result: Result) -> None:
        """Write a result, whole or not at all.

        Raises:
            InputError: the folder cannot be written.
        """
        if self.folder is not None:
            text = self._adapter.dump_json(result, indent=2).decode()
            write_text(self.folder / f"{name}.json", f"{digest}\n{text}\n")

    def clear(self) -> None:
        """Remove the folder and all results, once the run is complete."""
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)
