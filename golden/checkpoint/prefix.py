"""The prefix of a checkpoint."""

import torch
from transformers import PreTrainedModel

from spikequant.golden.checkpoint.layers import TensorReader
from spikequant.golden.models.load_check import vocabulary_size
from spikequant.golden.models.prefix import NAME, Prefix, attach_prefix
from spikequant.golden.support.errors import InputError


def attach_stored_prefix(model: PreTrainedModel, reader: TensorReader) -> None:
    """Give a model room for the prefix of its checkpoint, if that has one; ``load_module`` fills it.

    Raises:
        InputError: its tokens are no tokens of the model, or its keys and values do not fit them.
    """
    tokens = reader.tensors.get(f"{NAME}.tokens")
    if tokens is None:
        return
    vocabulary = vocabulary_size(model)
    usable = tokens.dtype == torch.int64 and tokens.ndim == 1 and tokens.numel() > 0
    if not usable or not bool(((tokens >= 0) & (tokens < vocabulary)).all()):
        raise InputError(f"checkpoint {reader.path}: tensor {NAME}.tokens, expected ids in 0..{vocabulary - 1}")
    states = {}
    for kind in ("key", "value"):
        names = sorted(name for name in reader.tensors if name.startswith(f"{NAME}.{kind}_"))
        states[kind] = [torch.zeros_like(reader.tensors[name]) for name in names]
        for name in names:
            found = reader.tensors[name]
            if found.dtype != torch.float32 or found.ndim != 4 or found.shape[2] != tokens.numel():
                raise InputError(
                    f"checkpoint {reader.path}: tensor {name} is {found.dtype} {list(found.shape)}, "
                    f"expected float32 [1, heads, {tokens.numel()}, head size]"
                )
    blocks = model.config.get_text_config(decoder=True).num_hidden_layers
    if len(states["key"]) != blocks or len(states["value"]) != blocks:
        raise InputError(f"checkpoint {reader.path}: expected prefix keys and values of {blocks} blocks")
    attach_prefix(model, Prefix(model.config, torch.zeros_like(tokens), states["key"], states["value"]))
