"""Reachability of states of and-inverter graphs, by ABC, which is part of Yosys."""

import contextlib
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from spikequant.cosim.formal.graph import cone, read_graph, write_graph
from spikequant.cosim.yosys import YosysError, run_yosys

GRAPH = "graph.aig"
REDUCED = "reduced.aig"
STATUS = "status.txt"

WRITE_GRAPH = f"""\
memory_nordff
async2sync
chformal -assume -early
formalff -setundef -clk2ff -ff2anyinit -hierarchy
setundef -undriven -anyseq
formalff -assume
setattr -unset keep
opt -full
techmap
opt -fast
memory_map -formal
formalff -clk2ff -ff2anyinit
simplemap
dffunmap
aigmap
opt_clean
write_aiger -zinit {GRAPH}
"""
"""Yosys commands that write a flat circuit with its checks and assumptions; initial registers are arbitrary."""

SECONDS_EACH = 15
"""Time limit for one output; successful proofs mostly take tenths of a second."""

BATCH = 40
"""Outputs that one run of ABC checks."""

REDUCE = "fold; strash; orpos; scorr"
"""ABC commands that fold assumptions into checks, join the checks, and merge equal registers."""


@dataclass(frozen=True)
class Answer:
    """Answer of ABC.

    Attributes:
        verdict: result for all reachable states; ``open`` if no check fails in the cycles that were searched.
        cycle: last cycle, counted from 0, up to which no check is known to fail.
    """

    verdict: Literal["proved", "fails", "open"]
    cycle: int


def bounded(depth: int, seconds: int) -> str:
    """Return the ABC command that searches the first ``depth`` cycles."""
    return f"bmc3 -F {depth} -T {seconds}"


def unbounded(seconds: int) -> str:
    """Return the ABC command that searches all reachable states."""
    return f"pdr -T {seconds}"


def abstract(seconds: int) -> str:
    """Return the ABC command that searches all reachable states of a large circuit with a small relevant part."""
    return f"pdr -t -T {seconds}"


def run_abc(yosys: str, folder: Path, commands: str, *, seconds: int | None = None) -> None:
    """Run ABC commands, which may write files; their output is dropped.

    Args:
        yosys: path of Yosys.
        folder: working directory.
        commands: ABC commands.
        seconds: time limit; None for no limit.
    """
    script = commands.replace("; ", ";").replace(" ", ",")
    # Yosys needs a circuit to map, and fails because ABC does not return it
    with contextlib.suppress(YosysError, subprocess.TimeoutExpired):
        run_yosys(
            yosys,
            "read_verilog -icells <<end\n"
            "module top(input a, output b); \\$_NOT_ inverter(.A(a), .Y(b)); endmodule\nend\n"
            f"abc -script +{script}\n",
            folder,
            seconds=seconds,
        )


def ask(yosys: str, folder: Path, search: str, *, reduce: str = REDUCE, seconds: int | None = None) -> Answer:
    """Search for a failing check of the graph in a folder.

    Args:
        yosys: path of Yosys.
        folder: working directory with the graph.
        search: ABC command that searches.
        reduce: ABC commands before it, which leave one output.
        seconds: time limit; None for no limit.
    """
    reduced, status = folder / REDUCED, folder / STATUS
    for path in (reduced, status):
        path.unlink(missing_ok=True)
    run_abc(
        yosys,
        folder,
        f"read_aiger {GRAPH}; {reduce}; write_aiger {REDUCED}; {search}; write_status {STATUS}",
        seconds=seconds,
    )
    # ABC refuses to search an empty graph
    if reduced.is_file() and read_graph(reduced.read_bytes()).outputs == [0]:
        return Answer("proved", 0)
    return _answer(status)


def _answer(status: Path) -> Answer:
    """Read ABC's status file, if there is one."""
    words = status.read_text(encoding="utf-8").split() if status.is_file() else []
    match words:
        case ["snl_SAT", cycle, *_]:
            return Answer("fails", int(cycle))
        case ["snl_UNSAT", cycle, *_]:
            return Answer("proved", int(cycle))
        case ["snl_UNK", cycle, *_]:
            return Answer("open", int(cycle))
        case _:
            return Answer("open", -1)


def never_true(yosys: str, folder: Path, *, seconds: int = SECONDS_EACH) -> list[bool]:
    """Return for each output of the graph in a folder whether it is proved to be 0 in all cycles.

    All outputs are first proved together, by induction over registers, of which equal and constant ones are found; each
    remaining output is then proved alone, by its reachable states.

    Args:
        yosys: path of Yosys.
        folder: working directory with the graph.
        seconds: time limit of each remaining output.

    Raises:
        RuntimeError: ABC gave no answer.
    """
    reduced = folder / REDUCED
    reduced.unlink(missing_ok=True)
    run_abc(yosys, folder, f"read_aiger {GRAPH}; fold; strash; lcorr; scorr; strash; write_aiger {REDUCED}")
    if not reduced.is_file():
        raise RuntimeError("ABC wrote no graph")
    graph = read_graph(reduced.read_bytes())
    # equal outputs need one answer
    place_of = {literal: place for place, literal in enumerate(graph.outputs) if literal}
    todo = list(place_of.values())
    zero = {0}
    while todo:
        batch = todo[:BATCH]
        commands = []
        for place in batch:
            (folder / f"{place}.aig").write_bytes(write_graph(cone(graph, place)))
            commands.append(f"read_aiger {place}.aig; {abstract(seconds)}; write_status {place}.txt")
        run_abc(yosys, folder, "; ".join(commands))
        answered = [place for place in batch if (folder / f"{place}.txt").is_file()]
        zero |= {graph.outputs[place] for place in answered if _answer(folder / f"{place}.txt").verdict == "proved"}
        # ABC may crash on an output, which then has no answer; later ones are searched again
        todo = todo[min(len(answered) + 1, len(batch)) :]
    return [literal in zero for literal in graph.outputs]
