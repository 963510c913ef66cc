"""And-inverter graphs: cones of outputs, reading and writing."""

from itertools import product

import pytest

from spikequant.cosim.formal.graph import Graph, GraphError, cone, read_graph, write_graph

# inputs 1 to 3, latches 4 and 5, conjunctions 6 to 8
GRAPH = Graph(
    inputs=["a", "b", "c"],
    latches=[12, 14],
    outputs=[13, 16, 0, 10],
    conjunctions=[(2, 8), (5, 4), (11, 12)],
)


def run(graph: Graph, given: list[dict[str, int]], output: int) -> list[int]:
    """Values of one output, cycle by cycle."""
    state, found = [0] * len(graph.latches), []
    for inputs in given:
        values = [0, *(inputs[name] for name in graph.inputs), *state]

        def of(literal: int, values: list[int] = values) -> int:
            return values[literal >> 1] ^ (literal & 1)

        for one, other in graph.conjunctions:
            values.append(of(one) & of(other))
        found.append(of(graph.outputs[output]))
        state = [of(literal) for literal in graph.latches]
    return found


@pytest.mark.parametrize("output", range(4))
def test_a_cone_gives_what_its_output_gives(output: int) -> None:
    small = cone(GRAPH, output)
    assert len(small.outputs) == 1
    for bits in product((0, 1), repeat=9):
        given = [dict(zip("abc", bits[cycle : cycle + 3], strict=True)) for cycle in (0, 3, 6)]
        assert run(small, given, 0) == run(GRAPH, given, output)


def test_a_cone_has_nothing_else() -> None:
    assert cone(GRAPH, 0).inputs == ["a"]
    assert (len(cone(GRAPH, 0).latches), len(cone(GRAPH, 0).conjunctions)) == (1, 1)
    assert cone(GRAPH, 2) == Graph(inputs=[], latches=[], outputs=[0], conjunctions=[])
    assert cone(GRAPH, 3).inputs == ["b"]


def test_a_file_says_the_same() -> None:
    names = Graph(["", "", ""], GRAPH.latches, GRAPH.outputs, [(max(pair), min(pair)) for pair in GRAPH.conjunctions])
    assert read_graph(write_graph(GRAPH)) == names
    checks = write_graph(GRAPH).replace(b"aig 8 3 2 4 3\n", b"aig 8 3 2 3 3 1\n")
    assert read_graph(checks) == names
    with pytest.raises(GraphError, match="without assumptions"):
        read_graph(write_graph(GRAPH).replace(b"aig 8 3 2 4 3\n", b"aig 8 3 2 3 3 0 1\n"))
