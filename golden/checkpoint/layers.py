"""The serializer of quantized layers: a module as named tensors and facts, and back, bit for bit."""

from pathlib import Path

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from spikequant.golden.models.model import replace_layer, site_name
from spikequant.golden.quantizer.linear import SpikeQuantLinear, quantized_layers
from spikequant.golden.quantizer.output_steps import MAX_EXPONENT, OutputSteps
from spikequant.golden.quantizer.site import AnySite
from spikequant.golden.quantizer.weights import QuantizedWeight
from spikequant.golden.support.errors import InputError

NIBBLE = 4
"""Largest width, in bits, of codes that are stored two a byte."""


class LayerFacts(BaseModel):
    """The facts of one quantized layer that its tensors do not hold.

    Attributes:
        site: name of its input site.
        inputs: K, 1 or more.
        outputs: N, 1 or more.
        weight_bits: width of a weight code, 1..8.
        output_scale: value of one unit of the layer's integer result, positive.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    site: str
    inputs: int = Field(ge=1)
    outputs: int = Field(ge=1)
    weight_bits: int = Field(ge=1, le=8)
    output_scale: float = Field(gt=0, allow_inf_nan=False)


class LayerTable(BaseModel):
    """All quantized layers of a module, without their tensors.

    Attributes:
        sites: input sites by name.
        layers: layers by name.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    sites: dict[str, AnySite]
    layers: dict[str, LayerFacts]


def layer_table(module: nn.Module) -> LayerTable:
    """The sites and the layers of a quantized module."""
    layers = quantized_layers(module)
    facts = {
        name: LayerFacts(
            site=site_name(name),
            inputs=layer.codes.shape[1],
            outputs=layer.codes.shape[0],
            weight_bits=layer.weight_bits,
            output_scale=layer.output_scale,
        )
        for name, layer in layers.items()
    }
    return LayerTable(sites={site_name(name): layer.site for name, layer in layers.items()}, layers=facts)


def module_tensors(module: nn.Module) -> dict[str, Tensor]:
    """Every tensor of a quantized module by name, as it is stored.

    Codes of up to 4 bits and low halves are packed two a byte. A layer without wide columns has no ``wide`` and no
    ``low``. Of tensors that share memory, such as a tied output head, only the first is there.
    """
    layers = quantized_layers(module)
    tensors: dict[str, Tensor] = {}
    seen: set[int] = set()
    for name, tensor in module.state_dict().items():
        owner, _, last = name.rpartition(".")
        if owner in layers and last in {"wide", "low"} and not layers[owner].wide.numel():
            continue
        if tensor.data_ptr() in seen:
            continue
        seen.add(tensor.data_ptr())
        packed = owner in layers and (last == "low" or (last == "codes" and layers[owner].weight_bits <= NIBBLE))
        tensors[name] = pack_nibbles(tensor) if packed else tensor.contiguous()
    return tensors


def load_module(module: nn.Module, reader: "TensorReader", table: LayerTable) -> None:
    """Put quantized layers and all other tensors into a float module, in place.

    Args:
        module: of the same structure as the stored one, with float layers.
        reader: all tensors of the stored module; they are taken out of it.
        table: its quantized layers.

    Raises:
        InputError: tensors, table and module do not fit each other.
    """
    for name, facts in table.layers.items():
        if facts.site not in table.sites:
            raise InputError(f"checkpoint {reader.path.parent}: layer {name} has unknown site {facts.site!r}")
        layer = reader.layer(name, facts, table.sites[facts.site])
        try:
            replace_layer(module, name, layer)
        except AttributeError:
            raise InputError(f"checkpoint {reader.path.parent}: the model has no layer {name}") from None
    own = module.state_dict()
    filled: set[int] = set()
    for name in sorted(reader.tensors):
        if name not in own:
            raise InputError(f"checkpoint {reader.path}: tensor {name} belongs to no part of the model")
        filled.add(own[name].data_ptr())
        own[name].copy_(reader.take(name, own[name].dtype, *own[name].shape))
    for name, tensor in own.items():
        if name.rpartition(".")[0] not in table.layers and tensor.data_ptr() not in filled:
            raise InputError(f"checkpoint {reader.path}: tensor {name} is missing")


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


class TensorReader:
    """Stored tensors, taken one by one after a check of their shapes and values.

    Args:
        path: the file that they come from, for errors.
        tensors: its content, by name.
    """

    def __init__(self, path: Path, tensors: dict[str, Tensor]) -> None:
        self.path = path
        self.tensors = tensors

    def take(self, name: str, dtype: torch.dtype, *shape: int) -> Tensor:
        """Remove and return one tensor.

        Raises:
            InputError: it is missing, or has another type or shape.
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
            InputError: a tensor is missing, of another type or shape, or has values that no quantizer makes.
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
        exponents = self.take(f"{name}.output_exponents", torch.uint8, rows)
        ascending = wide.diff(prepend=torch.tensor([-1], dtype=torch.int32)) > 0
        self._check(f"{name}.wide", ascending & (wide < columns), f"ascending columns below {columns}")
        for part, unsigned in (("codes", weight.codes), ("zeros", weight.zeros)):
            self._check(f"{name}.{part}", unsigned <= 2**weight.bits - 1, f"0..{2**weight.bits - 1}")
        self._check(f"{name}.output_exponents", exponents <= MAX_EXPONENT, f"0..{MAX_EXPONENT}")
        usable = (weight.scales > 0) & weight.scales.isfinite()
        self._check(f"{name}.scales", usable, "positive finite numbers")
        if bias is not None:
            self._check(f"{name}.bias", bias.isfinite(), "finite numbers")
        layer = SpikeQuantLinear(weight, bias, site, OutputSteps(facts.output_scale, exponents))
        if f"{name}.remainder" in self.tensors:
            layer.register_buffer("remainder", self.take(f"{name}.remainder", torch.bfloat16, rows, columns))
        return layer

    def _check(self, name: str, valid: Tensor, expected: str) -> None:
        if not bool(valid.all()):
            raise InputError(f"checkpoint {self.path}: tensor {name} holds impossible values, expected {expected}")
