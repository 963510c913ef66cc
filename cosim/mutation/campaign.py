"""The mutants, one after the other, in one simulator; those that survive, in front of a proof."""

import json
import re
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from cosim.build import SimulationError, compile_model, verilator_command
from cosim.mutation.mutants import (
    CHOICE,
    DESIGN,
    MUTATED,
    PREPARE,
    Mutant,
    MutationError,
    choose_mutants,
    design_of,
    escaped,
    module_names,
    write_mutated,
    yosys,
)
from cosim.mutation.regression import SPEC, bench_words, regression
from gen.cache import cached_build, digest_of
from gen.verilator import tool_environment
from gen.verilog import TOP

BENCH = Path(__file__).with_name("bench.cpp")

Verdict = Literal["words", "hang", "timing", "survived", "equivalent"]
"""The first three are killed; ``timing`` by nothing but what the ports do in some cycle."""

KILLED = ("words", "hang", "timing")


@dataclass(frozen=True)
class Campaign:
    """Mutants and the simulator of all of them.

    Attributes:
        design: without mutants, as RTLIL.
        mutants: by number.
        program: the simulator.
        entries: file with what it plays.
        verdicts: file with what came of each, a line each.
    """

    design: str
    mutants: list[Mutant]
    program: Path
    entries: Path
    verdicts: Path


def prepare(*, count: int, seed: int, folder: Path) -> Campaign:
    """Choose mutants, and build their simulator; what an earlier run has made is used again.

    Raises:
        InputError: a tool is missing.
        MutationError: Yosys failed.
        SimulationError: Verilator or the compiler failed.
    """
    design, bench = design_of(SPEC), BENCH.read_text(encoding="utf-8")
    digest = digest_of([design, str(count), str(seed)])

    def make(target: Path) -> None:
        mutants = choose_mutants(design, count=count, seed=seed, folder=target)
        write_mutated(mutants, target)
        (target / "mutants.json").write_text(json.dumps([asdict(mutant) for mutant in mutants]), encoding="utf-8")

    made = cached_build(folder, "mutants", digest, make)
    mutants = [Mutant(**values) for values in json.loads((made / "mutants.json").read_text(encoding="utf-8"))]
    sources = {MUTATED: (made / MUTATED).read_text(encoding="utf-8"), BENCH.name: bench}
    command = verilator_command(TOP, *reversed(sources))
    built = compile_model("mutants-program", sources, command, environment=tool_environment(), cache=folder)
    words = bench_words(regression())
    entries = made / f"program-{digest_of([words])[:16]}"
    entries.write_bytes(words)
    verdicts = made / f"verdicts-{digest_of([words, bench])[:16]}"
    return Campaign(design, mutants, built / TOP, entries, verdicts)


def known_verdicts(campaign: Campaign) -> dict[int, Verdict]:
    """What earlier runs found, by number."""
    if not campaign.verdicts.is_file():
        return {}
    lines = (line.split() for line in campaign.verdicts.read_text(encoding="utf-8").splitlines())
    return {int(line[0]): line[1] for line in lines if len(line) == 3}  # type: ignore[misc]


def simulate(campaign: Campaign, *, progress: Callable[[int], None] = lambda _: None) -> dict[int, Verdict]:
    """The verdict on each mutant; a run that is broken off goes on where it stopped.

    Args:
        campaign: what to simulate.
        progress: called with the number of mutants that are done.

    Raises:
        SimulationError: the simulator died, or the design hangs without a mutant.
    """
    known = known_verdicts(campaign)
    missing = [mutant.number for mutant in campaign.mutants if mutant.number not in known]
    progress(len(known))
    while missing:
        first = missing[0]
        count = next((n for n, number in enumerate(missing) if number != first + n), len(missing))
        command = [str(campaign.program), str(campaign.entries), str(first), str(count)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            for line in process.stdout or ():
                with campaign.verdicts.open("a", encoding="utf-8") as file:
                    file.write(line)
                number, verdict, _ = line.split()
                known[int(number)] = verdict  # type: ignore[assignment]
                progress(len(known))
        if process.returncode:
            raise SimulationError(f"the simulator of the mutants ended with status {process.returncode}")
        missing = [number for number in missing if number not in known]
    return known


MEMORIES = r"\.(memory|memory_\d+|constants|membranes|zeros|links|scores)$"
"""Modules that are memories and little else; a proof about others cuts them out."""


def is_equivalent(mutant: Mutant, *, design: str, seconds: int) -> bool:
    """Whether it makes the same outputs and the same next state of every state and all inputs, by proof.

    First its module is looked at, then the ones around it, since nothing may use what is different. Registers and
    memories become inputs and outputs, and what is between them is compared with the mutant chosen and not.

    Args:
        mutant: the survivor.
        design: without it, as RTLIL.
        seconds: after which there is no proof, for each module that is looked at.
    """
    parts = mutant.module.split(".")
    around = [".".join(parts[:size]) for size in range(len(parts), 1, -1)]
    return any(_is_equivalent_in(module, mutant, design, seconds) for module in around or [mutant.module])


def _is_equivalent_in(module: str, mutant: Mutant, design: str, seconds: int) -> bool:
    def overlaps(name: str) -> bool:
        return name.startswith(mutant.module) or mutant.module.startswith(name)

    change = re.sub(rf"-ctrl {CHOICE} \d+ \d+ ", f"-ctrl {CHOICE} 1 1 ", mutant.command)
    cut = [name for name in module_names(design) if re.search(MEMORIES, name) and not overlaps(name)]
    marks = "".join(f"setattr -mod -set keep_hierarchy 1 {escaped(name)}\n" for name in cut)
    choices = "".join(
        f"cd {name}\ndelete -input w:{CHOICE}\nconnect -set {CHOICE} 1'{value}\ncd ..\n"
        for value, name in enumerate(("gold", "gate"))
    )
    script = (
        f"{PREPARE}{change}\nhierarchy -top {escaped(module)}\n{marks}flatten\nmemory_map\ndffunmap\nopt_clean\n"
        f"expose -evert\nexpose -evert-dff\nopt_clean\nrename -top gold\ncopy gold gate\n{choices}"
        "miter -equiv -flatten gold gate miter\nhierarchy -top miter\nopt -full\nopt_merge -share_all\n"
        f"sat -verify -timeout {seconds} -prove trigger 0 miter\n"
    )
    with tempfile.TemporaryDirectory(prefix="spikequant-") as work:
        (Path(work) / DESIGN).write_text(design, encoding="utf-8")
        try:
            yosys(script, Path(work))
        except MutationError:
            return False
    return True


def figures(mutants: Sequence[Mutant], verdicts: dict[int, Verdict]) -> dict[str, Any]:
    """For JSON: the counts, by component too, and every mutant that survived."""

    def counts(chosen: Sequence[Mutant]) -> dict[str, int | float]:
        found = [verdicts[mutant.number] for mutant in chosen]
        killed = sum(verdict in KILLED for verdict in found)
        relevant = len(found) - found.count("equivalent")
        return {
            "mutants": len(found),
            "killed": killed,
            "killed_by_timing": found.count("timing"),
            "equivalent": found.count("equivalent"),
            "survived": found.count("survived"),
            "score": killed / relevant if relevant else 1.0,
        }

    components = dict.fromkeys(mutant.component for mutant in mutants)
    return {
        **counts(mutants),
        "components": {name: counts([m for m in mutants if m.component == name]) for name in components},
        "survivors": [asdict(mutant) for mutant in mutants if verdicts[mutant.number] == "survived"],
    }
