"""Proofs that a mutant is equivalent to the design at the ports, from power-up on and for all inputs."""

import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from spikequant.cosim.formal.graph import Graph, read_graph, write_graph
from spikequant.cosim.formal.prove import find_tools
from spikequant.cosim.formal.reachability import GRAPH, ask, bounded, unbounded
from spikequant.cosim.mutation.comparison import comparison
from spikequant.cosim.mutation.mutants import CHOICE, DESIGN, PREPARE, Mutant, escaped, module_names
from spikequant.cosim.yosys import run_yosys
from spikequant.rtl.verilog import TOP

MEMORIES = r"\.(memory|memory_\d+|constants|membranes|zeros|links|scores)$"
"""Modules that are mainly memories."""

PARTS = rf"{MEMORIES}|\.((bucket|pair)_\d|decoder|synapses|readout|packer|completion|neurons)$"
"""Modules that depend little on their surroundings."""

LARGE = rf"^{TOP}\.cluster_\d\.backend\.(completion|packer)\.queue\.memory$"
"""Memories whose size does not depend on the design's."""

SOON = 10
"""Cycles of the first, short search."""

PATIENCE = 4
"""Time limit in seconds of searches that rarely succeed later."""


@dataclass(frozen=True)
class Region:
    """A part of the design that is compared with and without a mutant.

    Modules that are cut out have arbitrary outputs, equal in both, and their inputs are compared. As equal inputs keep
    them equal in all cycles, the proof holds for the whole part.

    Attributes:
        module: top module of the part; its inputs are free in all cycles.
        cut: modules that are cut out.
    """

    module: str
    cut: tuple[str, ...]


def regions_of(mutant: Mutant, modules: Sequence[str]) -> Iterator[Region]:
    """Yield the parts in which a mutant is compared: its module, the enclosing ones, with less and less cut out."""
    parts = mutant.module.split(".")

    def cut(module: str, pattern: str) -> tuple[str, ...]:
        def overlaps(name: str) -> bool:
            return f"{mutant.module}.".startswith(f"{name}.") or name == module

        found = [name for name in modules if name.startswith(f"{module}.") and re.search(pattern, name)]
        chosen = [name for name in found if not overlaps(name)]
        # a module inside another one that is cut out is cut out with it
        return tuple(name for name in chosen if not any(name.startswith(f"{other}.") for other in chosen))

    for size in range(len(parts), 1, -1):
        module = ".".join(parts[:size])
        if cut(module, PARTS) != cut(module, LARGE):
            yield Region(module, cut(module, PARTS))
        yield Region(module, cut(module, LARGE))
    own = ".".join(parts[:2])
    if own != TOP:
        yield Region(TOP, cut(TOP, rf"{MEMORIES}|^{TOP}\.(cluster_\d|encoder)$"))
    else:
        yield Region(TOP, cut(TOP, rf"{MEMORIES}|^{TOP}\.(cluster_\d|encoder\.(bucket|pair)_\d)$"))
    yield Region(TOP, cut(TOP, rf"{MEMORIES}|^{TOP}\.cluster_\d$"))


def graph_of(region: Region, mutants: Sequence[Mutant], design: str) -> Graph:
    """Make the graph of a region, whose input ``CHOICE`` selects a mutant by its number.

    Raises:
        YosysError: Yosys failed.
    """

    def within(mutant: Mutant, module: str) -> bool:
        return f"{mutant.module}.".startswith(f"{module}.")

    # modules that are cut out have no selection; a change that is made twice may cancel itself
    once = {mutant.number: mutant for mutant in mutants}.values()
    kept = [mutant for mutant in once if not any(within(mutant, name) for name in region.cut)]
    inside = [mutant for mutant in kept if within(mutant, region.module)]
    changes = "".join(f"{mutant.command}\n" for mutant in inside)
    marks = "".join(f"setattr -mod -set keep_hierarchy 1 {escaped(name)}\n" for name in region.cut)
    top = escaped(region.module)
    cut = " ".join(f"{top}/t:{escaped(name)}" for name in region.cut)
    script = (
        f"{PREPARE}{changes}hierarchy -top {top}\n{marks}flatten\n"
        f"{f'expose -evert {cut}' if cut else ''}\nhierarchy -top {top}\nopt_clean\nmemory_map\nopt_clean\n"
        # registers start with their initial values, memories with zeros
        "setundef -zero -undriven -init\n"
        f"techmap\ndffunmap\nsimplemap\naigmap\nopt_clean\nwrite_aiger -zinit -symbols {GRAPH}\n"
    )
    with tempfile.TemporaryDirectory(prefix="spikequant-") as work:
        (Path(work) / DESIGN).write_text(design, encoding="utf-8")
        run_yosys(find_tools().path("yosys"), script, Path(work))
        return read_graph((Path(work) / GRAPH).read_bytes())


def never_shows(graph: Graph, number: int, *, seconds: int) -> bool:
    """Return whether the outputs are proved to be equal with and without a mutant, in every cycle.

    Args:
        graph: graph of a region.
        number: number of the mutant.
        seconds: time limit; 0 uses no solver.
    """
    compared = comparison(graph, CHOICE, number)
    if compared.outputs == [0] or not seconds:
        return compared.outputs == [0]
    with tempfile.TemporaryDirectory(prefix="spikequant-") as work:
        (Path(work) / GRAPH).write_bytes(write_graph(compared))
        program = find_tools().path("yosys")
        # most mutants that can be seen are seen within a few cycles
        if ask(program, Path(work), bounded(SOON, PATIENCE), reduce="strash", seconds=seconds).verdict == "fails":
            return False
        found = ask(program, Path(work), unbounded(PATIENCE), reduce="strash; scorr", seconds=seconds)
        return found.verdict == "proved"


def compare(
    mutants: Sequence[Mutant], *, design: str, seconds: int, done: Callable[[Mutant, Region | None], None]
) -> None:
    """Try to prove mutants equivalent.

    Args:
        mutants: mutants to compare.
        design: the design without mutants, as RTLIL.
        seconds: time limit for each region.
        done: called with each mutant, and the region in which it is proved equivalent, or None.
    """
    modules = module_names(design)
    graphs: dict[Region, Graph] = {}
    for mutant in mutants:
        proved = None
        regions = list(regions_of(mutant, modules))
        # if nothing reads the changed signal, no solver is needed
        for limit in (0, seconds):
            for region in regions if proved is None else []:
                if region not in graphs:
                    graphs[region] = graph_of(region, mutants, design)
                if never_shows(graphs[region], mutant.number, seconds=limit):
                    proved = region
                    break
        done(mutant, proved)
