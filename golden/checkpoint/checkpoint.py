"""A quantized model as a folder that needs nothing else: ``model.safetensors``, ``spikequant.json``, tokenizer."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from spikequant.golden.checkpoint import version2
from spikequant.golden.checkpoint.description import (
    DESCRIPTION,
    FORMAT_VERSION,
    TENSORS,
    Description,
    check_files,
    read_description,
    sha256,
)
from spikequant.golden.checkpoint.layers import LayerTable, TensorReader, layer_table, load_module, module_tensors
from spikequant.golden.checkpoint.prefix import attach_stored_prefix
from spikequant.golden.models.load_check import check_finite
from spikequant.golden.models.model import LanguageModel, linearize
from spikequant.golden.quantizer.recipe import Recipe
from spikequant.golden.support.errors import InputError, one_line
from spikequant.golden.support.files import writable_folder, write_errors, write_text
from spikequant.golden.support.tensor_file import write_tensors


@dataclass(frozen=True)
class Checkpoint:
    """A loaded checkpoint.

    Attributes:
        language_model: the quantized model and its tokenizer.
        description: the content of ``spikequant.json``.
    """

    language_model: LanguageModel
    description: Description


def is_checkpoint(path: Path) -> bool:
    """Whether a folder looks like a checkpoint."""
    return (path / DESCRIPTION).is_file()


def save_checkpoint(
    folder: Path, language_model: LanguageModel, recipe: Recipe, *, calibration: str, training: str = ""
) -> None:
    """Write a quantized model. The description comes last, so that an interrupted run never looks complete.

    Args:
        folder: made where it is missing.
        language_model: with quantized layers.
        recipe: how they were made.
        calibration: one line about the calibration text.
        training: one line about the training; empty without one.

    Raises:
        InputError: the folder cannot be written.
    """
    writable_folder(folder)
    with write_errors(folder), tempfile.TemporaryDirectory(dir=folder) as name:
        temporary = Path(name)
        language_model.tokenizer.save_pretrained(temporary)
        write_tensors(temporary / TENSORS, module_tensors(language_model.model))
        written = sorted(path for path in temporary.iterdir() if path.is_file())
        digests = {path.name: sha256(path) for path in written}
        for path in written:
            path.replace(folder / path.name)
    table = layer_table(language_model.model)
    description = Description(
        format_version=FORMAT_VERSION,
        name=language_model.name,
        calibration=calibration,
        training=training,
        recipe=recipe,
        config=language_model.model.config.to_dict(),
        sites=table.sites,
        layers=table.layers,
        files=digests,
    )
    write_text(folder / DESCRIPTION, description.model_dump_json(indent=1) + "\n")


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a safetensors file, by name.

    Raises:
        InputError: it is no such file, or cannot be read.
    """
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise InputError(f"checkpoint {path}: not a safetensors file: {one_line(error)}") from None


def load_checkpoint(folder: Path) -> Checkpoint:
    """Read a quantized model back, bit for bit. Nothing is unpickled.

    Raises:
        InputError: a file is missing, damaged, of another version, or does not fit the others.
    """
    description = read_description(folder)
    check_files(folder, description)
    tensors = read_tensors(folder / TENSORS)
    if description.format_version == version2.VERSION:
        tensors = version2.with_exponents(tensors, folder / TENSORS)
    reader = TensorReader(folder / TENSORS, tensors)
    values = dict(description.config)
    try:
        config = AutoConfig.for_model(values.pop("model_type", ""), **values)
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
        linearize(model)
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except Exception as error:
        raise InputError(f"checkpoint {folder}: cannot build the model: {one_line(error)}") from None
    model.tie_weights()
    attach_stored_prefix(model, reader)
    load_module(model, reader, LayerTable(sites=description.sites, layers=description.layers))
    check_finite(model, str(folder))
    return Checkpoint(LanguageModel(model, tokenizer, description.name), description)
