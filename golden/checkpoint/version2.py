"""Checkpoints of format 2, in which each output had a step of its own: its largest magnitude over the largest code.

They are read with the next larger steps of today's format. Membranes are the same, and codes up to a factor of two
coarser.
"""

from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from spikequant.golden.quantizer.affine import positive
from spikequant.golden.quantizer.output_steps import MAX_EXPONENT, OUTPUT_BITS, OutputSteps
from spikequant.golden.support.errors import InputError, one_line

VERSION = 2

PEAKS = "output_peaks"
"""Name of a layer's tensor, float32 [N], largest magnitude of each output."""


def steps_from_peaks(peaks: Tensor) -> OutputSteps:
    """The smallest steps of powers of two whose largest codes reach the peaks, float32 [N], positive.

    An output whose peak is more than 2**15 times smaller than the layer's largest one gets a larger step.
    """
    exponents = positive(peaks / (2 ** (OUTPUT_BITS - 1) - 1)).log2().ceil()
    lowest = float(exponents.max()) - MAX_EXPONENT
    lowest = max(lowest, float(exponents.min()))
    return OutputSteps(2.0**lowest, (exponents - lowest).clamp(0, MAX_EXPONENT).to(torch.uint8))


def with_scales(layers: dict[str, Any], path: Path) -> dict[str, Any]:
    """The description's entries of layers, each with the scale of its steps from the file of tensors.

    Raises:
        InputError: a layer's peaks are missing or impossible, or the file cannot be read.
    """
    try:
        with safe_open(path, framework="pt") as file:
            peaks = {name: file.get_tensor(f"{name}.{PEAKS}") for name in layers}
    except (SafetensorError, OSError) as error:
        raise InputError(f"checkpoint {path}: cannot read the peaks of all layers: {one_line(error)}") from None
    return {name: facts | {"output_scale": _checked(name, peaks[name], path).scale} for name, facts in layers.items()}


def with_exponents(tensors: dict[str, Tensor], path: Path) -> dict[str, Tensor]:
    """All tensors, with exponents of output steps in place of peaks.

    Raises:
        InputError: peaks are impossible.
    """
    found = {}
    for name, tensor in tensors.items():
        layer, _, last = name.rpartition(".")
        if last == PEAKS:
            found[f"{layer}.output_exponents"] = _checked(layer, tensor, path).exponents
        else:
            found[name] = tensor
    return found


def _checked(name: str, peaks: Tensor, path: Path) -> OutputSteps:
    if peaks.ndim != 1 or not peaks.numel() or not bool(((peaks > 0) & peaks.isfinite()).all()):
        raise InputError(
            f"checkpoint {path}: tensor {name}.{PEAKS} holds impossible values, expected positive finite numbers"
        )
    return steps_from_peaks(peaks)
