"""Whether a mutant ever shows at the ports, from power-up on and whatever comes in: by proof."""

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
"""Modules that are memories and little else."""

PARTS = rf"{MEMORIES}|\.((bucket|pair)_\d|decoder|synapses|readout|packer|completion|neurons)$"
"""Modules that know little of what is around them."""

LARGE = rf"^{TOP}\.cluster_\d\.backend\.(completion|packer)\.queue\.memory$"
"""Memories that are as large in a small design as in any."""


SOON = 10
"""Cycles in which a mutant shows that shows soon."""

PATIENCE = 4
"""Seconds for what ABC hardly ever finds later."""


@dataclass(frozen=True)
class Region:
    """A part of the design that is compared with and without mutants.

    What is cut out answers with anything, but the same in both, and must be asked the same by both. So it is the same
    in both for ever, and the proof is one about the whole part.

    Attributes:
        module: at its top; all of its inputs are free in all cycles.
        cut: modules that are cut out.
    """

    module: str
    cut: tuple[str, ...]


def regions_of(mutant: Mutant, modules: Sequence[str]) -> Iterator[Region]:
    """Where a mutant is looked at: its module, those around it, and then with ever less cut out of them."""
    parts = mutant.module.split(".")

    def cut(module: str, pattern: str) -> tuple[str, ...]:
        def overlaps(name: str) -> bool:
            return f"{mutant.module}.".startswith(f"{name}.") or name == module

        found = [name for name in modules if name.startswith(f"{module}.") and re.search(pattern, name)]
        chosen = [name for name in found if not overlaps(name)]
        # what is inside of something that is cut out goes with it
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
    """A region as a graph, whose input ``CHOICE`` chooses one of the mutants by its number.

    Raises:
        YosysError: Yosys failed.
    """

    def within(mutant: Mutant, module: str) -> bool:
        return f"{mutant.module}.".startswith(f"{module}.")

    # what is cut out has no choice; and a change that is made twice may be none
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
        # all registers begin as they say, and memories as zeros
        "setundef -zero -undriven -init\n"
        f"techmap\ndffunmap\nsimplemap\naigmap\nopt_clean\nwrite_aiger -zinit -symbols {GRAPH}\n"
    )
    with tempfile.TemporaryDirectory(prefix="spikequant-") as work:
        (Path(work) / DESIGN).write_text(design, encoding="utf-8")
        run_yosys(find_tools().path("yosys"), script, Path(work))
        return read_graph((Path(work) / GRAPH).read_bytes())


def never_shows(graph: Graph, number: int, *, seconds: int) -> bool:
    """Whether the outputs are proved to be the same with a mutant as without it, in every cycle.

    Args:
        graph: of a region.
        number: of the mutant.
        seconds: after which the tool is stopped; 0 for what is plain without it.
    """
    compared = comparison(graph, CHOICE, number)
    if compared.outputs == [0] or not seconds:
        return compared.outputs == [0]
    with tempfile.TemporaryDirectory(prefix="spikequant-") as work:
        (Path(work) / GRAPH).write_bytes(write_graph(compared))
        program = find_tools().path("yosys")
        # most of what shows does so soon
        if ask(program, Path(work), bounded(SOON, PATIENCE), reduce="strash", seconds=seconds).verdict == "fails":
            return False
        found = ask(program, Path(work), unbounded(PATIENCE), reduce="strash; scorr", seconds=seconds)
        return found.verdict == "proved"


def compare(
    mutants: Sequence[Mutant], *, design: str, seconds: int, done: Callable[[Mutant, Region | None], None]
) -> None:
    """Look for a proof for each of some mutants.

    Args:
        mutants: to look at.
        design: without them, as RTLIL.
        seconds: after which the tool is stopped, for each region that is looked at.
        done: called with each mutant, and the region in which it was proved that it never shows, or None.
    """
    modules = module_names(design)
    graphs: dict[Region, Graph] = {}
    for mutant in mutants:
        proved = None
        regions = list(regions_of(mutant, modules))
        # where nothing reads what is different no solver is needed
        for limit in (0, seconds):
            for region in regions if proved is None else []:
                if region not in graphs:
                    graphs[region] = graph_of(region, mutants, design)
                if never_shows(graphs[region], mutant.number, seconds=limit):
                    proved = region
                    break
        done(mutant, proved)
