"""Digests of models, token windows, sources and package versions, on which stored results depend."""

import hashlib
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from spikequant.golden.support.store import digest_of

if TYPE_CHECKING:
    # take seconds to import, and digests of sources and versions do not need them
    from torch import Tensor
    from transformers import PreTrainedModel

PACKAGES = ("spikequant", "torch", "transformers")


def digest_versions() -> str:
    """SHA-256 of the versions of this package, torch and transformers, in hexadecimal."""
    return digest_of(f"{name} {version(name)}" for name in PACKAGES)


def digest_sources(package: ModuleType) -> str:
    """SHA-256 of the paths and texts of a package's Python files, in hexadecimal."""
    root = Path(package.__path__[0])
    files = sorted(root.rglob("*.py"))
    return digest_of(text for path in files for text in (str(path.relative_to(root)), path.read_text("utf-8")))


def digest_windows(windows: "list[Tensor]") -> str:
    """SHA-256 of windows of tokens, int64 [n] each, in hexadecimal."""
    found = hashlib.sha256()
    for window in windows:
        found.update(f"{window.numel()}:".encode())
        found.update(window.contiguous().numpy().data)
    return found.hexdigest()


def digest_model(model: "PreTrainedModel") -> str:
    """SHA-256 of a model's configuration, parameters and buffers, a prefix among them, in hexadecimal."""
    import torch  # noqa: PLC0415

    found = hashlib.sha256(model.config.to_json_string().encode())
    for name, tensor in chain(model.named_parameters(), model.named_buffers()):
        found.update(f"{name} {list(tensor.shape)}".encode())
        found.update(tensor.detach().contiguous().flatten().view(torch.uint8).numpy().data)
    return found.hexdigest()
