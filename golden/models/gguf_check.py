"""Check of a GGUF file's metadata against its tensors, before the file is loaded.

The loader trusts a file: it uses a default for a missing number, makes a model as large as the metadata claim, and
reads arrays of the length that they claim.
"""

import re
from pathlib import Path
from typing import Any

import torch
from gguf import GGUFReader
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel
from transformers.modeling_gguf_pytorch_utils import (
    TENSOR_PROCESSORS,
    Gemma2TensorProcessor,
    LlamaTensorProcessor,
    TensorProcessor,
    get_gguf_hf_weights_map,
)

from spikequant.golden.support.errors import InputError

AS_LARGE = 2
"""Largest size of a model in units of the file's tensors: embeddings and head may be one tensor, and the model has
tables of its own."""


class _WholeReader(GGUFReader):
    """A reader that raises at the end of a file; the library's own returns fewer numbers than requested."""

    def _get(self, offset: int, dtype: Any, count: int = 1, *order: Any, **options: Any) -> Any:
        found = super()._get(offset, dtype, count, *order, **options)
        if len(found) != int(count):
            raise ValueError(f"it ends at byte {len(self.data)}, expected {int(count)} more numbers from {offset} on")
        return found


def check_gguf(path: Path, name: str) -> None:
    """Refuse a file whose metadata do not match its tensors, so that a loaded model is about as large as the file.

    Args:
        path: the file.
        name: of the model, for messages.

    Raises:
        InputError: numbers are missing, or do not match the tensors.
        Exception: any error of the libraries for a file that they cannot read.
    """
    reader = _WholeReader(path)
    blocks = {int(match[1]) for tensor in reader.tensors if (match := re.match(r"blk\.(\d+)\.", tensor.name))}
    architecture = reader.get_field("general.architecture")
    key = f"{architecture.contents() if architecture else ''}.block_count"
    field = reader.get_field(key)
    stated = field.contents() if field else None
    if blocks != set(range(len(blocks))) or stated != len(blocks) or not blocks:
        raise InputError(f"model {name}: {key} is {stated}, expected {len(blocks)} as its tensors have")
    _check_merges(reader, name)
    config = AutoConfig.from_pretrained(str(path.parent), gguf_file=path.name)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    wanted = sum(part.numel() for part in (*model.parameters(), *model.buffers()))
    there = sum(int(tensor.n_elements) for tensor in reader.tensors)
    if wanted > AS_LARGE * there:
        raise InputError(
            f"model {name}: its sizes make a model of {wanted} numbers, expected about {there} as in its tensors"
        )
    _check_names(reader, model, name)


def _check_names(reader: GGUFReader, model: PreTrainedModel, name: str) -> None:
    """Refuse tensors that the loader would leave out without a word."""
    architecture = reader.get_field("general.architecture")
    make = TENSOR_PROCESSORS.get(architecture.contents() if architecture else "", TensorProcessor)
    # the others rename tensors while they read them
    if make not in (TensorProcessor, LlamaTensorProcessor, Gemma2TensorProcessor):
        return
    known = get_gguf_hf_weights_map(model, make(config=model.config.to_dict()))
    for tensor in reader.tensors:
        if tensor.name not in known:
            raise InputError(f"model {name}: tensor {tensor.name} is unknown, expected those of {type(model).__name__}")


def _check_merges(reader: GGUFReader, name: str) -> None:
    """Refuse a merge into more than the longest token, at which the tokenizer's library aborts the process."""
    tokens, merges = (
        [len(word.encode()) for word in field.contents()]
        if (field := reader.get_field(f"tokenizer.ggml.{kind}"))
        else []
        for kind in ("tokens", "merges")
    )
    # a space separates the two parts of a merge
    if max(merges, default=0) - 1 > max(tokens, default=0):
        raise InputError(f"model {name}: a merge of tokenizer.ggml.merges makes no token, expected one of its tokens")
