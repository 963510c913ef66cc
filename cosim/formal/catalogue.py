"""The list of all properties."""

from collections.abc import Callable, Iterator

from spikequant.cosim.formal import fabric, netlists, neurons, parity, progress, readouts, sorting, streams
from spikequant.cosim.formal.property import Property
from spikequant.cosim.netlist import Synthesis
from spikequant.golden.layer.spec import Spec


def catalogue(synthesize: Callable[[Spec], Synthesis]) -> Iterator[Property]:
    """Return every property, in the order of the table.

    Args:
        synthesize: synthesizes an accelerator; called when a property of its netlist is proved.
    """
    for topic in (fabric, streams, parity, readouts, neurons, sorting, progress):
        yield from topic.properties()
    yield from netlists.properties(synthesize)
