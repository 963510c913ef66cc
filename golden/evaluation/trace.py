"""Integers of quantized layers on activations of real text, for the hardware."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from difflib import get_close_matches

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import PreTrainedModel

from spikequant.golden.layer.spec import Spec
from spikequant.golden.layer.vectors import LayerVectors
from spikequant.golden.models.model import LanguageModel
from spikequant.golden.models.prefix import fit_window
from spikequant.golden.models.reading import model_starts, model_windows
from spikequant.golden.models.text import Corpus, trace_corpus
from spikequant.golden.quantizer.linear import SpikeQuantLinear, quantized_layers
from spikequant.golden.support.errors import InputError

TRACE_CONTEXT = 512
"""Tokens in one window of held-out text."""


def find_layers(model: LanguageModel, names: list[str]) -> dict[str, SpikeQuantLinear]:
    """Quantized layers by name.

    Raises:
        InputError: the model has no quantized layer of this name; the message lists similar names.
    """
    layers = quantized_layers(model.model)
    for name in names:
        if name not in layers:
            close = get_close_matches(name, layers, n=3, cutoff=0.3) or list(layers)[:3]
            expected = f"expected one like {', '.join(close)}" if close else "it has none, expected a quantized model"
            raise InputError(f"layer {name!r}: not a quantized layer of {model.name}, {expected}")
    return {name: layers[name] for name in names}


@torch.no_grad()
def catch_inputs(
    model: PreTrainedModel, layers: Mapping[str, SpikeQuantLinear], windows: list[Tensor]
) -> dict[str, Tensor]:
    """Inputs, float32 [tokens, K], of layers by name while the model reads windows, int64 [n]."""
    caught: dict[str, list[Tensor]] = {name: [] for name in layers}
    with ExitStack() as hooks:
        for name, layer in layers.items():

            def catch(_module: nn.Module, inputs: tuple[Tensor, ...], name: str = name) -> None:
                caught[name].append(inputs[0][0].clone())

            hooks.callback(layer.register_forward_pre_hook(catch).remove)
        for window in windows:
            model.base_model(window[None], use_cache=False)
    return {name: torch.cat(parts) for name, parts in caught.items()}


def capture_inputs(model: LanguageModel, names: list[str], tokens: int, texts: list[str]) -> dict[str, Tensor]:
    """Inputs of quantized layers while the quantized model reads text.

    Args:
        model: a quantized model.
        names: names of the layers.
        tokens: number of activation vectors, 1 or more.
        texts: plain texts, read in windows of up to 512 tokens.

    Returns:
        float32 [tokens, K] by layer name.

    Raises:
        InputError: unknown layer, or too little text.
    """
    layers = find_layers(model, names)
    if tokens < 1:
        raise InputError(f"tokens: {tokens}, expected 1 or more")
    windows = trace_windows(model, texts, tokens)
    found = sum(window.numel() for window in windows)
    if found < tokens:
        raise InputError(f"tokens: {tokens}, but the text has only {found}")
    return {name: values[:tokens] for name, values in catch_inputs(model.model, layers, windows).items()}


def trace_windows(model: LanguageModel, texts: list[str], tokens: int) -> list[Tensor]:
    """Windows, int64 [n], whose first ``tokens`` tokens, start tokens included, are traced.

    Raises:
        InputError: the texts have no token to score.
    """
    starts = len(model_starts(model))
    # fewer tokens of a window are scored than it has, so that these windows always hold enough tokens
    context = fit_window(model.model, min(TRACE_CONTEXT, tokens + max(1, starts)))
    return model_windows(model, Corpus("text", texts), tokens=tokens, context=context).windows


def trace_layers(
    model: LanguageModel, names: list[str], tokens: int, spec: Spec, *, texts: list[str] | None = None
) -> Iterator[tuple[str, LayerVectors, NDArray[np.float32]]]:
    """Trace layers in one pass over held-out text.

    Args:
        model: a quantized model.
        names: names of the layers.
        tokens: activation vectors of each layer, 1 or more.
        spec: sets theta and the salient window.
        texts: plain texts; the bundled evaluation articles by default.

    Yields:
        The layer's name, its integers, and its outputs in the model, float32 [tokens, N], read from membranes.

    Raises:
        InputError: unknown layer, too little text, or bit widths that differ between spec and model.
    """
    inputs = capture_inputs(model, names, tokens, trace_corpus().texts if texts is None else texts)
    for name, layer in find_layers(model, names).items():
        with torch.no_grad():
            output = layer.exact(inputs[name]).numpy()
        yield name, layer.vectors(inputs[name], spec), output


def layer_vectors(
    model: LanguageModel, name: str, tokens: int, spec: Spec, *, texts: list[str] | None = None
) -> tuple[LayerVectors, NDArray[np.float32]]:
    """Integers and float32 [tokens, N] outputs of one layer, as from ``trace_layers``."""
    return next((vectors, output) for _, vectors, output in trace_layers(model, [name], tokens, spec, texts=texts))
