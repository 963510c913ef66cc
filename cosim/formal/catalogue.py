"""All properties."""

from collections.abc import Iterator

from cosim.formal import fabric, netlists, neurons, progress, readouts, sorting, streams
from cosim.formal.property import Property


def catalogue() -> Iterator[Property]:
    """Every property, in the order of the table."""
    for topic in (fabric, streams, readouts, neurons, sorting, progress, netlists):
        yield from topic.properties()
