"""Proofs that no program can cause changes of bits or reach branches."""

import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from spikequant.cosim.coverage.points import GENERATED
from spikequant.cosim.formal.prove import find_tools
from spikequant.cosim.formal.reachability import SECONDS_EACH, WRITE_GRAPH, abstract, never_true
from spikequant.cosim.yosys import run_yosys
from spikequant.golden.layer.spec import WORD_BITS
from spikequant.rtl.verilog import TOP

INPUTS = {"clk": 1, "rst": 1, "s_axis_tdata": WORD_BITS, "s_axis_tvalid": 1, "s_axis_tlast": 1, "m_axis_tready": 1}
"""Input ports of the accelerator, with their widths; all but the clock are free in the proof."""

FLAT = "flat.il"
WATCHED = "watched.v"

LARGEST = 128
"""Rows of the largest memory that the proof models."""

CUT = f"""\
hierarchy -top watched
flatten
proc
memory_collect
delete t:$mem_v2 r:SIZE>{LARGEST} %i
memory_map
opt_clean
"""
"""Yosys commands that make a flat circuit without large memories, whose outputs become arbitrary."""

PROOF_SOURCES = (CUT, WRITE_GRAPH, abstract(SECONDS_EACH))
"""Everything that a proof depends on, except the design."""


@dataclass(frozen=True)
class Sign:
    """Value of a bit that shows that a point is reached.

    Attributes:
        wire: wire of the flat design, prefixed with the names of instances.
        place: index of the bit.
        value: value of the bit.
        changes: whether the bit must have another value in the previous cycle.
    """

    wire: str
    place: int
    value: int
    changes: bool


_TOGGLE = re.compile(r"(\S+): (.*) (rises|falls)")
_BRANCH = re.compile(r"(\S+): line (\d+), (if|else|cond_then|cond_else) at \d+")
_BIT = r"(!?)\\?(\S+?) ?(?:\[(\d+)\] ?)?"
_CONDITIONS = {"if": re.compile(rf"\bif \({_BIT}\)"), "cond": re.compile(rf"= {_BIT} \? ")}
_WIRE = re.compile(r"^  wire (?:width (\d+) )?(?:(?:input|output) \d+ )?(?:signed )?(\\\S+)$", re.MULTILINE)


def sign_of(name: str, widths: Mapping[str, int], lines: Sequence[str]) -> Sign | None:
    """Find a necessary sign of a point; None if there is no such bit in the flat design.

    Args:
        name: name of a toggle point, or of a branch on a bit.
        widths: widths of the flat design's wires.
        lines: lines of the Verilog.
    """
    if branch := _BRANCH.fullmatch(name):
        line, kind = lines[int(branch[2]) - 1], "cond" if branch[3].startswith("cond") else "if"
        conditions = _CONDITIONS[kind].findall(line)
        if len(conditions) != 1 or line.count("?") > 1:
            return None
        inverted, bit, place = conditions[0]
        wire = bit if branch[1] == "top" else f"{branch[1]}.{bit}"
        value = int((branch[3] in {"if", "cond_then"}) != bool(inverted))
        whole = widths.get(wire) == 1 and not place
        return Sign(wire, int(place or 0), value, changes=False) if whole or (place and wire in widths) else None
    toggle = _TOGGLE.fullmatch(name)
    if toggle is None:
        return None
    scope, bit, edge = toggle.groups()
    value = int(edge == "rises")
    wire = bit if scope == "top" else f"{scope}.{bit}"
    # the name of a wire may end like that of a bit
    if widths.get(wire) == 1:
        return Sign(wire, 0, value, changes=True)
    wire, _, number = wire.removesuffix("]").rpartition("[")
    return Sign(wire, int(number), value, changes=True) if wire in widths and int(number) < widths[wire] else None


def unreachable(verilog: str, names: Sequence[str]) -> set[str]:
    """Find points, changes of bits and branches on a bit, that are proved to be unreachable.

    Registers start with the device's configuration. Reset and inputs are free in every cycle, which includes invalid
    programs, and outputs of large memories are arbitrary.

    Args:
        verilog: the accelerator.
        names: names of the points.

    Raises:
        YosysError: Yosys failed.
    """
    program = find_tools().path("yosys")
    with tempfile.TemporaryDirectory(prefix="spikequant-") as work:
        folder = Path(work)
        (folder / GENERATED).write_text(verilog, encoding="utf-8")
        run_yosys(
            program,
            f"read_verilog {GENERATED}\nhierarchy -check -top {TOP}\nproc\nflatten\nwrite_rtlil {FLAT}\n",
            folder,
        )
        flat = (folder / FLAT).read_text(encoding="utf-8")
        widths = {name[1:]: int(width or 1) for width, name in _WIRE.findall(flat)}
        lines = verilog.splitlines()
        signs = {name: sign for name in names if (sign := sign_of(name, widths, lines))}
        if not signs:
            return set()
        (folder / FLAT).write_text(_with_bits(flat, list(signs.values())), encoding="utf-8")
        (folder / WATCHED).write_text(_watching(list(signs.values())), encoding="utf-8")
        run_yosys(program, f"read_rtlil {FLAT}\nread_verilog {WATCHED}\n{CUT}{WRITE_GRAPH}", folder)
        never = never_true(program, folder)
        return {name for name, ruled_out in zip(signs, never, strict=True) if ruled_out}


def _with_bits(flat: str, signs: Sequence[Sign]) -> str:
    """Add the bits to the flat design as an output."""
    head, _, tail = flat.rpartition("end\n")
    bits = " ".join(f"\\{sign.wire} [{sign.place}]" for sign in reversed(signs))
    return f"{head}  wire width {len(signs)} output 99 \\bits\n  connect \\bits {{ {bits} }}\nend\n{tail}"


def _watching(signs: Sequence[Sign]) -> str:
    """Write a module around the design with an output bit for each sign, which is 1 in cycles in which it is seen."""
    count = len(signs)
    values = "".join(str(sign.value) for sign in reversed(signs))
    changes = "".join(str(int(sign.changes)) for sign in reversed(signs))
    ports = "".join(f"  input [{width - 1}:0] {name},\n" for name, width in INPUTS.items())
    wires = ", ".join(f".{name}({name})" for name in INPUTS)
    return f"""module watched(
{ports}  output [{count - 1}:0] seen
);
  localparam [{count - 1}:0] values = {count}'b{values};
  localparam [{count - 1}:0] changes = {count}'b{changes};
  wire [{count - 1}:0] bits;
  reg [{count - 1}:0] before = 0;
  reg begun = 0;
  {TOP} design ({wires}, .bits(bits));
  always @(posedge clk) begin
    before <= bits;
    begun <= 1;
  end
  assign seen = ~(bits ^ values) & (~changes | {{{count}{{begun}}}} & (before ^ bits));
endmodule
"""
