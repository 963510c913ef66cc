"""Mutation campaign: simulate all mutants in one simulator, then try to prove survivors equivalent."""

import inspect
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

from spikequant.cosim.formal import graph
from spikequant.cosim.mutation import comparison, equivalence
from spikequant.cosim.mutation.equivalence import Region, compare
from spikequant.cosim.mutation.mutants import MUTATED, Mutant, choose_mutants, design_of, write_mutated
from spikequant.cosim.random.regression import SPEC, bench_words, regression
from spikequant.cosim.simulator.build import SimulationError, compile_model
from spikequant.golden.support.figures import Figures
from spikequant.golden.support.store import ResultFolder, cached_build, digest_of
from spikequant.rtl.verilog import TOP

BENCH = Path(__file__).with_name("bench.cpp")
MUTANTS = "mutants.json"

Verdict = Literal["words", "hang", "timing", "survived", "equivalent"]
"""Outcome of a mutant. The first three are killed; ``timing`` differs only in the cycles of the ports' activity."""

KILLED = ("words", "hang", "timing")


class _Mutants(Figures):
    mutants: list[Mutant]


class _Simulated(Figures):
    verdict: Verdict


class _Compared(Figures):
    module: str


class Counts(Figures):
    """Counts of mutants.

    Attributes:
        mutants: all mutants.
        killed: mutants that the regression notices.
        killed_by_timing: killed mutants that differ only in timing.
        equivalent: survivors that are proved equivalent.
        survived: other survivors.
        score: share of the mutants that are killed, without the equivalent ones; 1 if there are no others.
    """

    mutants: int
    killed: int
    killed_by_timing: int
    equivalent: int
    survived: int
    score: float

    @classmethod
    def of(cls, verdicts: Sequence[Verdict], **more: object) -> Self:
        """Count verdicts; ``more`` are the other fields of a subclass."""
        killed = sum(verdict in KILLED for verdict in verdicts)
        relevant = len(verdicts) - verdicts.count("equivalent")
        counts = {
            "mutants": len(verdicts),
            "killed": killed,
            "killed_by_timing": verdicts.count("timing"),
            "equivalent": verdicts.count("equivalent"),
            "survived": verdicts.count("survived"),
            "score": killed / relevant if relevant else 1.0,
        }
        return cls.model_validate(counts | more)


class CampaignFigures(Counts):
    """Figures of a campaign.

    Attributes:
        ok: the score reaches the goal.
        seed: seed of the choice of mutants.
        components: counts by component.
        survivors: mutants that survived and are not proved equivalent.
    """

    ok: bool
    seed: int
    components: dict[str, Counts]
    survivors: list[Mutant]


@dataclass(frozen=True)
class Campaign:
    """Mutants and their simulator.

    Attributes:
        design: the design without mutants, as RTLIL.
        mutants: all mutants, by number.
        program: the simulator.
        entries: file with the simulator's input.
        folder: folder of the results.
        simulation: digest of everything that the verdicts depend on.
        proof: digest of everything that the proofs depend on.
    """

    design: str
    mutants: list[Mutant]
    program: Path
    entries: Path
    folder: Path
    simulation: str
    proof: str


def prepare(*, count: int, seed: int, seconds: int, folder: Path) -> Campaign:
    """Choose mutants and build their simulator, or take both from an earlier run.

    Args:
        count: number of mutants, at least.
        seed: seed of the choice.
        seconds: time limit of a proof, for each part of the design.
        folder: folder of the campaign, from which a later run resumes.

    Raises:
        InputError: a tool is missing.
        YosysError: Yosys failed.
        SimulationError: Verilator or the compiler failed.
    """
    design, bench = design_of(SPEC), BENCH.read_text(encoding="utf-8")

    def make(target: Path) -> None:
        mutants = choose_mutants(design, count=count, seed=seed, folder=target)
        write_mutated(mutants, target)
        _Mutants(mutants=mutants).write(target / MUTANTS)

    made = cached_build(folder, "mutants", digest_of([design, str(count), str(seed)]), make)
    mutants = _Mutants.read(made / MUTANTS, what="mutants").mutants
    sources = {MUTATED: (made / MUTATED).read_text(encoding="utf-8"), BENCH.name: bench}
    built = compile_model("mutants-program", TOP, sources, cache=folder)
    words = bench_words(regression())
    simulation = digest_of([words, bench])
    entries = made / f"program-{simulation[:16]}"
    entries.write_bytes(words)
    method = [inspect.getsource(module) for module in (comparison, equivalence, graph)]
    return Campaign(design, mutants, built / TOP, entries, made, simulation, digest_of([*method, str(seconds)]))


def simulate(campaign: Campaign, *, progress: Callable[[int], None] = lambda _: None) -> dict[int, Verdict]:
    """Simulate all mutants, except those that an earlier run did; return verdicts by number.

    Args:
        campaign: the mutants.
        progress: called with the number of finished mutants.

    Raises:
        SimulationError: the simulator died, or the design hangs without a mutant.
    """
    kept = ResultFolder(campaign.folder / "verdicts", _Simulated)
    earlier = {mutant.number: kept.find(str(mutant.number), campaign.simulation) for mutant in campaign.mutants}
    known = {number: result.verdict for number, result in earlier.items() if result is not None}
    missing = [number for number in earlier if number not in known]
    progress(len(known))
    while missing:
        first = missing[0]
        count = next((n for n, number in enumerate(missing) if number != first + n), len(missing))
        command = [str(campaign.program), str(campaign.entries), str(first), str(count)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            for line in process.stdout or ():
                number, verdict, _ = line.split()
                result = _Simulated.model_validate({"verdict": verdict})
                kept.keep(number, campaign.simulation, result)
                known[int(number)] = result.verdict
                progress(len(known))
        if process.returncode:
            raise SimulationError(f"the simulator of the mutants ended with status {process.returncode}")
        missing = [number for number in missing if number not in known]
    return known


def prove(
    campaign: Campaign, survivors: Sequence[Mutant], *, seconds: int, progress: Callable[[int], None] = lambda _: None
) -> dict[int, str]:
    """Compare survivors with the design, except those that an earlier run did.

    Args:
        campaign: the campaign.
        survivors: mutants to compare.
        seconds: time limit of a proof, for each part of the design.
        progress: called with the number of finished survivors.

    Returns:
        By number, the module in which the survivor is proved equivalent; empty if there is no proof.

    Raises:
        YosysError: Yosys failed.
    """
    kept = ResultFolder(campaign.folder / "proofs", _Compared)
    earlier = {mutant.number: kept.find(str(mutant.number), campaign.proof) for mutant in survivors}
    known = {number: result.module for number, result in earlier.items() if result is not None}
    progress(len(known))

    def done(mutant: Mutant, region: Region | None) -> None:
        known[mutant.number] = region.module if region else ""
        kept.keep(str(mutant.number), campaign.proof, _Compared(module=known[mutant.number]))
        progress(len(known))

    missing = [mutant for mutant in survivors if mutant.number not in known]
    compare(missing, design=campaign.design, seconds=seconds, done=done)
    return known


def figures(mutants: Sequence[Mutant], verdicts: Mapping[int, Verdict], *, seed: int, goal: float) -> CampaignFigures:
    """Sum up a campaign.

    Args:
        mutants: all mutants.
        verdicts: verdicts by number.
        seed: seed of the choice of mutants.
        goal: least score that is accepted.
    """
    by_component: dict[str, list[Verdict]] = {}
    for mutant in mutants:
        by_component.setdefault(mutant.component, []).append(verdicts[mutant.number])
    every = [verdicts[mutant.number] for mutant in mutants]
    return CampaignFigures.of(
        every,
        ok=Counts.of(every).score >= goal,
        seed=seed,
        components={name: Counts.of(own) for name, own in by_component.items()},
        survivors=[mutant for mutant in mutants if verdicts[mutant.number] == "survived"],
    )
