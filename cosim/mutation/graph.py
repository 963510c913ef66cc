"""And-inverter graphs in AIGER's binary format, and the one that tells whether a choice ever shows at the outputs.

A literal is twice the number of a node, and one more if it is inverted; 0 and 1 are constants. Nodes are numbered from
1: inputs, latches, then the conjunctions, each behind those that it uses. All latches begin at 0.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass


class GraphError(Exception):
    """A file is not such a graph."""


@dataclass(frozen=True)
class Graph:
    """A circuit.

    Attributes:
        inputs: names of the inputs; ``name[bit]`` where there are several.
        latches: literal of each latch's next state.
        outputs: literals.
        conjunctions: two literals each.
    """

    inputs: list[str]
    latches: list[int]
    outputs: list[int]
    conjunctions: list[tuple[int, int]]


def read_graph(content: bytes) -> Graph:
    """A graph from a file's content.

    Raises:
        GraphError: it is something else, or a latch begins at 1 or anything.
    """
    found = re.match(rb"aig \d+ (\d+) (\d+) (\d+) (\d+)\n", content)
    if found is None:
        raise GraphError("no header of an and-inverter graph")
    inputs, latches, outputs, conjunctions = (int(field) for field in found.groups())
    lines = content[found.end() :].split(b"\n", latches + outputs)
    if any(len(line.split()) != 1 for line in lines[:-1]):
        raise GraphError("a latch that does not begin at 0")
    numbers = [int(line) for line in lines[:-1]]
    rest = iter(lines[-1])
    pairs = []
    for node in range(1 + inputs + latches, 1 + inputs + latches + conjunctions):
        first = 2 * node - _number(rest)
        pairs.append((first, first - _number(rest)))
    symbols = re.findall(r"^i(\d+) (.*)$", bytes(rest).decode(), re.MULTILINE)
    names = dict(symbols)
    return Graph(
        inputs=[names.get(str(place), "") for place in range(inputs)],
        latches=numbers[:latches],
        outputs=numbers[latches:],
        conjunctions=pairs,
    )


def _number(content: Iterator[int]) -> int:
    value = shift = 0
    for byte in content:
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value
    raise GraphError("the file ends too soon")


def write_graph(graph: Graph) -> bytes:
    """A file's content."""
    inputs, latches, pairs = len(graph.inputs), len(graph.latches), graph.conjunctions
    header = f"aig {inputs + latches + len(pairs)} {inputs} {latches} {len(graph.outputs)} {len(pairs)}"
    content = bytearray("\n".join([header, *map(str, [*graph.latches, *graph.outputs]), ""]).encode())
    for node, pair in enumerate(pairs, 1 + inputs + latches):
        high, low = max(pair), min(pair)
        for value in (2 * node - high, high - low):
            rest = value
            while rest > 127:
                content.append(rest & 127 | 128)
                rest >>= 7
            content.append(rest)
    return bytes(content)


class _Builder:
    """Makes conjunctions, each pair of literals only once."""

    def __init__(self, nodes: int) -> None:
        self._nodes = nodes
        self._known: dict[tuple[int, int], int] = {}

    @property
    def conjunctions(self) -> list[tuple[int, int]]:
        return list(self._known)

    def both(self, one: int, other: int) -> int:
        low, high = min(one, other), max(one, other)
        if low == 0 or low ^ 1 == high:
            return 0
        if low in (1, high):
            return high
        return self._known.setdefault((low, high), 2 * (self._nodes + 1 + len(self._known)))

    def differ(self, one: int, other: int) -> int:
        return self.both(self.both(one, other ^ 1) ^ 1, self.both(one ^ 1, other) ^ 1) ^ 1


def _of(values: Sequence[int], literal: int) -> int:
    return values[literal >> 1] ^ (literal & 1)


def comparison(graph: Graph, choice: str, number: int) -> Graph:
    """A graph whose one output is 1 in cycles in which any output is another with a number chosen than with 0.

    Latches on which the choice can have no influence are there once, all others twice.

    Args:
        graph: the circuit.
        choice: name of the inputs that choose.
        number: that they choose, in all cycles.
    """
    chooses = [name for name in graph.inputs if name.startswith(f"{choice}[")]
    bits = {name: number >> int(name[len(choice) + 1 : -1]) & 1 for name in chooses}
    free = [name for name in graph.inputs if name not in bits]
    places = iter(range(1, 1 + len(free)))
    shared = [0 if name in bits else 2 * next(places) for name in graph.inputs]
    own = [bits.get(name, literal) for name, literal in zip(graph.inputs, shared, strict=True)]
    first = 1 + len(free)
    latches = [2 * (first + place) for place in range(len(graph.latches))]
    twice: list[int] = []
    while True:
        builder = _Builder(len(free) + len(latches) + len(twice))
        second = list(latches)
        for place, latch in enumerate(twice):
            second[latch] = 2 * (first + len(latches) + place)
        without, chosen = [0, *shared, *latches], [0, *own, *second]
        for one, other in graph.conjunctions:
            for values in (without, chosen):
                values.append(builder.both(_of(values, one), _of(values, other)))
        differing = {n for n, latch in enumerate(graph.latches) if _of(without, latch) != _of(chosen, latch)}
        more = sorted(differing - set(twice))
        if not more:
            break
        twice += more
    differs = 0
    for output in graph.outputs:
        differs = builder.both(differs ^ 1, builder.differ(_of(without, output), _of(chosen, output)) ^ 1) ^ 1
    following = [_of(without, latch) for latch in graph.latches] + [_of(chosen, graph.latches[n]) for n in twice]
    return Graph(inputs=free, latches=following, outputs=[differs], conjunctions=builder.conjunctions)
