"""Fusion: layers that read the same activations run as one layer of all their outputs.

Each token is then encoded and sorted once for all of them, and their outputs fill the array's tiles together.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import reduce
from itertools import accumulate, pairwise

import numpy as np
from numpy.typing import NDArray

from spikequant.golden.layer.integer import LayerOutput
from spikequant.golden.layer.vectors import PER_OUTPUT, PER_TOKEN, LayerVectors


def share_input(one: LayerVectors, other: LayerVectors) -> bool:
    """Whether two layers have equal activations, and membranes in the same unit: both have wide columns, or neither."""
    return bool(one.wide.size) == bool(other.wide.size) and all(
        np.array_equal(getattr(one, name), getattr(other, name)) for name in PER_TOKEN
    )


def neighbours_with_one_input(layers: Iterable[tuple[str, LayerVectors]]) -> Iterator[dict[str, LayerVectors]]:
    """Consecutive layers that share their input, by name; a layer without such neighbours comes alone."""
    group: dict[str, LayerVectors] = {}
    for name, vectors in layers:
        if group and not share_input(next(iter(group.values())), vectors):
            yield group
            group = {}
        group[name] = vectors
    if group:
        yield group


def fused_neighbours(layers: Iterable[tuple[str, LayerVectors]]) -> Iterator[tuple[tuple[str, ...], LayerVectors]]:
    """The groups of ``neighbours_with_one_input``, each with the names of its layers, as one layer."""
    for group in neighbours_with_one_input(layers):
        yield tuple(group), fuse(list(group.values()))


def fuse(layers: Sequence[LayerVectors]) -> LayerVectors:
    """One layer with the outputs of all layers, in order; its wide columns are the union of theirs.

    A column that is wide in another layer only gets low halves of 0, which change no membrane.

    Args:
        layers: one or more, of which each two ``share_input``.
    """
    first, *others = layers
    if not others:
        return first
    wide = reduce(np.union1d, (vectors.wide for vectors in layers)).astype(np.int32)
    widened = [{**vars(vectors), "w_low": _low_halves(vectors, wide)} for vectors in layers]
    joined = {name: np.concatenate([arrays[name] for arrays in widened]) for name in PER_OUTPUT}
    return LayerVectors(**{**vars(first), **joined, "wide": wide})


def _low_halves(vectors: LayerVectors, wide: NDArray[np.int32]) -> NDArray[np.uint8]:
    """Low halves of the columns ``wide``, uint8 [N, len(wide)], which include the layer's own wide columns."""
    low = np.zeros((vectors.outputs, wide.size), np.uint8)
    low[:, np.searchsorted(wide, vectors.wide)] = vectors.w_low
    return low


def split_output(output: LayerOutput, layers: Sequence[LayerVectors]) -> list[LayerOutput]:
    """The outputs of a fused layer, split into those of its layers."""
    ends = accumulate((vectors.outputs for vectors in layers), initial=0)
    return [
        LayerOutput(**{name: array[:, start:end] for name, array in vars(output).items()})
        for start, end in pairwise(ends)
    ]


def split_count(count: int, layers: Sequence[LayerVectors]) -> list[int]:
    """A count of a fused layer, such as its cycles, divided among its layers by their outputs; the sum is exact."""
    ends = list(accumulate((vectors.outputs for vectors in layers), initial=0))
    return [count * end // ends[-1] - count * start // ends[-1] for start, end in pairwise(ends)]
