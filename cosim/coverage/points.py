"""Coverage points from Verilator's files, and how often each was reached."""

import re
from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from pydantic import ConfigDict, Field, ValidationError, computed_field

from spikequant.golden.support.errors import InputError
from spikequant.golden.support.figures import Figures
from spikequant.golden.support.toml_files import read_toml

LINE, TOGGLE, UNNAMED, EVENT, PROGRAM = "line", "toggle", "toggle, unnamed", "event", "program"
"""Kinds of points: lines and branches of the Verilog, edges of bits of its named wires, edges of bits of the wires that
Yosys inserts, events inside the accelerator, and values in programs and results."""

KINDS = (LINE, TOGGLE, UNNAMED, EVENT, PROGRAM)

COVERAGE_OPTIONS = ("--coverage-line", "--coverage-toggle", "--coverage-user")
"""Verilator's options for a simulator that counts."""

GENERATED = "spikequant.v"


def coverage_argument(path: Path) -> str:
    """Return the simulator's plus-argument for the file that it writes its points to when it ends."""
    return f"verilator+coverage+file+{path}"


@dataclass(frozen=True, order=True)
class Point:
    """A coverage point.

    Attributes:
        kind: one of ``KINDS``.
        name: unique within its kind, such as ``encoder.bucket_0: head[3] rises``.
    """

    kind: str
    name: str


_POINT = re.compile(rb"C '(.*)' (\d+)")


def _plain(name: str) -> str:
    """Decode Verilator's spelling of a Verilog name."""
    return re.sub(r"__0([0-9a-f]{2})", lambda code: chr(int(code[1], 16)), name.replace("___05F", "__"))


YOSYS = "$auto$verilog_backend"
"""Part of the name of a constant register that Yosys reads in each process, so that the process runs at the start. Its
bits and the branches on it do not belong to the design."""

WITHOUT_BITS = "[-1:0]"
"""Range that Yosys writes for a wire without bits, which Verilog does not have: the simulator gives it two."""


def definitions(verilog: str, top: str) -> dict[str, str]:
    """Find the expressions of wires without a name of their own, by scope and number: ``encoder.bucket_0: $12``.

    Args:
        verilog: the design, with one instance of each module.
        top: name of its top module.
    """
    found: dict[str, str] = {}
    scope = ""
    for line in verilog.splitlines():
        if module := re.match(r"module \\?(\S+?) ?\(", line):
            scope = module[1].removeprefix(top).removeprefix(".") or "top"
        elif wire := re.match(r" +(?:assign )?\\(\$\S+) +(?:\[\S+\] )?= (.*);", line):
            name = f"{scope}: {wire[1]}"
            # a wire that is assigned in a process has several expressions
            found[name] = f"{found[name]}, {wire[2]}" if name in found else wire[2]
    return {name: _WIRE.sub(partial(_inner, found, name), meaning) for name, meaning in found.items()}


_WIRE = re.compile(r"\\(\$\S+)")


def _inner(found: Mapping[str, str], name: str, wire: re.Match[str]) -> str:
    """Replace a wire inside an expression by its own expression in parentheses."""
    scope, _, _ = name.partition(": ")
    meaning = found.get(f"{scope}: {wire[1]}")
    return f"({meaning.strip()})" if meaning else wire[0]


def read_points(path: Path, verilog: str, events: Sequence[str]) -> Counter[Point]:
    """Read a simulator's file: the accelerator's points and the events.

    Args:
        path: file that the simulator wrote.
        verilog: the accelerator that was simulated.
        events: names of the events, in the order of their properties.
    """
    found: Counter[Point] = Counter()
    lines = verilog.splitlines()
    for line in path.read_bytes().splitlines():
        match = _POINT.fullmatch(line)
        if match is None:
            continue
        parts = (part.partition(b"\x02") for part in match[1].split(b"\x01") if part)
        values = {key.decode(): value.decode() for key, _, value in parts}
        count, what = int(match[2]), values["o"]
        scope = values["h"].removeprefix("burst.accelerator").removeprefix(".") or "top"
        if values["t"] == "user":
            found[Point(EVENT, events[int(what.removeprefix("event_"))])] += count
        elif values["f"] != GENERATED:
            continue
        elif values["t"] == "toggle":
            name, _, edge = what.rpartition(":")
            name, place = _plain(name), "rises" if edge == "0->1" else "falls"
            kind = UNNAMED if name.startswith("$") else TOGGLE
            if not name.startswith(YOSYS) and WITHOUT_BITS not in lines[int(values["l"]) - 1]:
                found[Point(kind, f"{scope}: {name} {place}")] += count
        elif YOSYS not in lines[int(values["l"]) - 1]:
            found[Point(LINE, f"{scope}: line {values['l']}, {what} at {values['n']}")] += count
    return found


class Exclusion(Figures):
    """Points that need not be reached.

    Attributes:
        kind: kind of the points.
        name: regular expression that matches their whole names.
        reason: why they need not be reached.
    """

    model_config = ConfigDict(extra="forbid")

    kind: Literal["line", "toggle", "toggle, unnamed", "event", "program"]
    name: str
    reason: str = Field(min_length=1)


def read_exclusions(path: Path) -> list[Exclusion]:
    """Read exclusions from a TOML file: tables ``[[exclude]]`` with ``kind``, ``name`` and ``reason``.

    Raises:
        InputError: an entry is not valid.
    """
    found = []
    for number, entry in enumerate(read_toml(str(path), what="exclusions", presets={}).get("exclude", [])):
        try:
            found.append(Exclusion.model_validate(entry))
        except ValidationError:
            raise InputError(
                f"{path}: entry {number} of exclude, expected a kind of {KINDS}, a name and a reason"
            ) from None
    return found


class Counts(Figures):
    """Counts of one kind of points.

    Attributes:
        points: all points.
        excluded: points that need not be reached, whether they are or not.
        impossible: other points that are proved to be unreachable.
        reached: points that are not excluded and were reached.
    """

    points: int
    excluded: int
    impossible: int
    reached: int

    @computed_field  # type: ignore[prop-decorator]
    @property
    def share(self) -> float:
        """Share of the points to reach that were reached; 1 if there are none."""
        asked = self.points - self.excluded - self.impossible
        return self.reached / asked if asked else 1.0


class Coverage(Counts):
    """Coverage of one kind of points.

    Attributes:
        missing: names of the points that are neither excluded, impossible nor reached.
    """

    missing: list[str]


_UNNAMED = re.compile(r"(.*?: \$\S*?)(\[\d+\])? (rises|falls)")


def spelled(name: str, defined: Mapping[str, str]) -> str:
    """Return a point's name, followed by ``=`` and its wire's expression if the wire has no name of its own."""
    wire = _UNNAMED.fullmatch(name)
    meaning = defined.get(wire[1]) if wire else None
    return f"{name} = {meaning}" if meaning else name


def coverage(
    counts: Mapping[Point, int],
    exclusions: Iterable[Exclusion],
    impossible: Container[Point] = (),
    *,
    defined: Mapping[str, str] | None = None,
) -> dict[str, Coverage]:
    """Compute the coverage of each kind.

    Args:
        counts: how often each point was reached.
        exclusions: points that need not be reached; their patterns match names as ``spelled`` returns them.
        impossible: points that are proved to be unreachable.
        defined: expressions of the wires without a name of their own.
    """
    rules = {kind: [re.compile(rule.name) for rule in exclusions if rule.kind == kind] for kind in KINDS}
    found = {}
    for kind in KINDS:
        own = {point.name: count for point, count in counts.items() if point.kind == kind}
        excluded = {name for name in own if any(rule.fullmatch(spelled(name, defined or {})) for rule in rules[kind])}
        asked = {name: count for name, count in own.items() if name not in excluded}
        reached = sum(count > 0 for count in asked.values())
        unseen = [name for name, count in asked.items() if not count]
        missing = sorted(name for name in unseen if Point(kind, name) not in impossible)
        found[kind] = Coverage(
            points=len(own),
            excluded=len(excluded),
            impossible=len(unseen) - len(missing),
            reached=reached,
            missing=missing,
        )
    return found
