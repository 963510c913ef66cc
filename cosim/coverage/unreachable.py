"""Changes of bits that no program can cause, by proof."""

import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cosim.coverage.points import GENERATED
from cosim.formal.prove import find_tools
from cosim.formal.reachability import WRITE_GRAPH, never_true
from cosim.yosys import run_yosys
from gen.verilog import TOP
from golden.spec import WORD_BITS

INPUTS = {"clk": 1, "rst": 1, "s_axis_tdata": WORD_BITS, "s_axis_tvalid": 1, "s_axis_tlast": 1, "m_axis_tready": 1}
"""Ports of the accelerator that the proof leaves free, but for the clock."""

FLAT = "flat.il"
WATCHED = "watched.v"

LARGEST = 64
"""Rows of the largest memory that the proof knows."""

CUT = f"""\
hierarchy -top watched
flatten
proc
memory_collect
delete t:$mem_v2 r:SIZE>{LARGEST} %i
memory_map
opt_clean
"""
"""Yosys commands that leave one flat circuit without its large memories, whose outputs may then be anything."""

PROOF_SOURCES = (CUT, WRITE_GRAPH)
"""What a proof depends on beside the design."""


@dataclass(frozen=True)
class Change:
    """A bit that rises or falls.

    Attributes:
        wire: of the flat design, with the instances' names in front.
        place: of the bit in it.
        rises: or else falls.
    """

    wire: str
    place: int
    rises: bool


_POINT = re.compile(r"(\S+): (.*) (rises|falls)")
_WIRE = re.compile(r"^  wire (?:width (\d+) )?(?:(?:input|output) \d+ )?(?:signed )?(\\\S+)$", re.MULTILINE)


def change_of(name: str, widths: dict[str, int]) -> Change | None:
    """What a toggle point counts, if its wire is in the flat design; a wire's own name may end as a bit's does."""
    match = _POINT.fullmatch(name)
    if match is None:
        return None
    scope, bit, edge = match.groups()
    wire = bit if scope == "top" else f"{scope}.{bit}"
    if wire in widths:
        return Change(wire, 0, edge == "rises") if widths[wire] == 1 else None
    wire, _, place = wire.removesuffix("]").rpartition("[")
    return Change(wire, int(place), edge == "rises") if wire in widths else None


def unreachable(verilog: str, names: Sequence[str]) -> set[str]:
    """Those of the toggle points that never happen.

    Registers begin as the device's configuration leaves them; the reset and all inputs are free in every cycle from
    then on, so programs that break every rule are among what is looked at, and large memories may give anything.

    Args:
        verilog: of the accelerator.
        names: of the points.

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
        changes = {name: change for name in names if (change := change_of(name, widths))}
        if not changes:
            return set()
        (folder / FLAT).write_text(_with_bits(flat, list(changes.values())), encoding="utf-8")
        (folder / WATCHED).write_text(_watching(list(changes.values())), encoding="utf-8")
        run_yosys(program, f"read_rtlil {FLAT}\nread_verilog {WATCHED}\n{CUT}{WRITE_GRAPH}", folder)
        never = never_true(program, folder)
        return {name for name, ruled_out in zip(changes, never, strict=False) if ruled_out}


def _with_bits(flat: str, changes: Sequence[Change]) -> str:
    """The flat design with the bits as one more output."""
    head, _, tail = flat.rpartition("end\n")
    bits = " ".join(f"\\{change.wire} [{change.place}]" for change in reversed(changes))
    return f"{head}  wire width {len(changes)} output 99 \\bits\n  connect \\bits {{ {bits} }}\nend\n{tail}"


def _watching(changes: Sequence[Change]) -> str:
    """A module around the design, of which an output bit is 1 in the cycle behind each change."""
    count = len(changes)
    rises = "".join("1" if change.rises else "0" for change in reversed(changes))
    ports = "".join(f"  input [{width - 1}:0] {name},\n" for name, width in INPUTS.items())
    wires = ", ".join(f".{name}({name})" for name in INPUTS)
    return f"""module watched(
{ports}  output [{count - 1}:0] changes
);
  localparam [{count - 1}:0] rises = {count}'b{rises};
  wire [{count - 1}:0] bits;
  reg [{count - 1}:0] before = 0;
  reg begun = 0;
  {TOP} design ({wires}, .bits(bits));
  always @(posedge clk) begin
    before <= bits;
    begun <= 1;
  end
  assign changes = {{{count}{{begun}}}} & (before ^ bits) & ~(bits ^ rises);
endmodule
"""
