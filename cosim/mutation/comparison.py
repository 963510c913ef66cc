"""Miter that shows whether a selected mutant ever changes a circuit's outputs."""

from collections.abc import Sequence

from spikequant.cosim.formal.graph import Graph


class _Builder:
    """Builder of conjunctions, at most one for each pair of literals."""

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
    """Make a graph whose output is 1 in cycles in which selecting ``number`` instead of 0 changes any output.

    Latches that cannot depend on the selection exist once, all others twice.

    Args:
        graph: the circuit.
        choice: name of the selecting inputs.
        number: value of the selecting inputs, in all cycles.
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
