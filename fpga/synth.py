"""A complete build, from a component to a folder with its bitstream and figures."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
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
from spikequant.fpga.build.fastest import Attempt, fastest_met, find_fastest, most_runs
from spikequant.golden.support.figures import Figures
from spikequant.golden.support.files import replace_file

STEPS_BESIDE_SEEDS = 3
"""Calls of ``progress`` in ``run_synth`` besides one for each seed: elaborated, synthesized, packed."""


class ClockSpread(Figures):
    """Highest clock of the accelerator over the seeds, in MHz; ``seeds_met`` are those with the chosen clock met."""

    smallest_mhz: float
    median_mhz: float
    largest_mhz: float
    seeds_met: list[int]


class RunFigures(Figures):
    """One placement: its target, its seed, the highest clock of the accelerator, and whether all clocks are met."""

    frequency_mhz: float
    seed: int
    fmax_mhz: float
    timing_met: bool


class SynthFigures(Figures):
    """Figures of a finished build.

    Attributes:
        config: preset or file of the accelerator.
        luts, ffs, ebrs, dsps, timing_met: of the chosen ``seed``.
        frequency_mhz: clock of the bitstream.
        fmax_mhz: highest clock of the accelerator from each seed; of its last placement in a search.
        clock: these clocks together.
        runs: all placements in their order.
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
    clock: ClockSpread
    timing_met: bool
    seeds: list[int]
    seed: int
    runs: list[RunFigures]
    bitstream: str | None
    bitstream_sha256: str | None
    tools: dict[str, str]


@dataclass(frozen=True)
class SynthResult:
    """A finished build.

    Attributes:
        config: preset or file of the accelerator.
        tried: attempts in their order; several in a search for the fastest clock.
        plan: design for the chosen clock.
        chosen: the best placement of it.
        bitstream: None if the timing failed and that was not allowed.
    """

    config: str
    tried: Sequence[Attempt]
    plan: Plan
    chosen: Routed
    bitstream: Bitstream | None
    tools: Tools

    @property
    def last_runs(self) -> dict[int, tuple[Attempt, Routed]]:
        """The last attempt with each seed and its result, in the order of the seeds."""
        last = {routed.seed: (attempt, routed) for attempt in self.tried for routed in attempt.routed}
        # a later attempt of a search may be slower
        chosen = next(attempt for attempt in self.tried if self.chosen in attempt.routed)
        return dict(sorted((last | {self.chosen.seed: (chosen, self.chosen)}).items()))

    @property
    def routed(self) -> list[Routed]:
        """The last result of each seed."""
        return [routed for _, routed in self.last_runs.values()]

    @property
    def fmax_mhz(self) -> dict[int, float]:
        """Highest clock of the accelerator by seed."""
        return {seed: attempt.achieved_mhz(routed) for seed, (attempt, routed) in self.last_runs.items()}

    def clock(self) -> ClockSpread:
        """The distribution over the seeds."""
        fmax = self.fmax_mhz
        # the target with nextpnr's rounding
        wanted = self.chosen.report.wanted_mhz(self.plan.pll.output_hz)
        return ClockSpread(
            smallest_mhz=min(fmax.values()),
            median_mhz=median(fmax.values()),
            largest_mhz=max(fmax.values()),
            seeds_met=[
                seed
                for seed, (attempt, routed) in self.last_runs.items()
                if routed.report.others_met(attempt.clock_hz) and fmax[seed] >= wanted
            ],
        )

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
            fmax_mhz=list(self.fmax_mhz.values()),
            clock=self.clock(),
            timing_met=self.timing_met,
            seeds=list(self.fmax_mhz),
            seed=self.chosen.seed,
            runs=[
                RunFigures(
                    frequency_mhz=attempt.clock_hz / 1e6,
                    seed=routed.seed,
                    fmax_mhz=attempt.achieved_mhz(routed),
                    timing_met=routed.report.timing_met,
                )
                for attempt in self.tried
                for routed in attempt.routed
            ],
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

    def summary(self) -> str:
        """One line on the clock over the seeds."""
        clock = self.clock()
        spread = ", ".join(f"{mhz:.1f}" for mhz in (clock.smallest_mhz, clock.median_mhz, clock.largest_mhz))
        met = ", ".join(map(str, clock.seeds_met)) or "none"
        return (
            f"clock, smallest, median, largest of {len(self.fmax_mhz)}: {spread} MHz; "
            f"seeds that meet {self.plan.pll.output_hz / 1e6:.1f} MHz: {met}"
        )


def most_steps(seeds: int, *, search: bool) -> int:
    """Calls of ``progress`` in ``run_synth``; an upper bound in a search for the fastest clock."""
    # an attempt has one run at least, and begins with two calls
    return 3 * most_runs(seeds) if search else seeds + STEPS_BESIDE_SEEDS


def run_synth(
    make_core: Callable[[], Any],
    *,
    config: str,
    board: Board,
    tools: Tools,
    frequency_hz: float | None,
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

    Arguments are those of ``make_plan`` and ``place_and_route_seeds``; without ``frequency_hz``, ``find_fastest``
    chooses the clock. If the timing fails and ``allow_timing_failure`` is not set, ``out`` gets the logs alone, and no
    older bitstream stays there. ``config`` names the spec in the figures. With a ``marker`` as initial contents of the
    synapse memory, ``out`` also gets the files that ``fpga.baked`` needs.

    Raises:
        InputError: the board cannot hold the design, or cannot make the clock or the baud rate.
        ToolError: a tool failed.
    """
    for name in (BITSTREAM, BAKEABLE, RECORD):
        (out / name).unlink(missing_ok=True)

    def build(clock_hz: float, chosen_seeds: Sequence[int], divisor: int | None) -> Attempt:
        plan = make_plan(make_core, board=board, frequency_hz=clock_hz, baud=baud, memory=memory, divisor=divisor)
        at = f" for {plan.pll.output_hz / 1e6:.1f} MHz" if frequency_hz is None else ""
        progress(f"synthesizing{at}")
        netlist = synthesize(plan, tools, cache=cache)
        progress(f"placing and routing{at}, seeds {', '.join(map(str, chosen_seeds))}")
        _keep(netlist / f"{NAME}.rpt", out / "yosys.log")
        routed = place_and_route_seeds(
            plan,
            tools,
            netlist,
            seeds=chosen_seeds,
            jobs=jobs,
            cache=cache,
            progress=progress,
            contents=marker.contents if marker else {},
        )
        return Attempt(plan, routed)

    if frequency_hz is None:
        tried = find_fastest(build, baud=baud, seeds=seeds)
        attempt = fastest_met(tried)
        chosen = attempt.best
    else:
        attempt = build(frequency_hz, seeds, None)
        tried = [attempt]
        chosen = best(attempt.routed)
    plan = attempt.plan
    bitstream = None
    if chosen.report.timing_met or allow_timing_failure:
        progress("packing")
        bitstream = Bitstream(chosen, pack(plan.commands["ecppack"], chosen.configuration, tools, cache=cache))
        _keep(bitstream.folder / f"{NAME}.bit", out / BITSTREAM)
        if marker:
            write_bakeable(out, plan, marker, chosen.configuration)
    result = SynthResult(config, tried, plan, chosen, bitstream, tools)
    for one in result.routed:
        _keep(one.folder / f"{NAME}.tim", out / f"nextpnr-seed{one.seed}.log")
        _keep(one.folder / REPORT, out / f"nextpnr-seed{one.seed}.json")
    if bitstream:
        result.figures().write(out / RECORD)
    return result


def _keep(source: Path, target: Path) -> None:
    with replace_file(target) as fresh:
        shutil.copyfile(source, fresh)
