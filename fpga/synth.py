"""All of a build, from a component to a folder with its bitstream and its figures."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from spikequant.fpga.baked.bake import BAKEABLE, Marker, write_bakeable
from spikequant.fpga.boards import Board
from spikequant.fpga.build.build import (
    BITSTREAM,
    NAME,
    RECORD,
    REPORT,
    Bitstream,
    MemoryWish,
    Plan,
    Progress,
    Routed,
    Tools,
    best,
    make_plan,
    pack,
    place_and_route_seeds,
    synthesize,
)
from spikequant.golden.support.files import replace_file, write_json

STEPS_BESIDE_SEEDS = 3
"""Calls of ``progress`` in ``run_synth`` beside one for each seed: elaborated, synthesized, packed."""


@dataclass(frozen=True)
class SynthResult:
    """A finished build.

    Attributes:
        plan: what was built.
        routed: one for each seed.
        chosen: the best of them.
        bitstream: None where the timing failed and that was not allowed.
        tools: that made it.
    """

    plan: Plan
    routed: Sequence[Routed]
    chosen: Routed
    bitstream: Bitstream | None
    tools: Tools

    @property
    def timing_met(self) -> bool:
        """The best seed is fast enough."""
        return self.chosen.report.timing_met

    def shortfall(self) -> str:
        """In one line, by how much the timing fails."""
        critical = self.chosen.report.critical
        kept = "bitstream kept all the same" if self.bitstream else "--allow-timing-failure keeps the bitstream"
        return f"{critical.achieved_mhz:.1f} MHz at best, expected {critical.wanted_mhz:.1f} MHz; {kept}"

    def figures(self) -> dict[str, Any]:
        """What ``--json`` writes."""
        used = self.chosen.report.used
        return {
            "board": self.plan.board.name,
            "device": self.plan.board.device,
            "frequency_mhz": self.plan.pll.output_hz / 1e6,
            "baud": self.plan.baud,
            "memory": self.plan.memory.chip.name if self.plan.memory else None,
            "memory_frequency_mhz": self.plan.memory.clock_hz / 1e6 if self.plan.memory else None,
            "luts": used.luts,
            "ffs": used.ffs,
            "ebrs": used.ebrs,
            "dsps": used.dsps,
            "fmax_mhz": [routed.report.critical.achieved_mhz for routed in self.routed],
            "timing_met": self.timing_met,
            "seeds": [routed.seed for routed in self.routed],
            "seed": self.chosen.seed,
            "bitstream": BITSTREAM if self.bitstream else None,
            "bitstream_sha256": self.bitstream.sha256 if self.bitstream else None,
            "tools": self.tools.versions(),
        }

    def table(self) -> Table:
        """The figures for a terminal."""
        used, capacity = self.chosen.report.used, self.plan.board.capacity
        table = Table("", "used", "of", "share", title=f"{self.plan.board.name}, {self.plan.board.device}")
        for label, name in (("LUT", "luts"), ("flip-flop", "ffs"), ("EBR", "ebrs"), ("DSP", "dsps")):
            count, total = getattr(used, name), getattr(capacity, name)
            table.add_row(label, str(count), str(total), f"{count / total:.1%}")
        table.add_section()
        for routed in self.routed:
            critical = routed.report.critical
            verdict = "met" if routed.report.timing_met else "MISSED"
            mark = ", chosen" if routed is self.chosen else ""
            table.add_row(
                f"seed {routed.seed}{mark}",
                f"{critical.achieved_mhz:.1f} MHz",
                f"{critical.wanted_mhz:.1f} MHz",
                verdict,
            )
        return table


def run_synth(
    make_core: Callable[[], Any],
    *,
    board: Board,
    tools: Tools,
    frequency_hz: float,
    baud: int,
    seeds: Sequence[int],
    jobs: int,
    allow_timing_failure: bool,
    out: Path,
    cache: Path,
    progress: Progress,
    memory: MemoryWish | None = None,
    marker: Marker | None = None,
) -> SynthResult:
    """Build the component that ``make_core`` makes; the best seed's bitstream, a record and all logs go to ``out``.

    Where the timing fails and may not, the logs are there, and no bitstream, not even an older one. With a
    ``marker`` the synapse memory starts with that, and ``out`` gets what ``fpga.baked`` needs to put weights there.

    Raises:
        InputError: the board cannot hold the design, or cannot make the clock or the baud rate.
        ToolError: a tool failed.
    """
    for name in (BITSTREAM, BAKEABLE, RECORD):
        (out / name).unlink(missing_ok=True)
    plan = make_plan(make_core, board=board, frequency_hz=frequency_hz, baud=baud, memory=memory)
    progress("synthesizing")
    netlist = synthesize(plan, tools, cache=cache)
    progress(f"placing and routing, seeds {seeds[0]}..{seeds[-1]}")
    _keep(netlist / f"{NAME}.rpt", out / "yosys.log")
    routed = place_and_route_seeds(
        plan,
        tools,
        netlist,
        seeds=seeds,
        jobs=jobs,
        cache=cache,
        progress=progress,
        contents=marker.contents if marker else {},
    )
    for one in routed:
        _keep(one.folder / f"{NAME}.tim", out / f"nextpnr-seed{one.seed}.log")
        _keep(one.folder / REPORT, out / f"nextpnr-seed{one.seed}.json")
    chosen = best(routed)
    bitstream = None
    if chosen.report.timing_met or allow_timing_failure:
        progress("packing")
        bitstream = Bitstream(chosen, pack(plan.commands["ecppack"], chosen.configuration, tools, cache=cache))
        _keep(bitstream.folder / f"{NAME}.bit", out / BITSTREAM)
        if marker:
            write_bakeable(out, plan, marker, chosen.configuration)
    result = SynthResult(plan=plan, routed=routed, chosen=chosen, bitstream=bitstream, tools=tools)
    if bitstream:
        write_json(out / RECORD, result.figures())
    return result


def _keep(source: Path, target: Path) -> None:
    with replace_file(target) as beside:
        shutil.copyfile(source, beside)
