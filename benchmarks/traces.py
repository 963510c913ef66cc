"""Traces: levels of all linear layers of a real model on real text, and one layer with its weights, in files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spikequant.golden.layer.spec import Spec
from spikequant.golden.layer.vectors import LayerVectors, load_vectors, save_arrays, save_vectors
from spikequant.golden.support.digest import digest_versions
from spikequant.golden.support.errors import InputError
from spikequant.golden.support.store import cached_build, cached_folder, digest_of

MODEL, RECIPE = "smollm2", "fast"
"""Traced if no checkpoint is given."""

TITLES = {"smollm2": "SmolLM2-135M-Instruct"}
"""Full names of models."""

CALIBRATION_TOKENS = 2048

KIND = "traces"
"""Kind of the folders in the cache."""

FILE = "traces.npz"

TILE_FILE = "tile.npz"

TILE_TOKENS = 8
"""Tokens of the layer that is stored with its weights."""

FIELDS = ("level", "salient", "shift", "wide")


@dataclass(frozen=True)
class Traces:
    """A traced model.

    Attributes:
        layers: by name with activations of real text, and with weights of zeros, in the model's order.
        tile: a layer from the model's middle, with its weights and no more than ``TILE_TOKENS`` tokens.
        digest: of what they were made from.
    """

    layers: dict[str, LayerVectors]
    tile: LayerVectors
    digest: str


def load_traces(checkpoint: Path | None, *, tokens: int, cache: Path) -> Traces:
    """All of a model's layers.

    Args:
        checkpoint: folder of a quantized model; None quantizes the bundled one.
        tokens: activation vectors a layer.
        cache: where traces of earlier runs are.

    Raises:
        InputError: the checkpoint, the model or the text is missing or damaged.
    """
    folder = trace_folder(checkpoint, tokens=tokens, cache=cache)
    cached_build(cache, KIND, folder.name.partition("-")[2], lambda fresh: _trace(fresh, checkpoint, tokens))
    return Traces(layers=read_traces(folder / FILE), tile=load_vectors(folder / TILE_FILE, Spec()), digest=folder.name)


def traced_model(traces: Traces, checkpoint: Path | None, *, tokens: int) -> str:
    """Description of the traced model by its name and recipe, which `spikequant quantize` takes.

    Arguments as ``load_traces``.
    """
    from spikequant.golden.checkpoint.description import read_description
    from spikequant.golden.quantizer.recipe import RECIPES

    name, recipe = MODEL, RECIPE
    if checkpoint is not None:
        found = read_description(checkpoint)
        name = found.name
        recipe = next((preset for preset, values in RECIPES.items() if values == found.recipe), "of its own")
    return f"{len(traces.layers)} layers of {TITLES.get(name, name)}, recipe {recipe}, {tokens} tokens"


def trace_folder(checkpoint: Path | None, *, tokens: int, cache: Path) -> Path:
    """Where the traces of a model are kept; arguments as ``load_traces``.

    Raises:
        InputError: the checkpoint is missing.
    """
    if checkpoint is not None and not (checkpoint / "spikequant.json").is_file():
        raise InputError(f"checkpoint {checkpoint}: no such checkpoint, expected a folder with spikequant.json")
    source = f"{RECIPE} {CALIBRATION_TOKENS}" if checkpoint is None else _digest(checkpoint)
    return cached_folder(cache, KIND, digest_of([source, str(tokens), FILE, TILE_FILE, digest_versions()]))


def read_traces(path: Path) -> dict[str, LayerVectors]:
    """Read the layers from a file that ``write_traces`` wrote."""
    with np.load(path, allow_pickle=False) as arrays:
        names: Sequence[str] = arrays["names"].tolist()
        return {
            name: _layer(int(outputs), {field: arrays[f"{number}.{field}"] for field in FIELDS})
            for number, (name, outputs) in enumerate(zip(names, arrays["outputs"], strict=True))
        }


def write_traces(path: Path, layers: Mapping[str, LayerVectors]) -> None:
    """Write the arrays from which cycles are counted."""
    arrays: dict[str, NDArray[np.generic]] = {
        f"{number}.{field}": getattr(vectors, field)
        for number, vectors in enumerate(layers.values())
        for field in FIELDS
    }
    arrays["names"] = np.array(list(layers))
    arrays["outputs"] = np.array([vectors.outputs for vectors in layers.values()])
    save_arrays(path, arrays)


def _layer(outputs: int, arrays: dict[str, NDArray[np.generic]]) -> LayerVectors:
    tokens, inputs = arrays["level"].shape
    wide = arrays["wide"].astype(np.int32)
    return LayerVectors(
        w_code=np.broadcast_to(np.uint8(0), (outputs, inputs)),
        w_zero=np.zeros(outputs, np.uint8),
        level=arrays["level"].astype(np.int32),
        salient=arrays["salient"].astype(np.bool_),
        zero=np.zeros(tokens, np.uint8),
        shift=arrays["shift"].astype(np.uint8),
        offset=np.zeros(tokens, np.int8),
        theta=np.ones(outputs, np.uint32),
        bias=np.zeros(outputs, np.int32),
        wide=wide,
        w_low=np.broadcast_to(np.uint8(0), (outputs, wide.size)),
    )


def _digest(checkpoint: Path) -> str:
    from spikequant.golden.checkpoint.description import DESCRIPTION, sha256

    return " ".join(
        sha256(path)
        for path in sorted(checkpoint.iterdir())
        if path.name == DESCRIPTION or path.suffix == ".safetensors"
    )


def _trace(folder: Path, checkpoint: Path | None, tokens: int) -> None:
    # these load PyTorch, which takes longer than reading a trace
    from spikequant.golden.checkpoint.checkpoint import load_checkpoint
    from spikequant.golden.evaluation.methods import Calibration, apply_method
    from spikequant.golden.evaluation.trace import trace_layers
    from spikequant.golden.models.model import load_model
    from spikequant.golden.quantizer.linear import quantized_layers
    from spikequant.golden.quantizer.recipe import RECIPES
    from spikequant.golden.quantizer.spikequant import spikequant

    if checkpoint is None:
        model = load_model()
        apply_method(model, spikequant(RECIPES[RECIPE]), Calibration(tokens=CALIBRATION_TOKENS))
    else:
        model = load_checkpoint(checkpoint).language_model
    names = list(quantized_layers(model.model))
    layers = {name: vectors for name, vectors, _ in trace_layers(model, names, tokens, Spec())}
    write_traces(folder / FILE, layers)
    save_vectors(folder / TILE_FILE, layers[names[len(names) // 2]].of_tokens(slice(TILE_TOKENS)))
