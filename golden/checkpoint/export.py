"""Float models as folders that transformers reads, for tools outside of this project."""

from pathlib import Path

import torch
from transformers import AutoModelForCausalLM

from spikequant.golden.checkpoint.layers import module_tensors
from spikequant.golden.models.model import LanguageModel
from spikequant.golden.models.prefix import NAME as PREFIX
from spikequant.golden.quantizer.linear import quantized_layers
from spikequant.golden.support.errors import InputError
from spikequant.golden.support.files import writable_folder, write_errors
from spikequant.golden.support.tensor_file import write_tensors


def export_floats(language_model: LanguageModel, folder: Path) -> None:
    """Write a float model and its tokenizer, whatever file they came from; ``save_pretrained`` refuses GGUF's.

    A prefix, which transformers does not know, stays out.

    Args:
        language_model: a float model.
        folder: made where it is missing.

    Raises:
        InputError: the model is quantized, or keeps its matrices in another form than its file; or the folder cannot
            be written.
    """
    model = language_model.model
    if quantized_layers(model):
        raise InputError(f"model {language_model.name}: quantized, expected a float model to export")
    tensors = {name: tensor for name, tensor in module_tensors(model).items() if not name.startswith(f"{PREFIX}.")}
    with torch.device("meta"):
        shapes = {
            name: tensor.shape for name, tensor in AutoModelForCausalLM.from_config(model.config).state_dict().items()
        }
    for name, tensor in tensors.items():
        if shapes.get(name) != tensor.shape:
            raise InputError(
                f"model {language_model.name}: {name} is kept as {list(tensor.shape)}, expected the shape of its file: "
                "a model with Conv1D layers cannot be exported"
            )
    writable_folder(folder)
    with write_errors(folder):
        model.config.save_pretrained(folder)
        language_model.tokenizer.save_pretrained(folder)
    write_tensors(folder / "model.safetensors", tensors, {"format": "pt"})
