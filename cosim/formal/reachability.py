"""Circuits as and-inverter graphs, and what ABC, which is a part of Yosys, says of their states."""

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
"""Yosys commands that write a flat circuit with its checks and assumptions; all registers begin at anything."""

SECONDS_EACH = 15
"""What is proved at all takes tenths of a second, mostly."""

BATCH = 40
"""Outputs that ABC is asked of in one run."""

REDUCE = "fold; strash; orpos; scorr"
"""ABC commands: assumptions become a part of what is asked, checks become one, and equal registers are merged."""


@dataclass(frozen=True)
class Answer:
    """What is known of the checks.

    Attributes:
        verdict: of all states that can be reached, or ``open``: of those in the cycles that were looked at, none fails.
        cycle: the last one, counted from 0, in which no check is known to fail.
    """

    verdict: Literal["proved", "fails", "open"]
    cycle: int


def bounded(depth: int, seconds: int) -> str:
    """The ABC command that looks at so many cycles from the beginning on."""
    return f"bmc3 -F {depth} -T {seconds}"


def unbounded(seconds: int) -> str:
    """The ABC command that looks at every state that can be reached."""
    return f"pdr -T {seconds}"


def abstract(seconds: int) -> str:
    """The same for a large circuit of which little matters."""
    return f"pdr -t -T {seconds}"


def run_abc(yosys: str, folder: Path, commands: str, *, seconds: int | None = None) -> None:
    """Have ABC do what the commands say; it prints nothing, but may write files.

    Args:
        yosys: the program.
        folder: in which it works.
        commands: of ABC.
        seconds: after which it is stopped; never if None.
    """
    script = commands.replace("; ", ";").replace(" ", ",")
    # Yosys wants a circuit to map, and takes it ill that it does not get that one back
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
    """Ask whether any check of the graph in a folder can fail.

    Args:
        yosys: the program.
        folder: with the graph, in which the answer is written, too.
        search: the ABC command that looks for an answer.
        reduce: the ABC commands before it, which leave one output.
        seconds: after which there is no answer; never if None.
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
    # where nothing is left, ABC finds nothing to search
    if reduced.is_file() and read_graph(reduced.read_bytes()).outputs == [0]:
        return Answer("proved", 0)
    return _answer(status)


def _answer(status: Path) -> Answer:
    """What ABC wrote, if it did."""
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
    """Of each output of the graph in a folder, whether it is proved to be 0 for ever.

    First all at once, by induction over all registers with equal and constant ones found on the way; then each of the
    others alone, by the states that can be reached.

    Args:
        yosys: the program.
        folder: with the graph.
        seconds: that are spent on one output, in the second part.

    Raises:
        RuntimeError: ABC gave no answer.
    """
    reduced = folder / REDUCED
    reduced.unlink(missing_ok=True)
    run_abc(yosys, folder, f"read_aiger {GRAPH}; fold; strash; lcorr; scorr; strash; write_aiger {REDUCED}")
    if not reduced.is_file():
        raise RuntimeError("ABC gave no graph back")
    graph = read_graph(reduced.read_bytes())
    # outputs that are the same need one answer
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
        # ABC may die of an output; that one has no answer, and those behind it are asked again
        todo = todo[min(len(answered) + 1, len(batch)) :]
    return [literal in zero for literal in graph.outputs]
