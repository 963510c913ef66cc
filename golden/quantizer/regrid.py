"""Errors of weights that are rounded twice: on the grid of a low-bit checkpoint, then on that of SpikeQuant."""

from collections.abc import Iterator
from dataclasses import dataclass

from spikequant.golden.models.model import decoder_blocks
from spikequant.golden.models.packed_checkpoint import PackedCheckpoint
from spikequant.golden.models.packed_weights import PackedWeight
from spikequant.golden.quantizer.recipe import Weights
from spikequant.golden.quantizer.weights import quantize_weight


@dataclass(frozen=True)
class RegridError:
    """Difference between the weights of a checkpoint and their nearest ones on another grid, for one layer.

    Attributes:
        layer: its name.
        error: norm of the difference over the norm of the weights; 0 if these are all 0.
        changed: share of the weights, 0..1, that are more than half a step of the checkpoint's grid away, so that
            they would round to another code there.
    """

    layer: str
    error: float
    changed: float


def regrid_error(layer: str, weight: PackedWeight, choices: Weights) -> RegridError:
    """Round a layer's weights to the nearest on the grid of a recipe.

    Calibration takes no part, which moves weights on purpose, to compensate errors of other weights and of inputs.

    Args:
        layer: its name.
        weight: on the grid of the checkpoint.
        choices: width, wide columns and clip search of the grid.
    """
    values = weight.values()
    rounded = quantize_weight(
        values, bits=choices.bits, wide_fraction=choices.wide_fraction, clip_search=choices.clip_search
    )
    difference = rounded.values() - values
    norm = float(values.norm())
    return RegridError(
        layer,
        error=float(difference.norm()) / norm if norm else 0.0,
        changed=float((difference.abs() > weight.steps().abs() / 2).float().mean()),
    )


def regrid_errors(checkpoint: PackedCheckpoint, choices: Weights) -> Iterator[RegridError]:
    """Errors of all packed layers of the decoder, one layer in memory at a time; arguments as ``regrid_error``.

    Raises:
        InputError: tensors are missing, or do not fit each other.
    """
    blocks = tuple(f"{name}." for name in decoder_blocks(checkpoint.skeleton))
    for layer in checkpoint.layers:
        if layer.startswith(blocks):
            yield regrid_error(layer, checkpoint.weight(layer), choices)


def regrid_summary(errors: list[RegridError]) -> str:
    """One line on the errors of one layer or more."""
    mean = sum(error.error for error in errors) / len(errors)
    changed = sum(error.changed for error in errors) / len(errors)
    worst = max(errors, key=lambda error: error.error)
    return (
        f"regrid of {len(errors)} layers: mean weight error {mean:.2%}, largest {worst.error:.2%} in {worst.layer}, "
        f"{changed:.2%} of the weights nearer to another code of the checkpoint"
    )
