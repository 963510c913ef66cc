"""The matched multiply-accumulate array's arithmetic, where it differs: how levels are fed, and how codes are made.

Its membranes are those of ``golden.integer``. Its codes come from a multiplication instead of a threshold,
``sign(V') * min(2**(B-1) - 1, (|V'| * multiplier + 2**(shift - 1)) >> shift)``: the usual requantization, which is
exact to about 2**-14 of a code. So it differs from the threshold only by one, and only next to a tie.
"""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from golden.integer import Integers, LayerOutput, run_layer
from golden.spec import THETA_BITS, Spec
from golden.vectors import LayerVectors

MULTIPLIER_BITS = 18
"""Width of a multiplier: a factor of one multiplier block."""

SHIFT_STEP = 4
"""Shifts are this far apart, so a multiplier uses all but so many of its bits."""


def level_bits(spec: Spec) -> int:
    """Width of a level at a multiplier, two's complement: all normal levels, and half the span of the salient ones."""
    return max(spec.activation_bits + 1, spec.salient_bits)


def feed_cycles(spec: Spec, level: NDArray[np.int64], salient: NDArray[np.bool_], shift: int) -> int:
    """Cycles that the array takes for a token's tile: every row one, silent or not, and the salient ones more.

    Salient levels with a shift are fed by themselves before, from the rows that have any, and doubled once a cycle,
    or, where that does not fit, as a phase of their own. A level too large for the multipliers comes again with what
    is left of it, and its row with it.

    Args:
        spec: the accelerator.
        level: int64 [n], levels of the inputs in the tile.
        salient: bool [n], which of them are salient codes.
        shift: power of two on the salient codes.
    """
    padding = -len(level) % spec.lanes
    fed = np.where(salient, level >> shift, level)
    largest = 2 ** (level_bits(spec) - 1) - 1 + (fed < 0)
    feeds = -(-np.abs(fed) // largest)
    apart = salient & (fed != 0) & (shift > 0)
    high, low = (
        np.pad(np.where(chosen, feeds, 0), (0, padding)).reshape(-1, spec.lanes).max(axis=1)
        for chosen in (apart, ~apart)
    )
    merged = bool(apart.any()) and int(apart.sum()) <= spec.merged_inputs >> shift
    return int(high.sum() + np.maximum(low, 1).sum()) + (shift if merged else 0)


def first_shift(spec: Spec) -> int:
    """The smallest shift: one where the largest multiplier gives the largest code for every membrane but 0."""
    return MULTIPLIER_BITS - spec.output_bits


def largest_step(spec: Spec) -> int:
    """Number of the largest shift: one where the largest theta still has a multiplier of 14 bits or more."""
    lacking = THETA_BITS - spec.theta_fraction_bits + MULTIPLIER_BITS - SHIFT_STEP - first_shift(spec)
    return max(0, -(-lacking // SHIFT_STEP))


def make_scale(theta: NDArray[np.integer[Any]], spec: Spec) -> NDArray[np.uint32]:
    """What takes theta's place in a NEURONS packet: the multiplier, and above it the number of its shift.

    ``shift = first_shift + SHIFT_STEP * step`` is the largest with ``multiplier = round(2**(F + shift) / theta)``, ties
    upwards, below ``2**MULTIPLIER_BITS``. Where there is none, the largest multiplier stands for all above it.

    Args:
        theta: [N], 1 or more.
        spec: the accelerator.
    """
    scale = np.zeros(theta.shape, np.uint32)
    for index, divisor in enumerate(theta.astype(np.int64).tolist()):
        for step in reversed(range(largest_step(spec) + 1)):
            shift = first_shift(spec) + SHIFT_STEP * step
            multiplier = ((2 << (spec.theta_fraction_bits + shift)) + divisor) // (2 * divisor)
            if multiplier < 2**MULTIPLIER_BITS:
                break
        scale[index] = min(multiplier, 2**MULTIPLIER_BITS - 1) | step << MULTIPLIER_BITS
    return scale


def dequantize(membrane: Integers, scale: NDArray[np.uint32], spec: Spec) -> NDArray[np.int32]:
    """Output codes by multiplication, int32 [T, N].

    Args:
        membrane: int64 [T, N], V'.
        scale: uint32 [N], as ``make_scale`` has it.
        spec: the accelerator.
    """
    multiplier = scale.astype(np.int64) & (2**MULTIPLIER_BITS - 1)
    shift = first_shift(spec) + SHIFT_STEP * (scale.astype(np.int64) >> MULTIPLIER_BITS)
    product = np.abs(membrane) * multiplier
    magnitude = (product + (np.int64(1) << (shift - 1))) >> shift
    return (np.sign(membrane) * np.minimum(magnitude, spec.max_output_code)).astype(np.int32)


def mac_vectors(vectors: LayerVectors, spec: Spec) -> LayerVectors:
    """The layer as the twin's packets have it: each theta replaced by its scale."""
    return replace(vectors, theta=make_scale(vectors.theta, spec))


def run_mac_layer(vectors: LayerVectors, spec: Spec) -> LayerOutput:
    """What the twin gives for a layer, with the layer's own thetas; membranes and flags as ``run_layer`` has them."""
    output = run_layer(vectors, spec)
    return replace(output, code=dequantize(output.membrane, make_scale(vectors.theta, spec), spec))
