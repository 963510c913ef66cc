"""Import of finished low-bit checkpoints: transformers folders whose weights are packed integers, as float models.

Two formats, named in the ``quantization_config`` of a folder's ``config.json``:

- ``compressed-tensors`` in the format ``pack-quantized``, as llm-compressor writes it;
- ``gptq`` in the formats ``gptq`` and ``gptq_v2``, as AutoGPTQ and GPTQModel write it.

transformers itself reads them only with further packages, that of GPTQ compiled for each machine.
"""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import BaseModel, Field
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel
from transformers.pytorch_utils import Conv1D

from spikequant.golden.models.packed_weights import LayerTensors, PackedWeight, compressed_weight, gptq_weight
from spikequant.golden.support.errors import InputError, one_line
from spikequant.golden.support.json_files import parse_json, read_json

CONFIG = "config.json"

OLD_CONFIG = "quantize_config.json"
"""File with the quantization config in older checkpoints of AutoGPTQ."""

INDEX = "model.safetensors.index.json"


class _Weights(BaseModel):
    type: Literal["int"] = "int"


class _Group(BaseModel):
    weights: _Weights | None = None
    format: str | None = None


class _Quantization(BaseModel):
    """The keys of a quantization config that are not evident from the tensors."""

    quant_method: Literal["gptq", "compressed-tensors"] = "gptq"
    format: str | None = None
    # of compressed-tensors
    config_groups: dict[str, _Group] = {}
    transform_config: dict[str, Any] | None = None
    # of GPTQ
    checkpoint_format: str | None = None
    is_marlin_format: bool = False
    bits: int | None = None
    group_size: int = Field(default=-1, ge=-1)

    @property
    def formats(self) -> set[str]:
        """Names of the formats of the layers."""
        if self.quant_method == "gptq":
            return {"marlin" if self.is_marlin_format else self.checkpoint_format or self.format or "gptq"}
        return {str(group.format or self.format) for group in self.config_groups.values()} or {str(self.format)}


class _ModelConfig(BaseModel):
    quantization_config: dict[str, Any] | None = None


class _Index(BaseModel):
    weight_map: dict[str, str]


@dataclass(frozen=True)
class PackedCheckpoint:
    """A folder with packed weights, read when needed.

    Attributes:
        folder: a transformers model folder.
        quantization: its quantization config.
        files: the file of each tensor, by name.
    """

    folder: Path
    quantization: _Quantization
    files: dict[str, Path]

    @cached_property
    def layers(self) -> list[str]:
        """Names of the layers with packed weights."""
        packed = "qweight" if self.quantization.quant_method == "gptq" else "weight_packed"
        return [name.removesuffix(f".{packed}") for name in self.files if name.endswith(f".{packed}")]

    def tensor(self, name: str) -> Tensor:
        """A tensor as it is stored.

        Raises:
            InputError: its file cannot be read, or does not have it.
        """
        try:
            with safe_open(self.files[name], framework="pt") as file:
                return file.get_tensor(name)
        except (OSError, SafetensorError) as error:
            raise InputError(f"model {self.files[name]}: cannot read tensor {name}: {one_line(error)}") from None

    def weight(self, layer: str) -> PackedWeight:
        """The integer weights of a layer.

        Raises:
            InputError: tensors are missing, or do not fit each other.
        """
        names = (name for name in self.files if name.startswith(f"{layer}."))
        parts = {name.removeprefix(f"{layer}."): self.tensor(name) for name in names}
        tensors = LayerTensors(f"model {self.folder}: {layer}", parts)
        if self.quantization.quant_method == "compressed-tensors":
            return compressed_weight(tensors)
        return gptq_weight(
            tensors,
            bits=self.quantization.bits,
            group_size=self.quantization.group_size,
            zeros_less_one=self.quantization.formats == {"gptq"},
        )

    @cached_property
    def skeleton(self) -> PreTrainedModel:
        """The float model, without memory for its tensors."""
        config = AutoConfig.from_pretrained(self.folder)
        if hasattr(config, "quantization_config"):
            del config.quantization_config
        with torch.device("meta"):
            return AutoModelForCausalLM.from_config(config)

    def float_tensors(self) -> dict[str, Tensor]:
        """All tensors of the float model, by name; those of packed weights are float32 [N, K].

        Raises:
            InputError: as ``weight``; or a layer has another shape than in the model.
        """
        modules = dict(self.skeleton.named_modules())
        tensors = {}
        for layer in self.layers:
            values, module = self.weight(layer).values(), modules.get(layer)
            if isinstance(module, Conv1D):
                # GPT-2's layers hold the transposed matrix
                values = values.t().contiguous()
            if isinstance(module, Conv1D | nn.Linear) and module.weight.shape != values.shape:
                shapes = f"{list(values.shape)}, expected {list(module.weight.shape)}"
                raise InputError(f"model {self.folder}: {layer} is {shapes} as in {CONFIG}")
            tensors[f"{layer}.weight"] = values
        packed = set(self.layers)
        for name in self.files:
            owner, _, last = name.rpartition(".")
            if owner not in packed or last == "bias":
                tensors[name] = self.tensor(name)
        return tensors


def find_packed(folder: Path) -> PackedCheckpoint | None:
    """The packed weights of a transformers folder; None if it has none, or of another method.

    Raises:
        InputError: they have another format of these methods, or files are missing or cannot be read.
    """
    path = folder / CONFIG
    if not path.is_file():
        return None
    found = read_json(path, _ModelConfig, what="model").quantization_config
    if found is None and (folder / OLD_CONFIG).is_file():
        path = folder / OLD_CONFIG
        quantization = read_json(path, _Quantization, what="model")
    elif found is None or found.get("quant_method") not in {"gptq", "compressed-tensors"}:
        return None
    else:
        quantization = parse_json(json.dumps(found), _Quantization, source=f"model {path}: quantization_config")
    expected = {"gptq", "gptq_v2"} if quantization.quant_method == "gptq" else {"pack-quantized"}
    if not quantization.formats <= expected:
        formats = f"{', '.join(sorted(quantization.formats))}, expected {' or '.join(sorted(expected))}"
        raise InputError(f"model {path}: weights of format {formats}")
    if quantization.transform_config:
        raise InputError(f"model {path}: transform_config rotates activations at run time, expected none")
    checkpoint = PackedCheckpoint(folder, quantization, _tensor_files(folder))
    if not checkpoint.layers:
        raise InputError(f"model {folder}: no packed weights, expected some as in {path.name}")
    return checkpoint


def load_floats(source: str, **options: Any) -> Any:
    """A model in floats by ``from_pretrained``, also if its weights are packed integers.

    Args:
        source: a transformers folder, or a hub id.
        options: of ``AutoModelForCausalLM.from_pretrained``.

    Raises:
        InputError: packed weights that cannot be read.
        Exception: any error of transformers.
    """
    checkpoint = None if "gguf_file" in options else find_packed(Path(source))
    if checkpoint is None:
        return AutoModelForCausalLM.from_pretrained(source, **options)
    skeleton = checkpoint.skeleton
    tensors = checkpoint.float_tensors()
    return type(skeleton).from_pretrained(None, config=skeleton.config, state_dict=tensors, **options)


def _tensor_files(folder: Path) -> dict[str, Path]:
    """The file of each tensor of a folder."""
    index = folder / INDEX
    if index.is_file():
        weight_map = read_json(index, _Index, what="model").weight_map
        return {name: folder / file for name, file in weight_map.items()}
    files = sorted(folder.glob("*.safetensors"))
    if len(files) != 1:
        raise InputError(f"model {folder}: {len(files)} files *.safetensors, expected one, or {INDEX}")
    try:
        with safe_open(files[0], framework="pt") as file:
            return dict.fromkeys(file.keys(), files[0])
    except (OSError, SafetensorError) as error:
        raise InputError(f"model {files[0]}: not a safetensors file: {one_line(error)}") from None
