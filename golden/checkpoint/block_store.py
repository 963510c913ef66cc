"""Finished blocks on disk, so that quantizing a large model goes on where it stopped."""

from pathlib import Path

import torch
from pydantic import BaseModel, ConfigDict, TypeAdapter
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import PreTrainedModel

from spikequant.golden.models.model import decoder_blocks
from spikequant.golden.quantizer.fake_quant import FakeQuantLinear
from spikequant.golden.quantizer.linear import SpikeQuantLinear
from spikequant.golden.quantizer.site import AnySite
from spikequant.golden.quantizer.weights import QuantizedWeight
from spikequant.golden.support.files import replace_file

HIDDEN = "hidden"
"""Prefix of the hidden states' names in a block's file."""


class _LayerFacts(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    site: AnySite
    weight_bits: int


_FACTS = TypeAdapter(dict[str, _LayerFacts])


class BlockStore:
    """Keeps each block as ``block-NNN.safetensors``, the newest with the hidden states after it.

    Args:
        folder: made where it is missing.
        digest: of all that the blocks depend on; blocks of another digest are not used.
    """

    def __init__(self, folder: Path, digest: str) -> None:
        self.folder = folder
        self.digest = digest

    def _path(self, block: int) -> Path:
        return self.folder / f"block-{block:03}.safetensors"

    def keep(self, model: PreTrainedModel, block: int, hidden: list[Tensor]) -> None:
        """Keep a finished block, and let go of the hidden states before it.

        Raises:
            TypeError: a layer of it holds no codes.
        """
        module = list(decoder_blocks(model).values())[block]
        self._write(block, module, hidden)
        if block:
            self._write(block - 1, list(decoder_blocks(model).values())[block - 1], [])

    def _write(self, block: int, module: nn.Module, hidden: list[Tensor]) -> None:
        for name, layer in module.named_modules():
            if isinstance(layer, nn.Linear | FakeQuantLinear):
                raise TypeError(f"block {block}: {name} is {type(layer).__name__}, expected SpikeQuantLinear")
        layers = {name: layer for name, layer in module.named_modules() if isinstance(layer, SpikeQuantLinear)}
        facts = {name: _LayerFacts(site=layer.site, weight_bits=layer.weight_bits) for name, layer in layers.items()}
        metadata = {"digest": self.digest, "layers": _FACTS.dump_json(facts).decode()}
        tensors = {name: tensor.contiguous() for name, tensor in module.state_dict().items()}
        tensors |= {f"{HIDDEN}.{i:06}": states for i, states in enumerate(hidden)}
        with replace_file(self._path(block)) as beside:
            save_file(tensors, beside, metadata)

    def resume(self, model: PreTrainedModel) -> tuple[int, list[Tensor]] | None:
        """Put the kept blocks into a float model.

        Returns:
            How many, and the hidden states after the last of them; None where there is nothing to use.
        """
        blocks = list(decoder_blocks(model).values())
        count = 0
        # what lies after the first block with hidden states, if anything, is from an earlier run
        while count < len(blocks) and (windows := self._hidden_windows(count)) is not None:
            count += 1
            if windows:
                break
        else:
            return None
        for block in range(count):
            _restore(blocks[block], *self._read(block))
        with safe_open(self._path(count - 1), framework="pt") as file:
            return count, [file.get_tensor(f"{HIDDEN}.{i:06}") for i in range(windows)]

    def _hidden_windows(self, block: int) -> int | None:
        """Of how many windows a kept block has the hidden states; None where it is not there to use."""
        try:
            with safe_open(self._path(block), framework="pt") as file:
                if (file.metadata() or {}).get("digest") != self.digest:
                    return None
                return sum(name.startswith(HIDDEN) for name in file.keys())  # noqa: SIM118 - no dictionary
        except (OSError, SafetensorError):
            return None

    def _read(self, block: int) -> tuple[dict[str, Tensor], dict[str, _LayerFacts]]:
        with safe_open(self._path(block), framework="pt") as file:
            names = [name for name in file.keys() if not name.startswith(HIDDEN)]  # noqa: SIM118 - no dictionary
            return {name: file.get_tensor(name) for name in names}, _FACTS.validate_json(file.metadata()["layers"])

    def clear(self) -> None:
        """Remove the kept blocks."""
        for path in self.folder.glob("block-*.safetensors"):
            path.unlink()


def _restore(module: nn.Module, tensors: dict[str, Tensor], layers: dict[str, _LayerFacts]) -> None:
    for name, facts in layers.items():
        weight = QuantizedWeight(
            **{part: tensors[f"{name}.{part}"] for part in ("codes", "zeros", "scales", "wide", "low")},
            bits=facts.weight_bits,
        )
        layer = SpikeQuantLinear(weight, tensors.get(f"{name}.bias"), facts.site, tensors[f"{name}.output_peaks"])
        module.set_submodule(name, layer)
    with torch.no_grad():
        module.load_state_dict(tensors, strict=True)
