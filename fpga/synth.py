"""A complete build, from a component to a folder with its bitstream and figures."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
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
from spikequant.golden.support.figures import Figures
from spikequant.golden.support.files import replace_file

STEPS_BESIDE_SEEDS = 3
"""Calls of ``progress`` in ``run_synth`` besides one for each seed: elaborated, synthesized, packed."""


class SynthFigures(Figures):
    """Figures of a finished build.

    Attributes:
        config: preset or file of the accelerator.
        luts, ffs, ebrs, dsps, timing_met: of the chosen ``seed``.
        fmax_mhz: highest clock of each seed.
        bitstream: file name; None if the timing failed and that was not allowed.
    """

    config: str
    board: str
    device: str
    frequency_mhz: float
    baud: float
    memory: str | None
    memory_frequency_mhz: float | None
    luts: int
    ffs: int
    ebrs: int
    dsps: int
    fmax_mhz: list[float]
    timing_met: bool
    seeds: list[int]
    seed: int
    bitstream: str | None
    bitstream_sha256: str | None
    tools: dict[str, str]


@dataclass(frozen=True)
class SynthResult:
    """A finished build.

    Attributes:
        config: preset or file of the accelerator.
        routed: one result for each seed.
        chosen: the best of them.
        bitstream: None if the timing failed and that was not allowed.
    """

    config: str
    plan: Plan
    routed: Sequence[Routed]
    chosen: Routed
    bitstream: Bitstream | None
    tools: Tools

    @property
    def timing_met(self) -> bool:
        """Whether the best seed is fast enough."""
        return self.chosen.report.timing_met

    def shortfall(self) -> str:
        """One line on how much the timing fails by."""
        critical = self.chosen.report.critical
        kept = "bitstream kept all the same" if self.bitstream else "--allow-timing-failure keeps the bitstream"
        return f"{critical.achieved_mhz:.1f} MHz at best, expected {critical.wanted_mhz:.1f} MHz; {kept}"

    def figures(self) -> SynthFigures:
        """The figures of the build."""
        plan = self.plan
        return SynthFigures(
            config=self.config,
            board=plan.board.name,
            device=plan.board.device,
            frequency_mhz=plan.pll.output_hz / 1e6,
            baud=plan.baud,
            memory=plan.memory.chip.name if plan.memory else None,
            memory_frequency_mhz=plan.memory.clock_hz / 1e6 if plan.memory else None,
            **asdict(self.chosen.report.used),
            fmax_mhz=[routed.report.critical.achieved_mhz for routed in self.routed],
            timing_met=self.timing_met,
            seeds=[routed.seed for routed in self.routed],
            seed=self.chosen.seed,
            bitstream=BITSTREAM if self.bitstream else None,
            bitstream_sha256=self.bitstream.sha256 if self.bitstream else None,
            tools=self.tools.versions(),
        )

    def table(self) -> Table:
        """The figures as a table for a terminal."""
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
            clocks = (f"{mhz:.1f} MHz" for mhz in (critical.achieved_mhz, critical.wanted_mhz))
            table.add_row(f"seed {routed.seed}{mark}", *clocks, verdict)
        return table


def run_synth(
    make_core: Callable[[], Any],
    *,
    config: str,
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
    """Build a component; the best seed's bitstream, a record and all logs go to ``out``.

    Arguments are those of ``make_plan`` and ``place_and_route_seeds``. If the timing fails and
    ``allow_timing_failure`` is not set, ``out`` gets the logs alone, and no older bitstream stays there. ``config``
    names the spec in the figures. With a ``marker`` as initial contents of the synapse memory, ``out`` also gets the
    files that ``fpga.baked`` needs.

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
    result = SynthResult(config, plan, routed, chosen, bitstream, tools)
    if bitstream:
        result.figures().write(out / RECORD)
    return result


def _keep(source: Path, target: Path) -> None:
    with replace_file(target) as fresh:
        shutil.copyfile(source, fresh)
