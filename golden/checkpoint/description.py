"""The description of a checkpoint: ``spikequant.json``, next to the tensors."""

import hashlib
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from spikequant.golden.checkpoint import version2
from spikequant.golden.checkpoint.layers import LayerFacts
from spikequant.golden.quantizer.recipe import Recipe
from spikequant.golden.quantizer.site import AnySite
from spikequant.golden.support.errors import InputError
from spikequant.golden.support.files import read_text
from spikequant.golden.support.json_files import parse_json

FORMAT_VERSION = 3
DESCRIPTION = "spikequant.json"
TENSORS = "model.safetensors"


class Description(BaseModel):
    """Content of ``spikequant.json``.

    Attributes:
        format_version: ``FORMAT_VERSION``, or an earlier one that was read.
        name: the source model, as the user named it.
        calibration: one line about the calibration text.
        training: one line about the training; empty without one.
        recipe: how the model was quantized.
        config: the transformers configuration.
        sites: input sites by name.
        layers: quantized layers by name.
        files: SHA-256 of every other file, by name.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format_version: int
    name: str
    calibration: str
    training: str
    recipe: Recipe
    config: dict[str, Any]
    sites: dict[str, AnySite]
    layers: dict[str, LayerFacts]
    files: dict[str, str]


def sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_description(folder: Path) -> Description:
    """Read and validate the description.

    Raises:
        InputError: it is missing, not valid, or of another version.
    """
    path = folder / DESCRIPTION
    if folder.is_dir() and not path.is_file():
        raise InputError(f"checkpoint {folder}: no {DESCRIPTION} here, expected a folder that quantize wrote")
    text = read_text(path, what="checkpoint")

    class Version(BaseModel):
        format_version: int

    source = f"checkpoint {path}"
    version = parse_json(text, Version, source=source).format_version
    if version == version2.VERSION:
        return _upgraded(text, folder, source=source)
    if version != FORMAT_VERSION:
        raise InputError(f"{source}: format_version is {version}, expected {version2.VERSION} or {FORMAT_VERSION}")
    return parse_json(text, Description, source=source)


def _upgraded(text: str, folder: Path, *, source: str) -> Description:
    """A description of format 2 as one of today's, but for its ``format_version``."""

    class Layers(BaseModel):
        model_config = ConfigDict(extra="allow")

        layers: dict[str, dict[str, Any]]

    found = parse_json(text, Layers, source=source)
    layers = version2.with_scales(found.layers, folder / TENSORS)
    return parse_json(found.model_copy(update={"layers": layers}).model_dump_json(), Description, source=source)


def check_files(folder: Path, description: Description) -> None:
    """Check that the other files are those that were written with this description.

    Raises:
        InputError: one is missing or differs.
    """
    if TENSORS not in description.files:
        raise InputError(f"checkpoint {folder / DESCRIPTION}: files names no {TENSORS}")
    for name, digest in description.files.items():
        path = folder / name
        if Path(name).name != name or not path.is_file():
            raise InputError(f"checkpoint {folder}: {name} is missing, expected every file that {DESCRIPTION} names")
        if (found := sha256(path)) != digest:
            raise InputError(
                f"checkpoint {path}: SHA-256 is {found[:12]}..., expected {digest[:12]}... (damaged or mixed)"
            )
