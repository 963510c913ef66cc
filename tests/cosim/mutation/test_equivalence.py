"""Equivalence of mutants: every proof is right, and equivalent mutants are found."""

import re
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest
from amaranth.back import rtlil
from amaranth.hdl import Module, Signal
from amaranth.lib.wiring import Component, In, Out

from spikequant.cosim.formal.graph import Graph, GraphError, read_graph, write_graph
from spikequant.cosim.formal.prove import find_tools
from spikequant.cosim.mutation.campaign import KILLED, prepare, simulate
from spikequant.cosim.mutation.comparison import comparison
from spikequant.cosim.mutation.equivalence import Region, compare, graph_of, never_shows, regions_of
from spikequant.cosim.mutation.mutants import CHOICE, CHOICE_BITS, DESIGN, PREPARE, Mutant
from spikequant.cosim.yosys import run_yosys
from spikequant.rtl.verilog import TOP


class Counter(Component):
    """Counts to two, and knows what it never does."""

    go: In(1)
    count: Out(2)
    high: Out(1)

    def elaborate(self, _platform: object) -> Module:
        m = Module()
        with m.If(self.go):
            m.d.sync += self.count.eq(self.count + 1)
        with m.If(self.count == 2):
            m.d.sync += self.count.eq(0)
        m.d.comb += self.high.eq(self.count[0] | self.count[1])
        return m


class Machine(Component):
    """A circuit with a counter, of which it uses some bits, and a register that does not start at 0."""

    go: In(1)
    seen: Out(1)

    def elaborate(self, _platform: object) -> Module:
        m = Module()
        m.submodules.counter = counter = Counter()
        idle = Signal(init=1)
        m.d.comb += counter.go.eq(self.go)
        m.d.sync += [idle.eq(~counter.high & ~self.go), self.seen.eq((counter.count == 2) & ~idle)]
        return m


def _mutants(design: str, folder: Path) -> list[Mutant]:
    (folder / DESIGN).write_text(design, encoding="utf-8")
    run_yosys(find_tools().path("yosys"), f"{PREPARE}mutate -list 60 -seed 1 -o list\n", folder)
    lines = (folder / "list").read_text(encoding="utf-8").splitlines()
    found = []
    for number, line in enumerate(lines, 1):
        module = re.findall(r"-module \\?(\S+)", line)[0]
        command = re.sub("^mutate", f"mutate -ctrl {CHOICE} {CHOICE_BITS} {number}", line)
        found.append(Mutant(number, "", module, "", "", command))
    return found


def _ever(graph: Graph) -> bool:
    """Whether the output is ever 1, by all states that can be reached."""
    inputs, first = len(graph.inputs), 1 + len(graph.inputs) + len(graph.latches)
    reached, new = set(), [(0,) * len(graph.latches)]
    while new:
        state = new.pop()
        if state in reached:
            continue
        reached.add(state)
        for given in product((0, 1), repeat=inputs):
            values = [0, *given, *state]
            for one, other in graph.conjunctions:
                pair = [values[literal >> 1] ^ (literal & 1) for literal in (one, other)]
                values.append(pair[0] & pair[1])
            assert len(values) == first + len(graph.conjunctions)
            if values[graph.outputs[0] >> 1] ^ (graph.outputs[0] & 1):
                return True
            new.append(tuple(values[literal >> 1] ^ (literal & 1) for literal in graph.latches))
    return False


def test_what_is_proved_is_what_never_shows(tmp_path: Path) -> None:
    design = rtlil.convert(Machine(), name=TOP)
    mutants = _mutants(design, tmp_path)
    graph = graph_of(Region(TOP, ()), mutants, design)
    shows = {mutant.number: _ever(comparison(graph, CHOICE, mutant.number)) for mutant in mutants}
    assert 3 < sum(shows.values()) < len(shows) - 3
    # a few that show at the ports, and all that do not
    some = [mutant for mutant in mutants if shows[mutant.number]][:4]
    for mutant in [*some, *(mutant for mutant in mutants if not shows[mutant.number])]:
        assert never_shows(graph, mutant.number, seconds=60) is not shows[mutant.number], mutant.command


def test_a_part_that_is_cut_out_must_be_asked_the_same(tmp_path: Path) -> None:
    design = rtlil.convert(Machine(), name=TOP)
    wire = Mutant(1, "", TOP, "", "", "")
    asks = next(m for m in _mutants(design, tmp_path) if m.module == TOP and "-port go" in m.command)
    asks = replace(wire, command=re.sub(rf"{CHOICE_BITS} \d+", f"{CHOICE_BITS} 1", asks.command))
    region = Region(TOP, (f"{TOP}.counter",))
    assert not never_shows(graph_of(region, [asks], design), 1, seconds=60)


def test_a_mutant_is_looked_at_in_ever_larger_parts() -> None:
    modules = [TOP, *(f"{TOP}.{name}" for name in ("reader", "cluster_0", "cluster_0.array", "cluster_1"))]
    mutant = Mutant(1, "", f"{TOP}.cluster_0.array", "", "", "")
    regions = list(regions_of(mutant, modules))
    assert [region.module for region in regions[:3]] == [f"{TOP}.cluster_0.array", f"{TOP}.cluster_0", TOP]
    assert all(f"{TOP}.cluster_0" not in region.cut for region in regions)
    assert f"{TOP}.cluster_1" in regions[-1].cut


def test_graphs_are_read_as_they_are_written() -> None:
    graph = Graph(inputs=["", ""], latches=[8], outputs=[9, 1], conjunctions=[(4, 2), (6, 8)])
    assert read_graph(write_graph(graph)) == replace(graph, conjunctions=[(4, 2), (8, 6)])
    with pytest.raises(GraphError):
        read_graph(b"aag 0 0 0 0 0\n")
    with pytest.raises(GraphError):
        read_graph(b"aig 1 0 1 0 0\n2 1\n")


@pytest.mark.long
def test_what_the_regression_notices_is_never_proved(tmp_path: Path) -> None:
    campaign = prepare(count=20, seed=3, seconds=60, folder=tmp_path)
    verdicts = simulate(campaign)
    killed = [mutant for mutant in campaign.mutants if verdicts[mutant.number] in KILLED]
    assert len(killed) > 10
    proved: list[int] = []
    compare(
        killed[::5],
        design=campaign.design,
        seconds=5,
        done=lambda mutant, region: proved.append(mutant.number) if region else None,
    )
    assert proved == []
