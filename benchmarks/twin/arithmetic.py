"""Arithmetic of the matched multiply-accumulate array where it differs: how levels are fed, and how codes are made.

Its membranes are those of ``golden.layer.integer``. Its codes come from a multiplication instead of a threshold,
``sign(V') * min(2**(B-1) - 1, (|V'| * multiplier + 2**(shift - 1)) >> shift)``: the usual requantization, which is
exact to about 2**-14 of a code, so it differs from the threshold by at most one, and only next to a tie.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikequant.golden.layer.integer import Integers, LayerOutput, run_layer
from spikequant.golden.layer.spec import THETA_BITS, Spec
from spikequant.golden.layer.vectors import LayerVectors
from spikequant.rtl.packet_sizes import CODES_PER_WORD

MULTIPLIER_BITS = 18
"""Width of a multiplier: a factor of one multiplier block."""

SHIFT_STEP = 4
"""Distance between shifts; a multiplier leaves at most as many of its bits unused."""

TOKENS_KEPT = 512
"""Most tokens in the buffers: the rows of a block RAM."""


def dense_spec(spec: Spec) -> Spec:
    """The spec that the array is built for: its charges have room for every level that the memory's inputs may have.

    It feeds whole tiles, so it does not cut them by the sum of their levels. All of its neurons are one cluster, and
    its weights have no parity.
    """
    population = (spec.depth * spec.max_level).bit_length()
    return spec.model_copy(update={"population_bits": population, "clusters": 1, "weight_parity": False})


def level_bits(spec: Spec) -> int:
    """Width of a level at a multiplier, two's complement: all normal levels, and half the span of the salient ones."""
    return max(spec.activation_bits + 1, spec.salient_bits)


def together(spec: Spec) -> int:
    """Lanes whose codes come in one cycle: a slice of a row."""
    return min(spec.lanes, CODES_PER_WORD)


def buffer_rows(spec: Spec) -> int:
    """Rows of each of the two buffers: as many as the accelerator's has beats, and a whole tile at least."""
    return max(spec.score_words, 1 << (spec.lane_rows - 1).bit_length())


def token_grain(spec: Spec) -> int:
    """Rows at whose multiples a token may begin in a buffer."""
    return max(1, 2 * buffer_rows(spec) // TOKENS_KEPT)


def token_rows(spec: Spec, inputs: int) -> int:
    """Rows of a buffer that a token's tile of so many inputs takes."""
    rows = min(-(-(inputs + -inputs % CODES_PER_WORD) // spec.lanes), spec.lane_rows)
    return rows + -rows % token_grain(spec)


@dataclass(frozen=True)
class Room:
    """Sums of levels below which charges have room, as ``level_sum`` counts them.

    Attributes:
        whole: for shifted salient levels together with all others.
        high: for these times ``2**weight_bits``, together with the low halves that follow.
        low: for the low halves that follow.
    """

    whole: int
    high: int
    low: int


def charge_room(spec: Spec) -> Room:
    """Sums of levels for which a charge has room.

    Bound: a weight counts as ``2**(weight_bits - 1)`` at most, a high half as ``2**weight_bits`` times that, and a low
    half as less than ``2**weight_bits``. High halves have 15 of 16 parts of the charge.
    """
    charge_bits = dense_spec(spec).charge_bits
    whole = 1 << (charge_bits - spec.weight_bits)
    part = charge_bits - 2 * spec.weight_bits - 4
    if part < 0:
        return Room(whole=whole, high=0, low=0)
    return Room(whole=whole, high=15 << part, low=1 << (part + spec.weight_bits - 1))


def level_sum(spec: Spec, level: NDArray[np.int64], salient: NDArray[np.bool_], shift: int) -> int:
    """An upper bound of the sum of the levels' magnitudes, as counted when they come in, a slice of a row a cycle.

    A slice with a salient level is shifted as a whole; arguments as for ``feed_cycles``.
    """
    padding = -len(level) % together(spec)
    fired, apart = (
        np.pad(array, (0, padding)).reshape(-1, together(spec))
        for array in (np.where(salient, level >> shift, level), salient & (level != 0))
    )
    return int((np.abs(fired).sum(axis=1) << np.where(apart.any(axis=1), shift, 0)).sum())


def feed_cycles(spec: Spec, level: NDArray[np.int64], salient: NDArray[np.bool_], shift: int) -> int:
    """Cycles of the array for a token's tile: one for every row, silent or not, and more for salient levels.

    Salient levels with a shift are fed first, from the rows that have any, and doubled once a cycle, or, if the charge
    has no room for that, as a phase of their own. A row with a level too large for the multipliers is fed again with
    the remainder.

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
    apart = _apart(level, salient, shift)
    high, low = (
        np.pad(np.where(chosen, feeds, 0), (0, padding)).reshape(-1, spec.lanes).max(axis=1)
        for chosen in (apart, ~apart)
    )
    merged = bool(apart.any()) and level_sum(spec, level, salient, shift) < charge_room(spec).whole
    return int(high.sum() + np.maximum(low, 1).sum()) + (shift if merged else 0)


def _apart(level: NDArray[np.int64], salient: NDArray[np.bool_], shift: int) -> NDArray[np.bool_]:
    return salient & (level != 0) & (shift > 0)


def joins(
    spec: Spec, level: NDArray[np.int64], salient: NDArray[np.bool_], shift: int, wide: NDArray[np.integer[Any]]
) -> bool:
    """Whether a tile's high halves and the low halves that follow are one phase.

    They are if both have room, and the shift is below a weight's bits.

    Args:
        spec: the accelerator.
        level: int64 [n], levels of the inputs in the tile.
        salient: bool [n], which of them are salient codes.
        shift: power of two on the salient codes.
        wide: which of them have low halves.
    """
    room = charge_room(spec)
    high = level_sum(spec, level, salient, shift)
    low = level_sum(spec, level[wide], salient[wide], shift)
    return shift < spec.weight_bits and high < room.high and low < room.low


def joined_cycles(
    spec: Spec, level: NDArray[np.int64], salient: NDArray[np.bool_], shift: int, wide: NDArray[np.integer[Any]]
) -> int:
    """Cycles of a tile whose halves are one phase: those of both halves and ``weight_bits`` doublings in between."""
    both = feed_cycles(spec, level, salient, shift) + feed_cycles(spec, level[wide], salient[wide], shift)
    listed = bool(_apart(level[wide], salient[wide], shift).any())
    return both + spec.weight_bits - (shift if listed else 0)


def first_shift(spec: Spec) -> int:
    """The smallest shift: one where the largest multiplier gives the largest code for every membrane but 0."""
    return MULTIPLIER_BITS - spec.output_bits


def largest_step(spec: Spec) -> int:
    """Number of the largest shift: one where the largest theta still has a multiplier of 14 bits or more."""
    lacking = THETA_BITS - spec.theta_fraction_bits + MULTIPLIER_BITS - SHIFT_STEP - first_shift(spec)
    return max(0, -(-lacking // SHIFT_STEP))


def make_scale(theta: NDArray[np.integer[Any]], spec: Spec) -> NDArray[np.uint32]:
    """Multipliers, with the number of the shift above each, which replace theta in a NEURONS packet.

    ``shift = first_shift + SHIFT_STEP * step`` is the largest with ``multiplier = round(2**(F + shift) / theta)``, ties
    upwards, below ``2**MULTIPLIER_BITS``. If there is none, the largest multiplier is used.

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
        scale: uint32 [N], from ``make_scale``.
        spec: the accelerator.
    """
    multiplier = scale.astype(np.int64) & (2**MULTIPLIER_BITS - 1)
    shift = first_shift(spec) + SHIFT_STEP * (scale.astype(np.int64) >> MULTIPLIER_BITS)
    product = np.abs(membrane) * multiplier
    magnitude = (product + (np.int64(1) << (shift - 1))) >> shift
    return (np.sign(membrane) * np.minimum(magnitude, spec.max_output_code)).astype(np.int32)


def mac_vectors(vectors: LayerVectors, spec: Spec) -> LayerVectors:
    """The layer with each theta replaced by its scale, for the twin's packets."""
    return replace(vectors, theta=make_scale(vectors.theta, spec))


def run_mac_layer(vectors: LayerVectors, spec: Spec) -> LayerOutput:
    """The twin's output for a layer with its own thetas; membranes and flags are those of ``run_layer``."""
    output = run_layer(vectors, spec)
    return replace(output, code=dequantize(output.membrane, make_scale(vectors.theta, spec), spec))
