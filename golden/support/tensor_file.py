"""Tensors in files: written whole or not at all, and found again by the digest of everything they depend on."""

from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from spikequant.golden.support.errors import InputError
from spikequant.golden.support.files import replace_file


def write_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    """Write a safetensors file, whole or not at all.

    Raises:
        InputError: the folder cannot be written, or the disk is full.
    """
    with replace_file(path) as temporary:
        try:
            save_file(tensors, temporary, metadata)
        except SafetensorError as error:
            raise InputError(f"{path}: cannot write here: {error}") from None


def keep_tensors(path: Path, digest: str, tensors: dict[str, Tensor], **facts: str) -> None:
    """Write the state of an unfinished run.

    Args:
        path: file to write, whole or not at all.
        digest: of everything that the state depends on.
        tensors: the state, by name.
        facts: texts to store with it.

    Raises:
        InputError: the folder cannot be written, or the disk is full.
    """
    write_tensors(path, tensors, {"digest": digest, **facts})


def find_tensors(path: Path, digest: str) -> Any:
    """The file that ``keep_tensors`` wrote, opened by ``safe_open``; None if there is none of this digest."""
    try:
        file = safe_open(path, framework="pt")
    except (OSError, SafetensorError):
        return None
    return file if (file.metadata() or {}).get("digest") == digest else None
