"""Prices of lookup tables and flip-flops, for estimates before synthesis.

The count of a component is a sum of terms, each with a price. The terms are what a larger accelerator has more of; the
prices are fitted to packed designs.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator

from spikequant.golden.layer.spec import Spec
from spikequant.rtl.cluster import FEW_CLUSTERS
from spikequant.rtl.encoder.bucket import bucket_count, bucket_rows
from spikequant.rtl.shapes import bits_for_index


def sum_bits(spec: Spec) -> int:
    """Bits in the adder tree of one neuron's lanes; a single lane has one sum, too."""
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
    "cluster after the first": lambda spec: spec.clusters - 1,
    "cluster of several": lambda spec: spec.clusters if spec.clusters > 1 else 0,
    "cluster of many": lambda spec: spec.clusters if spec.clusters > FEW_CLUSTERS else 0,
    "lane of a cluster": lambda spec: spec.clusters * spec.lanes,
    "bucket": bucket_count,
    "bit of a row": lambda spec: bucket_count(spec) * bits_for_index(bucket_rows(spec)),
    "bit of the score": lambda spec: bits_for_index(spec.score_words),
    "bit of a membrane": lambda spec: spec.clusters * spec.membrane_bits,
    "bit of a sum": lambda spec: spec.neurons * sum_bits(spec),
    "bit of a charge": lambda spec: spec.neurons * spec.charge_bits,
}
"""Count of each term."""

PACKING = "packing"
"""Pseudo-component: what the packer adds at the ends of carry chains."""

COMPONENTS: Mapping[str, Sequence[str]] = {
    "array": ("cluster", "lane of a cluster", "bit of a sum", "bit of a charge"),
    # the registers before a cluster
    "cluster": ("cluster", "cluster of several", "neuron"),
    "backend": ("cluster",),
    # neurons are served one at a time, so a larger cluster only has longer addresses
    "neurons": ("cluster", "cluster of many", "neuron", "bit of a membrane"),
    "completion": ("cluster", "neuron"),
    # with many clusters, the queue of words is in lookup tables
    "packer": ("cluster", "cluster of many"),
    "readout": ("cluster", "bit of a membrane"),
    # lists in each bucket, and a row of levels for each lane
    "encoder": ("once", "lane", "bucket", "bit of a row"),
    "sequencer": ("once", "lane", "bit of the score"),
    "reader": ("once", "neuron"),
    "writer": ("once", "neuron", "cluster after the first"),
    PACKING: ("once", "bucket", "bit of a row", "cluster of many"),
    "rest": ("once", "lane", "cluster after the first"),
}
"""Terms of each component."""

OTHERS = ("once",)
"""Terms of all other components: queues."""

Prices = Mapping[str, Mapping[str, float]]
"""Lookup tables or flip-flops of each term, by component and term."""


def _check_terms(prices: Prices) -> Prices:
    for component, terms in prices.items():
        for term in terms:
            if term not in TERMS:
                raise ValueError(f"price of {component}: unknown term {term!r}")
    return prices


CheckedPrices = Annotated[Prices, AfterValidator(_check_terms)]
"""Prices in a file: every term must be known."""


@dataclass(frozen=True)
class Priced:
    """A design whose lookup tables or flip-flops are known.

    Attributes:
        spec: the accelerator.
        counts: count of each component, ``packing`` included.
    """

    spec: Spec
    counts: Mapping[str, int]

    @property
    def total(self) -> int:
        """Sum over all components."""
        return sum(self.counts.values())


def _counts(spec: Spec, terms: Sequence[str]) -> NDArray[np.float64]:
    return np.array([TERMS[term](spec) for term in terms], np.float64)


def _fit(rows: NDArray[np.float64], wanted: NDArray[np.float64], terms: Sequence[str]) -> dict[str, float]:
    """Least squares without negative prices."""
    chosen = list(range(len(terms)))
    while True:
        found, *_ = np.linalg.lstsq(rows[:, chosen], wanted, rcond=None)
        if not chosen or found.min() >= 0:
            break
        del chosen[int(found.argmin())]
    prices = dict.fromkeys(terms, 0.0)
    return prices | {terms[index]: float(price) for index, price in zip(chosen, found, strict=True)}


def fit_prices(designs: Sequence[Priced]) -> Prices:
    """Fit prices by least squares of the errors, each relative to its design's total.

    Args:
        designs: at least one; a component that a design lacks counts as 0 there.
    """
    weights = np.array([1 / design.total for design in designs])
    prices = {}
    for component in dict.fromkeys(name for design in designs for name in design.counts):
        terms = COMPONENTS.get(component, OTHERS)
        rows = np.stack([_counts(design.spec, terms) for design in designs])
        wanted = np.array([design.counts.get(component, 0) for design in designs])
        prices[component] = _fit(rows * weights[:, None], wanted * weights, terms)
    return prices


def estimate_total(spec: Spec, prices: Prices) -> int:
    """Estimated lookup tables or flip-flops of an accelerator, without the rest of a board's design."""
    return round(sum(price * TERMS[term](spec) for component in prices.values() for term, price in component.items()))


def left_out_errors(designs: Sequence[Priced]) -> list[float]:
    """Relative error of each design's total, estimated by prices fitted to all others; positive if too large."""
    errors = []
    for number, design in enumerate(designs):
        prices = fit_prices([other for index, other in enumerate(designs) if index != number])
        errors.append(estimate_total(design.spec, prices) / design.total - 1)
    return errors
