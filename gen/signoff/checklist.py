"""The rows of the checklist, after the verification stages of OpenTitan (V1 to V3), and how each is judged."""

import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import spikequant.rtl
from spikequant.benchmarks.families import FamiliesFigures
from spikequant.cosim.coverage.measure import CoverageFigures
from spikequant.cosim.formal.prove import FormalFigures, PropertyFigures
from spikequant.cosim.mutation.campaign import CampaignFigures
from spikequant.cosim.random.verify import VerifyFigures
from spikequant.cosim.simulator.verilator import lint
from spikequant.fpga.link.fuzz import FuzzFigures
from spikequant.fpga.sdram.soak import SoakFigures
from spikequant.fpga.upsets.campaign import KINDS, UpsetFigures
from spikequant.gen.signoff.evidence import Campaign, read_evidence
from spikequant.golden.layer.spec import PRESETS
from spikequant.golden.support.figures import Figures
from spikequant.rtl.manifest import WAIVERS, write_generated
from spikequant.rtl.verilog import TOP

Stage = Literal["V1", "V2", "V3"]

Outcome = Literal["met", "not met", "out of date", "no evidence"]

STAGES: dict[Stage, str] = {
    "V1": "the design runs: generated, without warnings, and right in a first regression",
    "V2": "the features are verified: random programs, bounded proofs, most points reached",
    "V3": "signed off: every property proved for any time, every point reached or waived, hours without a failure",
}

FORMAL = Campaign("formal.json", FormalFigures, "make formal")
VERIFY = Campaign("verify.json", VerifyFigures, "make verify")
COVERAGE = Campaign("coverage.json", CoverageFigures, "make coverage")
MUTATION = Campaign("mutation.json", CampaignFigures, "make mutate")
FAMILIES = Campaign("families.json", FamiliesFigures, "spikequant families --json build/families.json")
MEMORY = Campaign("soak-memory.json", SoakFigures, "make soak-memory")
LINE = Campaign("fuzz-line.json", FuzzFigures, "make fuzz-line")
UPSETS = Campaign("upsets.json", UpsetFigures, "make upsets")

ACCELERATORS = 40
"""Random accelerators of the regression."""

MOST_POINTS = 0.9
"""Share of the points of each kind that V2 asks for."""

MOST_MUTANTS = 0.98
"""Share of the mutants that V3 asks to be detected."""

SOAK_HOURS = 8.0
"""Hours of random programs that V3 asks for."""

UPSETS_OF_A_KIND = 1000
"""Upsets of each kind of state that V3 asks for."""

LINTED = ("tiny", "base")
"""Presets whose Verilog is linted."""

OPEN_TASK = re.compile(r"\b(TODO|FIXME|XXX)\b")


@dataclass(frozen=True)
class Judgement:
    """What a piece of evidence says.

    Attributes:
        met: whether it is enough.
        summary: one line with the figures.
        details: what is missing, or what was waived, one line each.
        cones: properties whose cones of influence the page shows.
    """

    met: bool
    summary: str
    details: tuple[str, ...] = ()
    cones: tuple[PropertyFigures, ...] = ()


@dataclass(frozen=True)
class Check:
    """A row to judge.

    Attributes:
        stage: stage that asks for it.
        name: short name.
        claim: what must hold.
        judge: called with the campaign's figures, or with nothing if the check needs none.
        campaign: campaign whose figures are judged; None for a check that is made at once.
    """

    stage: Stage
    name: str
    claim: str
    judge: Callable[..., Judgement]
    campaign: Campaign[Any] | None = None


class Row(Figures):
    """A judged row.

    Attributes:
        stage, name, claim: as in ``Check``.
        outcome: ``out of date`` if the evidence is about other hardware, ``no evidence`` if there is none.
        summary, details, cones: as in ``Judgement``.
        command: what repeats the campaign; empty for a check that was made at once.
    """

    stage: Stage
    name: str
    claim: str
    outcome: Outcome
    summary: str = ""
    details: tuple[str, ...] = ()
    cones: tuple[PropertyFigures, ...] = ()
    command: str = ""


def _lint() -> Judgement:
    """Lint the Verilog of presets, with the waivers that ship beside it."""
    found: list[str] = []
    for preset in LINTED:
        with tempfile.TemporaryDirectory() as folder:
            write_generated(PRESETS[preset], Path(folder))
            found += [f"{preset}: {line}" for line in lint(Path(folder), WAIVERS.name, f"{TOP}.v")]
    waived = [line for line in WAIVERS.read_text("utf-8").splitlines() if line.startswith("lint_off")]
    summary = f"{', '.join(LINTED)}: {len(found)} lines, {len(waived)} waivers"
    return Judgement(not found, summary, (*found, *(f"waived: {line}" for line in waived)))


def _open_tasks() -> Judgement:
    root = Path(spikequant.rtl.__path__[0])
    found = [
        f"{path.relative_to(root)}:{number}: {line.strip()}"
        for path in sorted(root.rglob("*.py"))
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if OPEN_TASK.search(line)
    ]
    return Judgement(not found, f"{len(found)} in rtl/", tuple(found))


def _regression(figures: VerifyFigures) -> Judgement:
    failures = tuple(f"seed {seed.seed}: {seed.failure}" for seed in figures.seeds if seed.failure)
    count = len(figures.seeds)
    summary = f"{count} accelerators, {figures.programs:,} programs, {figures.resets} resets, {len(failures)} failures"
    return Judgement(not failures and count >= ACCELERATORS, summary, failures)


def _first_program(figures: VerifyFigures) -> Judgement:
    return Judgement(figures.programs > 0 and figures.ok, f"{figures.programs:,} programs, {figures.outputs:,} outputs")


def _soak(figures: VerifyFigures) -> Judgement:
    hours = sum(seed.seconds for seed in figures.seeds) / 3600
    summary = f"{hours:.2f} h, {figures.cycles:,} cycles, {figures.packets:,} packets"
    return Judgement(figures.ok and hours >= SOAK_HOURS, summary)


def _bounded_proofs(figures: FormalFigures) -> Judgement:
    bad = tuple(f"{one.property}: {one.outcome}: {one.message}" for one in figures.properties if not one.ok)
    return Judgement(not bad, f"{len(bad)} of {len(figures.properties)} failed or without an answer", bad)


def _proofs(figures: FormalFigures) -> Judgement:
    left = tuple(f"{one.property}: {one.outcome}, {one.method}" for one in figures.properties if not one.proves)
    total = len(figures.properties)
    summary = f"{total - len(left)} of {total} proved for any number of cycles"
    measured = tuple(one for one in figures.properties if one.cone and one.cone.bits)
    return Judgement(figures.ok and not left, summary, left, measured)


def _most_points(figures: CoverageFigures) -> Judgement:
    shares = {kind: counts.share for kind, counts in figures.kinds.items()}
    summary = ", ".join(f"{kind} {share:.2%}" for kind, share in shares.items())
    return Judgement(min(shares.values()) >= MOST_POINTS, summary)


def _all_points(figures: CoverageFigures) -> Judgement:
    missing = tuple(
        f"{design}, {kind}: {name}"
        for design, kinds in figures.designs.items()
        for kind, part in kinds.items()
        for name in part.missing
    )
    waived = tuple(f"waived, {one.kind}: {one.name}: {one.reason}" for one in figures.exclusions)
    return Judgement(figures.ok, f"{len(missing)} points missing, {len(waived)} waivers", (*missing, *waived))


def _mutants(figures: CampaignFigures) -> Judgement:
    left = tuple(f"{one.number}, {one.module}: {one.change} ({one.source})" for one in figures.survivors)
    relevant = figures.mutants - figures.equivalent
    summary = f"{figures.killed} of {relevant} detected ({figures.score:.1%}), {figures.equivalent} proved equivalent"
    return Judgement(figures.score >= MOST_MUTANTS, summary, left)


def _families(figures: FamiliesFigures) -> Judgement:
    cells = tuple(f"{one.family}: {one.luts} LUTs, {one.block_rams} block RAMs" for one in figures.families)
    return Judgement(figures.ok, f"{figures.config} on {len(cells)} families", cells)


def _memory(figures: SoakFigures) -> Judgement:
    summary = (
        f"{figures.packets:,} packets, {figures.mismatches} mismatches, {figures.violations} broken rules of the chip"
    )
    return Judgement(not figures.mismatches and not figures.violations, summary)


def _line(figures: FuzzFigures) -> Judgement:
    return Judgement(figures.ok, f"{figures.frames:,} frames, {figures.damaged:,} damaged, {figures.refused:,} refused")


def _upsets(figures: UpsetFigures) -> Judgement:
    shares = tuple(
        f"{KINDS[one.kind]}, {one.upsets:,} upsets: {one.masked / one.upsets:.1%} masked, "
        f"{one.flagged / one.upsets:.1%} flagged, {one.silent / one.upsets:.1%} silent"
        for one in figures.kinds
    )
    enough = all(one.upsets >= UPSETS_OF_A_KIND for one in figures.kinds)
    return Judgement(bool(shares) and enough, f"{figures.config}, {len(shares)} kinds of state", shares)


CHECKS = (
    Check("V1", "lint", "Verilator's lint prints nothing beyond the waivers", _lint),
    Check("V1", "first regression", "random programs give the results that their packets mean", _first_program, VERIFY),
    Check("V2", "random accelerators", f"{ACCELERATORS} or more, none fails", _regression, VERIFY),
    Check("V2", "proofs", "every property holds, at least for a bounded time", _bounded_proofs, FORMAL),
    Check("V2", "coverage", f"{MOST_POINTS:.0%} of the points of each kind", _most_points, COVERAGE),
    Check("V2", "families", "synthesis for every family finds block RAMs for the memories", _families, FAMILIES),
    Check("V2", "memory", "random packets through the SDRAM controller", _memory, MEMORY),
    Check("V2", "serial line", "random, broken and foreign frames", _line, LINE),
    Check("V3", "unbounded proofs", "every property is proved for any number of cycles", _proofs, FORMAL),
    Check("V3", "full coverage", "every point is reached, or waived with a reason", _all_points, COVERAGE),
    Check("V3", "mutants", f"{MOST_MUTANTS:.0%} of the mutants that change results are detected", _mutants, MUTATION),
    Check("V3", "soak", f"{SOAK_HOURS:.0f} hours of random programs without a failure", _soak, VERIFY),
    Check("V3", "upsets", f"the effects of {UPSETS_OF_A_KIND:,} of each kind of state are known", _upsets, UPSETS),
    Check("V3", "open tasks", "no TODO in the accelerator's sources", _open_tasks),
)


def judge(folder: Path, checks: Sequence[Check] = CHECKS) -> Iterator[Row]:
    """Judge rows by the evidence in a folder, in the order of the page.

    Raises:
        InputError: a file is not evidence.
    """
    campaigns = {check.campaign.file: check.campaign for check in checks if check.campaign}
    evidence = {file: read_evidence(folder, campaign) for file, campaign in campaigns.items()}
    for check in checks:
        row = Row(stage=check.stage, name=check.name, claim=check.claim, outcome="no evidence")
        if check.campaign is None:
            yield _judged(row, check.judge(), current=True)
            continue
        row = row.model_copy(update={"command": check.campaign.command})
        found = evidence[check.campaign.file]
        yield _judged(row, check.judge(found.figures), current=found.current) if found else row


def _judged(row: Row, found: Judgement, *, current: bool) -> Row:
    outcome: Outcome = "out of date" if not current else "met" if found.met else "not met"
    shown = {"summary": found.summary, "details": found.details, "cones": found.cones}
    return row.model_copy(update={"outcome": outcome, **shown})
