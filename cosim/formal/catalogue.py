"""All properties."""

from collections.abc import Iterator

from cosim.formal import fabric, neurons, progress, readouts, sorting, streams
from cosim.formal.property import Property


def catalogue() -> Iterator[Property]:
    """Every property, in the order of the table."""
    for topic in (fabric, streams, readouts, neurons, sorting, progress):
        yield from topic.properties()
