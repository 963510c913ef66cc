"""The layer that a command runs: from a file of integers, or of a quantized model."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spikequant.golden.support.errors import InputError

if TYPE_CHECKING:
    from spikequant.golden.layer.spec import Spec
    from spikequant.golden.layer.vectors import LayerVectors

VectorsFile = Annotated[
    Path | None, typer.Option(metavar="IN.npz", help="integers of a layer and its tokens", show_default=False)
]
CheckpointFolder = Annotated[Path | None, typer.Option(metavar="DIR", help="quantized model", show_default=False)]
LayerName = Annotated[
    str | None, typer.Option(metavar="NAME", help="layer of the model, such as model.layers.0.self_attn.k_proj")
]


def check_one_layer(command: str, *, vectors: Path | None, checkpoint: Path | None, layer: str | None) -> None:
    """That the options name one layer.

    Raises:
        InputError: they name none, or two.
    """
    if (vectors is None) == (checkpoint is None) or (checkpoint is None) != (layer is None):
        raise InputError(f"{command}: expected either --vectors IN.npz, or --checkpoint DIR with --layer NAME")


def chosen_layer(
    spec: "Spec", *, vectors: Path | None, checkpoint: Path | None, layer: str | None, tokens: int
) -> tuple[str, "LayerVectors"]:
    """The layer to run, and what messages call it.

    Args:
        spec: the accelerator that runs it.
        vectors: file of a layer and its tokens.
        checkpoint: folder of a quantized model, where there is no such file.
        layer: name of the model's layer.
        tokens: how many of its real tokens.

    Raises:
        InputError: there is no such layer, or the accelerator cannot take it.
    """
    # a checkpoint loads PyTorch, which a file of integers does without
    if vectors is not None:
        from spikequant.golden.layer.vectors import load_vectors

        return str(vectors), load_vectors(vectors, spec)
    assert checkpoint is not None
    assert layer is not None
    from spikequant.golden.checkpoint.checkpoint import load_checkpoint
    from spikequant.golden.evaluation.trace import layer_vectors

    integers, _ = layer_vectors(load_checkpoint(checkpoint).language_model, layer, tokens, spec)
    return f"{layer} of {checkpoint}", integers
