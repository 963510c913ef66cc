"""Circuits as and-inverter graphs, and what ABC, which is a part of Yosys, says of their states."""

import contextlib
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

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


def run_abc(yosys: str, folder: Path, commands: str, *, seconds: int | None = None) -> None:
    """Have ABC read the graph in a folder and do what the commands say; it prints nothing, but may write files.

    Args:
        yosys: the program.
        folder: with the graph.
        commands: of ABC.
        seconds: after which it is stopped; never if None.
    """
    script = f"read_aiger {GRAPH}; {commands}".replace("; ", ";").replace(" ", ",")
    # Yosys wants a circuit to map, and takes it ill that it does not get that one back
    (folder / "ask.ys").write_text(
        "read_verilog -icells <<end\nmodule top(input a, output b); \\$_NOT_ inverter(.A(a), .Y(b)); endmodule\nend\n"
        f"abc -script +{script}\n",
        encoding="utf-8",
    )
    command = [yosys, "-q", "-s", "ask.ys"]
    with contextlib.suppress(subprocess.TimeoutExpired):
        subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=seconds)


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
    run_abc(yosys, folder, f"{reduce}; write_aiger {REDUCED}; {search}; write_status {STATUS}", seconds=seconds)
    # where nothing is left, ABC finds nothing to search
    if reduced.is_file() and _never_true(reduced) == [True]:
        return Answer("proved", 0)
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


def never_true(yosys: str, folder: Path) -> list[bool]:
    """Of each output of the graph in a folder, whether it is 0 for ever, as far as induction can tell.

    Raises:
        RuntimeError: ABC gave no answer.
    """
    reduced = folder / REDUCED
    run_abc(yosys, folder, f"strash; lcorr; scorr; strash; write_aiger {REDUCED}")
    if not reduced.is_file():
        raise RuntimeError("ABC gave no graph back")
    return _never_true(reduced)


def _never_true(graph: Path) -> list[bool]:
    """Of each output of a graph, in AIGER's format, whether it is the constant 0."""
    lines = graph.read_bytes().split(b"\n")
    # inputs, registers, outputs, gates, and outputs of another kind if there are assumptions
    sizes = [int(number) for number in lines[0].split()[2:]]
    _, registers, outputs, _, bad, *_ = (*sizes, 0)
    return [line == b"0" for line in lines[1 + registers : 1 + registers + outputs + bad]]
