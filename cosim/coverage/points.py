"""Verilator's coverage files: points by name, and how often each was reached."""

import re
from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from spikequant.golden.support.errors import InputError
from spikequant.golden.support.toml_files import read_toml

LINE, TOGGLE, UNNAMED, EVENT, PROGRAM = "line", "toggle", "toggle, unnamed", "event", "program"
"""Kinds of points: lines and branches of the Verilog, bits of its named wires, bits of the wires that Yosys puts
between those, events inside, and what the programs ask for."""

KINDS = (LINE, TOGGLE, UNNAMED, EVENT, PROGRAM)

COVERAGE_OPTIONS = ("--coverage-line", "--coverage-toggle", "--coverage-user")
"""Of Verilator, for a simulator that counts."""

GENERATED = "spikequant.v"


def coverage_argument(path: Path) -> str:
    """Plus-argument of a simulator: where it writes its points at its end."""
    return f"verilator+coverage+file+{path}"


@dataclass(frozen=True, order=True)
class Point:
    """Something to reach.

    Attributes:
        kind: one of the kinds.
        name: unique in its kind, such as ``encoder.bucket_0: head[3] rises``.
    """

    kind: str
    name: str


_POINT = re.compile(rb"C '(.*)' (\d+)")


def _plain(name: str) -> str:
    """A Verilog name from Verilator's spelling of it."""
    return re.sub(r"__0([0-9a-f]{2})", lambda code: chr(int(code[1], 16)), name.replace("___05F", "__"))


YOSYS = "$auto$verilog_backend"
"""In the name of a register that never changes, which Yosys reads in each process, so that it runs once at the start.
Its bits and the branches on it are none of the design's."""


WITHOUT_BITS = "[-1:0]"
"""Yosys's way to write a wire that has no bits; Verilog knows none, so the simulator gives it two."""


def definitions(verilog: str, top: str) -> dict[str, str]:
    """What each wire between the named ones is, ``encoder.bucket_0: $12`` and so on.

    Args:
        verilog: of the design, each of whose modules is there once.
        top: its name.
    """
    found: dict[str, str] = {}
    scope = ""
    for line in verilog.splitlines():
        if module := re.match(r"module \\?(\S+?) ?\(", line):
            scope = module[1].removeprefix(top).removeprefix(".") or "top"
        elif wire := re.match(r" +(?:assign )?\\(\$\S+) +(?:\[\S+\] )?= (.*);", line):
            name = f"{scope}: {wire[1]}"
            # a wire that is made in a process has several
            found[name] = f"{found[name]}, {wire[2]}" if name in found else wire[2]
    return {name: _WIRE.sub(partial(_inner, found, name), meaning) for name, meaning in found.items()}


_WIRE = re.compile(r"\\(\$\S+)")


def _inner(found: Mapping[str, str], name: str, wire: re.Match[str]) -> str:
    """What a wire inside of a meaning is, in parentheses."""
    scope, _, _ = name.partition(": ")
    meaning = found.get(f"{scope}: {wire[1]}")
    return f"({meaning.strip()})" if meaning else wire[0]


def read_points(path: Path, verilog: str, events: Sequence[str]) -> Counter[Point]:
    """What a simulator wrote: the accelerator's points, and the events that were watched.

    Args:
        path: the file.
        verilog: the accelerator's, which was simulated.
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


@dataclass(frozen=True)
class Exclusion:
    """Points that are not asked for.

    Attributes:
        kind: of the points.
        pattern: of their names, whole.
        reason: why.
    """

    kind: str
    pattern: re.Pattern[str]
    reason: str


def read_exclusions(path: Path) -> list[Exclusion]:
    """The exclusions in a TOML file, ``[[exclude]]`` with ``kind``, ``name`` and ``reason`` each.

    Raises:
        InputError: the file is not such a list.
    """
    found = []
    for number, entry in enumerate(read_toml(str(path), what="exclusions", presets={}).get("exclude", [])):
        if set(entry) != {"kind", "name", "reason"} or entry["kind"] not in KINDS or not entry["reason"]:
            raise InputError(f"{path}: entry {number} of exclude, expected a kind of {KINDS}, a name and a reason")
        found.append(Exclusion(entry["kind"], re.compile(entry["name"]), entry["reason"]))
    return found


@dataclass(frozen=True)
class Coverage:
    """Of one kind of points.

    Attributes:
        points: of that kind.
        excluded: of them, whether reached or not.
        impossible: of the others, by proof.
        reached: of the others.
        missing: names of those that are none of these.
    """

    points: int
    excluded: int
    impossible: int
    reached: int
    missing: list[str]

    @property
    def share(self) -> float:
        """Reached, of those that are asked for; 1 if none is."""
        asked = self.points - self.excluded - self.impossible
        return self.reached / asked if asked else 1.0


_UNNAMED = re.compile(r"(.*?: \$\S*?)(\[\d+\])? (rises|falls)")


def spelled(name: str, defined: Mapping[str, str]) -> str:
    """A point's name, with what its wire is behind an equals sign where that has no name of its own."""
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
    """Figures of each kind.

    Args:
        counts: how often each point was reached.
        exclusions: of points that are not asked for.
        impossible: points that no program reaches, by proof.
        defined: what the wires are that have no names; exclusions are compared with those behind an equals sign.
    """
    rules = {kind: [rule.pattern for rule in exclusions if rule.kind == kind] for kind in KINDS}
    found = {}
    for kind in KINDS:
        own = {point.name: count for point, count in counts.items() if point.kind == kind}
        excluded = {name for name in own if any(rule.fullmatch(spelled(name, defined or {})) for rule in rules[kind])}
        asked = {name: count for name, count in own.items() if name not in excluded}
        reached = sum(count > 0 for count in asked.values())
        unseen = [name for name, count in asked.items() if not count]
        missing = sorted(name for name in unseen if Point(kind, name) not in impossible)
        found[kind] = Coverage(len(own), len(excluded), len(unseen) - len(missing), reached, missing)
    return found
