"""What a GGUF file states, held against the tensors that it has, before anything is made of it.

The loader believes a file: it takes a default for a number that is missing, makes a model as large as the numbers say,
and reads arrays as long as they claim to be.
"""

import re
from pathlib import Path
from typing import Any

import torch
from gguf import GGUFReader
from transformers import AutoConfig, AutoModelForCausalLM

from spikequant.golden.support.errors import InputError

AS_LARGE = 2
"""How many times as large as the file's tensors a model may be: embeddings and head may be one tensor, and it holds
tables of its own."""


class _WholeReader(GGUFReader):
    """Takes no part for whole: the library's own gives less than what was asked for where a file ends."""

    def _get(self, offset: int, dtype: Any, count: int = 1, *order: Any, **options: Any) -> Any:
        found = super()._get(offset, dtype, count, *order, **options)
        if len(found) != int(count):
            raise ValueError(f"it ends at byte {len(self.data)}, expected {int(count)} more numbers from {offset} on")
        return found


def check_gguf(path: Path, name: str) -> None:
    """Refuse a file whose numbers are not those of its tensors, so that what is loaded is about as large as the file.

    Args:
        path: the file.
        name: of the model, for messages.

    Raises:
        InputError: numbers are missing, or are not those of the tensors.
        Exception: whatever the libraries raise for a file that they cannot read.
    """
    reader = _WholeReader(path)
    blocks = {int(match[1]) for tensor in reader.tensors if (match := re.match(r"blk\.(\d+)\.", tensor.name))}
    architecture = reader.get_field("general.architecture")
    key = f"{architecture.contents() if architecture else ''}.block_count"
    field = reader.get_field(key)
    stated = field.contents() if field else None
    if blocks != set(range(len(blocks))) or stated != len(blocks) or not blocks:
        raise InputError(f"model {name}: {key} is {stated}, expected the {len(blocks)} blocks that it has tensors of")
    _check_merges(reader, name)
    config = AutoConfig.from_pretrained(str(path.parent), gguf_file=path.name)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    wanted = sum(part.numel() for part in (*model.parameters(), *model.buffers()))
    there = sum(int(tensor.n_elements) for tensor in reader.tensors)
    if wanted > AS_LARGE * there:
        raise InputError(
            f"model {name}: its sizes make a model of {wanted} numbers, expected about the {there} of its tensors"
        )


def _check_merges(reader: GGUFReader, name: str) -> None:
    """The tokenizer's library dies of a merge that makes more than its longest token."""
    tokens, merges = (
        [len(word.encode()) for word in field.contents()]
        if (field := reader.get_field(f"tokenizer.ggml.{kind}"))
        else []
        for kind in ("tokens", "merges")
    )
    # a space stands between the parts of a merge
    if max(merges, default=0) - 1 > max(tokens, default=0):
        raise InputError(f"model {name}: a merge of tokenizer.ggml.merges makes no token, expected one of its tokens")
