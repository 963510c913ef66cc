"""The store of results: builds as folders, figures as JSON, each under the digest of everything it depends on."""

import hashlib
import shutil
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Generic, TypeVar

from pydantic import BaseModel, ValidationError

from spikequant.golden.support.files import writable_folder, write_text

Model = TypeVar("Model", bound=BaseModel)


def default_cache_folder() -> Path:
    """Where builds are kept between runs."""
    return Path.home() / ".cache" / "spikequant"


def digest_of(parts: Iterable[str | bytes]) -> str:
    """SHA-256 over parts, each with its length, so that no two lists of parts share a digest."""
    total = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        total.update(len(data).to_bytes(8, "little"))
        total.update(data)
    return total.hexdigest()


def cached_folder(cache: Path, kind: str, digest: str) -> Path:
    """Where a build is, if it is finished; arguments as ``cached_build``."""
    return cache / f"{kind}-{digest[:32]}"


def cached_build(cache: Path, kind: str, digest: str, build: Callable[[Path], None], *, fresh: bool = False) -> Path:
    """The folder of a finished build: the cached one, or one that ``build`` fills now.

    A build that raises leaves nothing behind, so a failure is never taken for a result; two processes
    that build the same thing at once both succeed, and the first to finish is kept.

    Args:
        cache: root of the cache.
        kind: what sort of build, the first part of the folder's name.
        digest: of all inputs and tool versions.
        build: fills an empty folder, which is later moved; it must not contain its own path.
        fresh: build even where a finished build is, in whose place the new one goes.

    Raises:
        InputError: the cache cannot be written.
    """
    folder = cached_folder(cache, kind, digest)
    if folder.is_dir() and not fresh:
        return folder
    writable_folder(cache)
    beside = Path(tempfile.mkdtemp(prefix=f".{kind}-", dir=cache))
    try:
        build(beside)
        if fresh:
            shutil.rmtree(folder, ignore_errors=True)
        try:
            beside.replace(folder)
        except OSError:
            if not folder.is_dir():
                raise
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return folder


class ResultFolder(Generic[Model]):
    """Results of a long run, one JSON file each, so that a run that was cut short resumes.

    Args:
        folder: where the files are; made when the first result is kept.
        model: what a result is.
    """

    def __init__(self, folder: Path, model: type[Model]) -> None:
        self.folder = folder
        self._model = model

    def path(self, name: str) -> Path:
        """File of a result."""
        return self.folder / f"{name}.json"

    def find(self, name: str, digest: str) -> Model | None:
        """The result that was kept under this name and digest; None if there is none, or a damaged one."""
        try:
            kept, _, text = self.path(name).read_text(encoding="utf-8").partition("\n")
            return self._model.model_validate_json(text) if kept == digest else None
        except (OSError, ValidationError, UnicodeDecodeError):
            return None

    def keep(self, name: str, digest: str, result: Model) -> None:
        """Write a result, whole or not at all.

        Raises:
            InputError: the folder cannot be written to.
        """
        write_text(self.path(name), f"{digest}\n{result.model_dump_json(indent=2)}\n")
