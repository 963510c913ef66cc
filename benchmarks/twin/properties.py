"""Proofs that the twin's products are equal in both forms, for ``spikequant formal``."""

from collections.abc import Iterator
from functools import partial

from spikequant.benchmarks.twin.products import INVERTED_PRODUCT, NOTHING, PRODUCT, Multiplier, ProductSums, SumShape
from spikequant.cosim.formal.fabric import equality
from spikequant.cosim.formal.property import AllInputs, AnyState, Property
from spikequant.rtl.fabric import CELL_MODELS

MULTIPLIER_MODEL = CELL_MODELS / "multiplier.v"
"""This project's model of the multiplier block: Yosys has none."""

BOTH = (PRODUCT, PRODUCT)
PRODUCTS = {
    "of one column": (SumShape((BOTH,)),),
    "with a carry": (SumShape((BOTH, BOTH), carry_in=PRODUCT),),
    "with a carry between": (
        SumShape((BOTH, (PRODUCT, NOTHING), BOTH)),
        SumShape((BOTH, (INVERTED_PRODUCT, PRODUCT)), carry_in=INVERTED_PRODUCT),
        SumShape(((NOTHING, PRODUCT), (PRODUCT, INVERTED_PRODUCT)), carry_in=PRODUCT),
    ),
    "all inverted": (
        SumShape(((INVERTED_PRODUCT, INVERTED_PRODUCT),) * 3, carry_in=INVERTED_PRODUCT),
        SumShape(((INVERTED_PRODUCT, NOTHING),) * 2),
    ),
    "without a carry out": (SumShape((BOTH, BOTH)), SumShape((BOTH, (NOTHING, NOTHING), BOTH), carry_out=False)),
}


def properties() -> Iterator[Property]:
    """One for each shape of a chain of sums, and one for the multiplier."""
    for name, shapes in PRODUCTS.items():
        yield equality(f"products {name}", partial(ProductSums, shapes), AllInputs())
    yield equality(
        "multiplier",
        Multiplier,
        AnyState(Multiplier.latency + 2),
        component="Multiplier",
        latency=Multiplier.latency,
        models={MULTIPLIER_MODEL.name: MULTIPLIER_MODEL.read_text(encoding="utf-8")},
        # equal registers become one, and then so do the multiplications
        prepare=("opt -full", "wreduce", "opt -share_all -full"),
    )
