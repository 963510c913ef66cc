"""And-inverter graphs in AIGER's binary format.

A literal is twice the number of a node, plus one if it is inverted; 0 and 1 are constants. Nodes are numbered from 1:
inputs, latches, then conjunctions, each after those that it uses. All latches start at 0.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass


class GraphError(Exception):
    """A file is not a supported graph."""


@dataclass(frozen=True)
class Graph:
    """A sequential circuit.

    Attributes:
        inputs: names of the inputs; ``name[bit]`` for wide ones.
        latches: literal of each latch's next state.
        outputs: literals.
        conjunctions: pairs of literals.
    """

    inputs: list[str]
    latches: list[int]
    outputs: list[int]
    conjunctions: list[tuple[int, int]]


def read_graph(content: bytes) -> Graph:
    """Decode a file; its checks become outputs after the others.

    Raises:
        GraphError: not a graph, or one with assumptions, or a latch does not start at 0.
    """
    found = re.match(rb"aig \d+ (\d+) (\d+) (\d+) (\d+)(?: (\d+))?\n", content)
    if found is None:
        raise GraphError("expected the header of an and-inverter graph without assumptions")
    inputs, latches, outputs, conjunctions, checks = (int(field or 0) for field in found.groups())
    outputs += checks
    lines = content[found.end() :].split(b"\n", latches + outputs)
    if any(len(line.split()) != 1 for line in lines[:-1]):
        raise GraphError("expected latches that start at 0")
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
    raise GraphError("the file is truncated")


def write_graph(graph: Graph) -> bytes:
    """Encode a graph as a file."""
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


def cone(graph: Graph, output: int) -> Graph:
    """Reduce a graph to one output and everything that it depends on, in the same and in earlier cycles.

    Args:
        graph: the circuit.
        output: index of the output.
    """
    first_latch = 1 + len(graph.inputs)
    first_pair = first_latch + len(graph.latches)
    seen: set[int] = set()
    todo = [graph.outputs[output] >> 1]
    while todo:
        node = todo.pop()
        if node in seen or not node:
            continue
        seen.add(node)
        if node >= first_pair:
            todo += [literal >> 1 for literal in graph.conjunctions[node - first_pair]]
        elif node >= first_latch:
            todo.append(graph.latches[node - first_latch] >> 1)
    kept = sorted(seen)
    number = {0: 0} | {node: place for place, node in enumerate(kept, 1)}

    def renamed(literal: int) -> int:
        return 2 * number[literal >> 1] + (literal & 1)

    return Graph(
        inputs=[graph.inputs[node - 1] for node in kept if node < first_latch],
        latches=[renamed(graph.latches[node - first_latch]) for node in kept if first_latch <= node < first_pair],
        outputs=[renamed(graph.outputs[output])],
        conjunctions=[
            (renamed(one), renamed(other))
            for one, other in (graph.conjunctions[node - first_pair] for node in kept if node >= first_pair)
        ],
    )
