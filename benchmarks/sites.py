"""Average activity of the sites of a traced model, by kind, from which cycles are estimated."""

from collections.abc import Mapping

import numpy as np

from spikequant.fpga.estimate.measurement import Site
from spikequant.golden.layer.fusion import fused_neighbours
from spikequant.golden.layer.spec import Spec
from spikequant.golden.layer.vectors import LayerVectors


def kind_of(layer: str) -> str:
    """The last parts of a layer's name, without the number of its block."""
    return ".".join(part for part in layer.split(".")[-2:] if not part.isdigit())


def average_sites(layers: Mapping[str, LayerVectors], spec: Spec) -> tuple[Site, ...]:
    """One site for each kind of layer and each number of wide columns in it; layers that share their input are one.

    Args:
        layers: traced, by name.
        spec: sets how large a level is.
    """
    kinds: dict[tuple[str, int], list[LayerVectors]] = {}
    for names, vectors in fused_neighbours(layers.items()):
        kinds.setdefault(("+".join(map(kind_of, names)), vectors.wide.size), []).append(vectors)
    return tuple(_average(kind, found, spec) for (kind, _), found in kinds.items())


def _average(kind: str, layers: list[LayerVectors], spec: Spec) -> Site:
    normal, salient = (np.zeros(spec.max_level + 1, np.int64) for _ in range(2))
    values = tokens = shifted_tokens = shifts = 0
    for vectors in layers:
        shift = vectors.shift.astype(np.int64)[:, None]
        apart = vectors.salient & (vectors.level != 0) & (shift > 0)
        magnitude = np.abs(vectors.level.astype(np.int64))
        normal += np.bincount(magnitude[~apart], minlength=spec.max_level + 1)
        salient += np.bincount((magnitude >> shift)[apart], minlength=spec.max_level + 1)
        some = apart.any(axis=1)
        values += vectors.level.size
        tokens += vectors.tokens
        shifted_tokens += int(some.sum())
        shifts += int(shift[some].sum())
    return Site(
        name=kind,
        layers=tuple(vectors.outputs for vectors in layers),
        inputs=layers[0].inputs,
        wide=layers[0].wide.size,
        normal=tuple((normal[1:] / values).tolist()),
        salient=tuple((salient[1:] / values).tolist()),
        shifted=shifted_tokens / tokens,
        doublings=shifts / shifted_tokens if shifted_tokens else 0.0,
    )
