"""Lookup tables and registers of an accelerator before synthesis: each component is a sum of terms, each with a price.

The terms of a component are what it has more of in a larger accelerator. The prices are fitted to synthesized
designs.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikequant.golden.layer.spec import Spec
from spikequant.rtl.cluster import FEW_CLUSTERS


def sum_bits(spec: Spec) -> int:
    """Bits of all sums of one neuron's lanes, taken two by two; a single lane has one sum all the same."""
    bits = 0
    sums, width = max(1, spec.lanes // 2), spec.weight_bits + 1
    while sums:
        bits += sums * width
        sums, width = sums // 2, width + 1
    return bits


TERMS: Mapping[str, Callable[[Spec], int]] = {
    "once": lambda _spec: 1,
    "lane": lambda spec: spec.lanes,
    "neuron": lambda spec: spec.neurons,
    "cluster": lambda spec: spec.clusters,
    "cluster beside the first": lambda spec: spec.clusters - 1,
    "cluster of many": lambda spec: spec.clusters if spec.clusters > FEW_CLUSTERS else 0,
    "lane of a cluster": lambda spec: spec.clusters * spec.lanes,
    "bit of a sum": lambda spec: spec.neurons * sum_bits(spec),
    "bit of a charge": lambda spec: spec.neurons * spec.charge_bits,
}
"""How often each price counts."""

PACKING = "packing"
"""What the packer adds where carry chains begin and end, as if it were a component."""

COMPONENTS: Mapping[str, Sequence[str]] = {
    "array": ("cluster", "lane of a cluster", "bit of a sum", "bit of a charge"),
    # the registers in front of a cluster
    "cluster": ("cluster", "lane of a cluster", "neuron"),
    "backend": ("cluster",),
    # a neuron after the other, so only addresses are longer in a larger cluster
    "neurons": ("cluster", "cluster of many", "neuron"),
    "completion": ("cluster", "neuron"),
    # words wait in lookup tables where there are many clusters
    "packer": ("cluster", "cluster of many"),
    "readout": ("cluster",),
    # a list, or a row of levels, for each lane
    "encoder": ("once", "lane"),
    "sequencer": ("once", "lane"),
    "reader": ("once", "neuron"),
    "writer": ("once", "neuron", "cluster beside the first"),
    PACKING: ("once", "lane of a cluster", "neuron"),
    "rest": ("once", "lane", "cluster beside the first"),
}
"""The terms of each component."""

OTHERS = ("once",)
"""The terms of all other components: queues."""

Prices = Mapping[str, Mapping[str, float]]
"""Lookup tables, or registers, by component and term."""


@dataclass(frozen=True)
class Priced:
    """A design whose lookup tables, or registers, are known.

    Attributes:
        spec: of the accelerator.
        counts: by component, ``packing`` among them.
    """

    spec: Spec
    counts: Mapping[str, int]

    @property
    def total(self) -> int:
        """Of all components."""
        return sum(self.counts.values())


def _counts(spec: Spec, terms: Sequence[str]) -> NDArray[np.float64]:
    return np.array([TERMS[term](spec) for term in terms], np.float64)


def _fit(rows: NDArray[np.float64], wanted: NDArray[np.float64], terms: Sequence[str]) -> dict[str, float]:
    """Least squares without negative prices, which would pay for something else that the designs have."""
    chosen = list(range(len(terms)))
    while True:
        found, *_ = np.linalg.lstsq(rows[:, chosen], wanted, rcond=None)
        if not chosen or found.min() >= 0:
            break
        del chosen[int(found.argmin())]
    prices = dict.fromkeys(terms, 0.0)
    return prices | {terms[index]: float(price) for index, price in zip(chosen, found, strict=True)}


def fit_prices(designs: Sequence[Priced]) -> Prices:
    """The prices with the least squares of errors, each error as a share of all that its design takes.

    Args:
        designs: one or more; a component that only some of them have counts as empty in the others.
    """
    weights = np.array([1 / design.total for design in designs])
    prices = {}
    for component in dict.fromkeys(name for design in designs for name in design.counts):
        terms = COMPONENTS.get(component, OTHERS)
        rows = np.stack([_counts(design.spec, terms) for design in designs])
        wanted = np.array([design.counts.get(component, 0) for design in designs])
        prices[component] = _fit(rows * weights[:, None], wanted * weights, terms)
    return prices


def read_prices(values: Mapping[str, Mapping[str, float]]) -> Prices:
    """Prices as a JSON file has them.

    Raises:
        ValueError: a term is unknown, or a price is no number.
    """
    for component, terms in values.items():
        for term in terms:
            if term not in TERMS:
                raise ValueError(f"price of {component}: unknown term {term!r}")
    return {component: {term: float(price) for term, price in terms.items()} for component, terms in values.items()}


def estimate_total(spec: Spec, prices: Prices) -> int:
    """Lookup tables, or registers, of an accelerator without a board's own."""
    return round(sum(price * TERMS[term](spec) for component in prices.values() for term, price in component.items()))


def left_out_errors(designs: Sequence[Priced]) -> list[float]:
    """Relative error of each design's total by the prices of all others; positive where it is estimated too large."""
    errors = []
    for number, design in enumerate(designs):
        prices = fit_prices([other for index, other in enumerate(designs) if index != number])
        errors.append(estimate_total(design.spec, prices) / design.total - 1)
    return errors
