"""The mutants, one after the other, in one simulator; those that survive, in front of a proof."""

import inspect
import json
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from spikequant.cosim.formal import graph
from spikequant.cosim.mutation import comparison, equivalence
from spikequant.cosim.mutation.equivalence import Region, compare
from spikequant.cosim.mutation.mutants import MUTATED, Mutant, choose_mutants, design_of, write_mutated
from spikequant.cosim.random.regression import SPEC, bench_words, regression
from spikequant.cosim.simulator.build import SimulationError, compile_model, verilator_command
from spikequant.cosim.simulator.verilator import tool_environment
from spikequant.golden.support.store import cached_build, digest_of
from spikequant.rtl.verilog import TOP

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
        proofs: file with the survivors that were compared by proof, a line each.
    """

    design: str
    mutants: list[Mutant]
    program: Path
    entries: Path
    verdicts: Path
    proofs: Path


def prepare(*, count: int, seed: int, seconds: int, folder: Path) -> Campaign:
    """Choose mutants, and build their simulator; what an earlier run has made is used again.

    Raises:
        InputError: a tool is missing.
        YosysError: Yosys failed.
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
    method = [inspect.getsource(module) for module in (comparison, equivalence, graph)]
    proofs = made / f"proofs-{digest_of([*method, str(seconds)])[:16]}"
    return Campaign(design, mutants, built / TOP, entries, verdicts, proofs)


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


def known_proofs(campaign: Campaign) -> dict[int, str]:
    """The module in which each survivor was proved equivalent, by number; empty where no proof was found."""
    if not campaign.proofs.is_file():
        return {}
    lines = (line.split(" ") for line in campaign.proofs.read_text(encoding="utf-8").splitlines())
    return {int(line[0]): line[1] for line in lines if len(line) == 2}


def prove(
    campaign: Campaign, survivors: Sequence[Mutant], *, seconds: int, progress: Callable[[int], None] = lambda _: None
) -> dict[int, str]:
    """As ``known_proofs``, of all survivors; a run that is broken off goes on where it stopped.

    Args:
        campaign: what they are of.
        survivors: to compare with the design.
        seconds: after which there is no proof, for each part of the design that is looked at.
        progress: called with the number of survivors that are done.

    Raises:
        YosysError: Yosys failed.
    """
    known = known_proofs(campaign)
    missing = [mutant for mutant in survivors if mutant.number not in known]
    progress(len(survivors) - len(missing))

    def done(mutant: Mutant, region: Region | None) -> None:
        known[mutant.number] = region.module if region else ""
        with campaign.proofs.open("a", encoding="utf-8") as file:
            file.write(f"{mutant.number} {known[mutant.number]}\n")
        progress(sum(survivor.number in known for survivor in survivors))

    compare(missing, design=campaign.design, seconds=seconds, done=done)
    return known


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
