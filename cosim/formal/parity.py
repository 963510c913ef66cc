"""Properties of the parity of weights: every wrong row is found, and no other."""

from collections.abc import Iterator
from functools import partial, reduce
from operator import or_

from amaranth.hdl import Fragment, Module, Value

from spikequant.cosim.formal.circuit import around
from spikequant.cosim.formal.harness import Harness, anything, before, check, cycles, in_any_state
from spikequant.cosim.formal.property import AnyState, Property
from spikequant.rtl.parity import ParityCheck

ROWS, BITS = 2, 9


class WrongRows(Harness):
    """A check of any rows in any cycle."""

    def describe(self, m: Module) -> None:
        """Compare it with the parity of the rows that came in before."""
        component = ParityCheck(rows=ROWS, bits=BITS)
        m.submodules.component = in_any_state(Fragment.get(component, None))
        rows = [anything(m, BITS, f"row_{number}") for number in range(ROWS)]
        m.d.comb += [component.rows[number].eq(row) for number, row in enumerate(rows)]
        m.d.comb += component.valid.eq(anything(m, 1, "valid"))
        latency = ParityCheck.latency(BITS)
        wrong: Value = component.valid & reduce(or_, (row.xor() for row in rows))
        for stage in range(latency):
            wrong = before(m, wrong, f"wrong_{stage}")
        check(m, (cycles(m, latency) != latency) | (component.failed == wrong), "a wrong row is found, and no other")


def properties() -> Iterator[Property]:
    """Return the property of the check of parities."""
    yield Property(
        name="parity",
        component=f"ParityCheck, {ROWS} rows of {BITS} bits",
        specification="a row fails its check if and only if it has an odd number of ones",
        method=AnyState(ParityCheck.latency(BITS) + 1),
        circuit=partial(around, WrongRows),
    )
