"""Finished blocks on disk, so that an interrupted quantization of a large model resumes."""

from pathlib import Path
from typing import Any

from torch import Tensor, nn
from transformers import PreTrainedModel

from spikequant.golden.checkpoint.layers import LayerTable, TensorReader, layer_table, load_module, module_tensors
from spikequant.golden.models.model import decoder_blocks
from spikequant.golden.models.prefix import model_prefix
from spikequant.golden.quantizer.fake_quant import FakeQuantLinear
from spikequant.golden.support.tensor_file import find_tensors, keep_tensors

HIDDEN = "hidden."
"""Prefix of the hidden states' names in a block's file."""


PREFIX = ("prefix.keys", "prefix.values")
"""Names of the prefix's states in a block's file."""


class BlockStore:
    """Quantized blocks as ``block-NNN.safetensors``, the newest with the hidden states after it.

    Args:
        folder: made where it is missing.
        digest: of everything that the blocks depend on; blocks of another digest are not used.
    """

    def __init__(self, folder: Path, digest: str) -> None:
        self.folder = folder
        self.digest = digest

    def _path(self, block: int) -> Path:
        return self.folder / f"block-{block:03}.safetensors"

    def keep(self, model: PreTrainedModel, block: int, hidden: list[Tensor]) -> None:
        """Write a finished block, and then the previous one without its hidden states.

        Raises:
            TypeError: one of its layers has no codes.
            InputError: the folder cannot be written.
        """
        blocks = list(decoder_blocks(model).values())
        self._write(model, block, blocks[block], hidden)
        if block:
            self._write(model, block - 1, blocks[block - 1], [])

    def _write(self, model: PreTrainedModel, block: int, module: nn.Module, hidden: list[Tensor]) -> None:
        for name, layer in module.named_modules():
            if isinstance(layer, nn.Linear | FakeQuantLinear):
                raise TypeError(f"block {block}: {name} is {type(layer).__name__}, expected SpikeQuantLinear")
        tensors = module_tensors(module) | {f"{HIDDEN}{i:06}": states for i, states in enumerate(hidden)}
        prefix = model_prefix(model)
        if prefix:
            tensors |= dict(zip(PREFIX, prefix.states(block), strict=True))
        keep_tensors(self._path(block), self.digest, tensors, layers=layer_table(module).model_dump_json())

    def resume(self, model: PreTrainedModel) -> tuple[int, list[Tensor]] | None:
        """Put the stored blocks into a float model.

        Returns:
            Number of blocks, and the hidden states after the last of them; None if nothing usable is stored.

        Raises:
            InputError: a stored block does not fit the model.
        """
        blocks = list(decoder_blocks(model).values())
        files: list[Any] = []
        hidden: list[str] = []
        # files after the first block with hidden states, if any, are from an earlier run
        while not hidden:
            file = find_tensors(self._path(len(files)), self.digest) if len(files) < len(blocks) else None
            if file is None:
                return None
            hidden = sorted(name for name in file.keys() if name.startswith(HIDDEN))  # noqa: SIM118 - no dictionary
            files.append(file)
        for block, file in enumerate(files):
            apart = (HIDDEN, *PREFIX)
            names = [name for name in file.keys() if not name.startswith(apart)]  # noqa: SIM118 - no dictionary
            prefix = model_prefix(model)
            if prefix:
                for name, state in zip(PREFIX, prefix.states(block), strict=True):
                    state.copy_(file.get_tensor(name))
            reader = TensorReader(self._path(block), {name: file.get_tensor(name) for name in names})
            load_module(blocks[block], reader, LayerTable.model_validate_json(file.metadata()["layers"]))
        return len(files), [files[-1].get_tensor(name) for name in hidden]
