"""Resources and speed of the memory alone on a device, without a board."""

from collections.abc import Callable
from pathlib import Path

from amaranth.hdl import ClockDomain, ClockSignal, Module
from amaranth.lib.wiring import Component, In, Member, Out

from spikequant.fpga.build.build import best, find_tools, place_and_route_seeds, synthesize
from spikequant.fpga.build.core import DEVICE_OPTIONS, design_of
from spikequant.fpga.build.report import RouteReport
from spikequant.fpga.sdram.memory import DOMAIN, WeightMemory
from spikequant.fpga.sdram.timing import SdramTiming
from spikequant.golden.support.errors import InputError
from spikequant.golden.support.figures import Figures


class RegisteredMemory(Component):
    """A ``WeightMemory`` with a register at every port, so that no path leads from the memory to a pin.

    The registers break the handshakes of the streams: this is for timing only. Ports have the names of their paths in
    ``WeightMemory``, besides ``clock`` and ``memory_clock``.
    """

    def __init__(self, timing: SdramTiming) -> None:
        self._memory = memory = WeightMemory(timing)
        self._ports = [
            ("_".join(map(str, path)), member, port) for path, member, port in memory.signature.flatten(memory)
        ]
        ports = {name: Member(member.flow, member.shape) for name, member, _ in self._ports}
        super().__init__({"clock": In(1), "memory_clock": In(1), **ports})

    def elaborate(self, _platform: object) -> Module:
        """Registers around the memory, each in the domain of its port."""
        m = Module()
        m.domains.sync = ClockDomain(reset_less=True)
        m.domains.memory = ClockDomain(DOMAIN, reset_less=True)
        m.d.comb += [ClockSignal("sync").eq(self.clock), ClockSignal(DOMAIN).eq(self.memory_clock)]
        m.submodules.memory = self._memory
        for name, member, inner in self._ports:
            outer = getattr(self, name)
            domain = DOMAIN if name.startswith("pins_") else "sync"
            m.d[domain] += outer.eq(inner) if member.flow is Out else inner.eq(outer)
        return m


class ClockFigures(Figures):
    """Target and achieved frequency of a clock, in MHz."""

    wanted_mhz: float
    fmax_mhz: float


class MemoryFigures(Figures):
    """The memory alone, placed and routed from its best seed."""

    chip: str
    device: str
    luts: int
    ffs: int
    ebrs: int
    clocks: list[ClockFigures]
    seed: int
    timing_met: bool
    tools: dict[str, str]


def clock_figures(report: RouteReport) -> list[ClockFigures]:
    """Clocks of a routed design, in the order of their targets."""
    clocks = sorted((clock.wanted_mhz, clock.achieved_mhz) for clock in report.clocks)
    return [ClockFigures(wanted_mhz=wanted, fmax_mhz=achieved) for wanted, achieved in clocks]


def synthesize_memory(
    timing: SdramTiming,
    *,
    device: str,
    frequency_hz: float,
    seeds: int,
    jobs: int,
    cache: Path,
    progress: Callable[[str], None] = lambda _step: None,
) -> MemoryFigures:
    """Place and route the memory alone from seeds 1 to ``seeds``, ``jobs`` at a time; the best seed counts.

    Raises:
        InputError: an unknown or too small device, or a tool is missing.
        ToolError: a tool failed.
    """
    if device not in DEVICE_OPTIONS:
        raise InputError(f"device: {device!r}, expected one of {', '.join(DEVICE_OPTIONS)}")
    tools = find_tools()
    clocks = {"clock": frequency_hz, "memory_clock": timing.clock_hz}
    design = design_of(RegisteredMemory(timing), device=device, clocks=clocks)
    progress("synthesizing")
    netlist = synthesize(design, tools, cache=cache)
    progress("placing and routing")
    routed = place_and_route_seeds(
        design, tools, netlist, seeds=range(1, seeds + 1), jobs=jobs, cache=cache, progress=progress
    )
    chosen = best(routed)
    report = chosen.report
    return MemoryFigures(
        chip=timing.chip.name,
        device=device,
        luts=report.used.luts,
        ffs=report.used.ffs,
        ebrs=report.used.ebrs,
        clocks=clock_figures(report),
        seed=chosen.seed,
        timing_met=report.timing_met,
        tools=tools.versions(),
    )
