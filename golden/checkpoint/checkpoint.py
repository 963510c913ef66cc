"""A quantized model as a folder that needs nothing else: ``model.safetensors``, ``spikequant.json``, tokenizer."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

from spikequant.golden.checkpoint.description import (
    DESCRIPTION,
    FORMAT_VERSION,
    TENSORS,
    Description,
    LayerFacts,
    check_files,
    read_description,
    sha256,
)
from spikequant.golden.models.model import LanguageModel, linearize, one_line, replace_layer, site_name
from spikequant.golden.quantizer.linear import SpikeQuantLinear, quantized_layers
from spikequant.golden.quantizer.recipe import Recipe
from spikequant.golden.quantizer.site import AnySite
from spikequant.golden.quantizer.weights import QuantizedWeight
from spikequant.golden.support.errors import InputError
from spikequant.golden.support.files import replace_file, writable_folder, write_text

NIBBLE = 4
"""Codes of so many bits or fewer are stored two a byte."""


@dataclass(frozen=True)
class Checkpoint:
    """A loaded checkpoint.

    Attributes:
        language_model: the quantized model and its tokenizer.
        description: the facts beside it.
    """

    language_model: LanguageModel
    description: Description


def is_checkpoint(path: Path) -> bool:
    """Whether a folder looks like a checkpoint."""
    return (path / DESCRIPTION).is_file()


def pack_nibbles(codes: Tensor) -> Tensor:
    """Two 4-bit codes a byte, the earlier column in the low half.

    Args:
        codes: uint8 [N, K], 0..15.

    Returns:
        uint8 [N, ceil(K / 2)].
    """
    even, odd = codes[:, 0::2].clone(), codes[:, 1::2]
    even[:, : odd.shape[1]] |= odd << 4
    return even


def unpack_nibbles(packed: Tensor, columns: int) -> Tensor:
    """The inverse of ``pack_nibbles``: uint8 [N, columns] of uint8 [N, ceil(columns / 2)]."""
    return torch.stack([packed & 15, packed >> 4], dim=2).flatten(1)[:, :columns].contiguous()


def _tensors(language_model: LanguageModel) -> dict[str, Tensor]:
    """Every tensor of the model; codes packed, a tied output head left out, no wide columns left out."""
    model = language_model.model
    layers = quantized_layers(model)
    tensors: dict[str, Tensor] = {}
    seen: set[int] = set()
    for name, tensor in model.state_dict().items():
        owner, _, last = name.rpartition(".")
        if owner in layers and last in {"wide", "low"} and not layers[owner].wide.numel():
            continue
        if tensor.data_ptr() in seen:
            continue
        seen.add(tensor.data_ptr())
        packed = owner in layers and (last == "low" or (last == "codes" and layers[owner].weight_bits <= NIBBLE))
        tensors[name] = pack_nibbles(tensor) if packed else tensor.contiguous()
    return tensors


def save_checkpoint(
    folder: Path, language_model: LanguageModel, recipe: Recipe, *, calibration: str, training: str = ""
) -> None:
    """Write a quantized model. The description comes last, so that a broken run never looks complete.

    Args:
        folder: made where it is missing.
        language_model: with quantized layers.
        recipe: how they were made.
        calibration: one line about the calibration text.
        training: one line about what was learned from it.

    Raises:
        InputError: the folder cannot be written.
    """
    writable_folder(folder)
    layers = quantized_layers(language_model.model)
    with tempfile.TemporaryDirectory(dir=folder) as name:
        beside = Path(name)
        language_model.tokenizer.save_pretrained(beside)
        save_file(_tensors(language_model), beside / TENSORS)
        written = sorted(path for path in beside.iterdir() if path.is_file())
        digests = {path.name: sha256(path) for path in written}
        for path in written:
            with replace_file(folder / path.name) as target:
                path.replace(target)
    description = Description(
        format_version=FORMAT_VERSION,
        name=language_model.name,
        calibration=calibration,
        training=training,
        recipe=recipe,
        config=language_model.model.config.to_dict(),
        sites={site_name(name): layer.site for name, layer in layers.items()},
        layers={
            name: LayerFacts(
                site=site_name(name),
                inputs=layer.codes.shape[1],
                outputs=layer.codes.shape[0],
                weight_bits=layer.weight_bits,
            )
            for name, layer in layers.items()
        },
        files=digests,
    )
    write_text(folder / DESCRIPTION, description.model_dump_json(indent=1) + "\n")


class TensorReader:
    """Takes tensors by name and shape out of a file's content.

    Args:
        path: a safetensors file.

    Raises:
        InputError: it is none.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self.tensors = load_file(path)
        except (SafetensorError, OSError) as error:
            raise InputError(f"checkpoint {path}: not a safetensors file: {one_line(error)}") from None

    def take(self, name: str, dtype: torch.dtype, *shape: int) -> Tensor:
        """One tensor, which is then gone from the content.

        Raises:
            InputError: it is missing, or not as expected.
        """
        tensor = self.tensors.pop(name, None)
        if tensor is None:
            raise InputError(f"checkpoint {self.path}: tensor {name} is missing")
        if tensor.dtype != dtype or tensor.shape != shape:
            got = f"{tensor.dtype} {list(tensor.shape)}"
            raise InputError(f"checkpoint {self.path}: tensor {name} is {got}, expected {dtype} {list(shape)}")
        return tensor

    def layer(self, name: str, facts: LayerFacts, site: AnySite) -> SpikeQuantLinear:
        """A quantized layer, from all tensors of its name.

        Raises:
            InputError: one is missing, not as expected, or holds what no quantizer gives.
        """
        rows, columns = facts.outputs, facts.inputs
        count = self.tensors[f"{name}.wide"].numel() if f"{name}.wide" in self.tensors else 0
        wide, low = torch.zeros(0, dtype=torch.int32), torch.zeros(rows, 0, dtype=torch.uint8)
        if count:
            wide = self.take(f"{name}.wide", torch.int32, count)
            low = unpack_nibbles(self.take(f"{name}.low", torch.uint8, rows, -(-count // 2)), count)
        if facts.weight_bits <= NIBBLE:
            codes = unpack_nibbles(self.take(f"{name}.codes", torch.uint8, rows, -(-columns // 2)), columns)
        else:
            codes = self.take(f"{name}.codes", torch.uint8, rows, columns)
        weight = QuantizedWeight(
            codes=codes,
            zeros=self.take(f"{name}.zeros", torch.uint8, rows),
            scales=self.take(f"{name}.scales", torch.float32, rows),
            wide=wide,
            low=low,
            bits=facts.weight_bits,
        )
        bias = self.take(f"{name}.bias", torch.float32, rows) if f"{name}.bias" in self.tensors else None
        peaks = self.take(f"{name}.output_peaks", torch.float32, rows)
        ascending = wide.diff(prepend=torch.tensor([-1], dtype=torch.int32)) > 0
        self._check(f"{name}.wide", ascending & (wide < columns), f"ascending columns below {columns}")
        for part, unsigned in (("codes", weight.codes), ("zeros", weight.zeros)):
            self._check(f"{name}.{part}", unsigned <= 2**weight.bits - 1, f"0..{2**weight.bits - 1}")
        for part, positive in (("scales", weight.scales), ("output_peaks", peaks)):
            self._check(f"{name}.{part}", (positive > 0) & positive.isfinite(), "positive finite numbers")
        if bias is not None:
            self._check(f"{name}.bias", bias.isfinite(), "finite numbers")
        return SpikeQuantLinear(weight, bias, site, peaks)

    def _check(self, name: str, sound: Tensor, expected: str) -> None:
        if not bool(sound.all()):
            raise InputError(
                f"checkpoint {self.path}: tensor {name} holds what no quantizer gives, expected {expected}"
            )


def load_checkpoint(folder: Path) -> Checkpoint:
    """Read a quantized model back, bit for bit. Nothing is unpickled.

    Raises:
        InputError: a file is missing, damaged, newer, or does not fit the others.
    """
    description = read_description(folder)
    check_files(folder, description)
    reader = TensorReader(folder / TENSORS)
    values = dict(description.config)
    try:
        config = AutoConfig.for_model(values.pop("model_type", ""), **values)
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
        linearize(model)
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except Exception as error:
        raise InputError(f"checkpoint {folder}: cannot build the model: {one_line(error)}") from None
    for name, facts in description.layers.items():
        if facts.site not in description.sites:
            raise InputError(f"checkpoint {folder / DESCRIPTION}: layer {name} has unknown site {facts.site!r}")
        layer = reader.layer(name, facts, description.sites[facts.site])
        try:
            replace_layer(model, name, layer)
        except AttributeError:
            raise InputError(f"checkpoint {folder / DESCRIPTION}: the model has no layer {name}") from None
    _load_rest(model, reader, description)
    return Checkpoint(LanguageModel(model, tokenizer, description.name), description)


def _load_rest(model: PreTrainedModel, reader: TensorReader, description: Description) -> None:
    """What is not quantized: embeddings, norms, the output head where it is not tied."""
    model.tie_weights()
    own = model.state_dict()
    filled: set[int] = set()
    for name in sorted(reader.tensors):
        if name not in own:
            raise InputError(f"checkpoint {reader.path}: tensor {name} belongs to no part of the model")
        filled.add(own[name].data_ptr())
        own[name].copy_(reader.take(name, own[name].dtype, *own[name].shape))
    for name, tensor in own.items():
        if name.rpartition(".")[0] not in description.layers and tensor.data_ptr() not in filled:
            raise InputError(f"checkpoint {reader.path}: tensor {name} is missing")
