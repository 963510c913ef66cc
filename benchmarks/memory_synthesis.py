"""The memory by itself on a device, without a board: ``python -m spikequant.benchmarks.memory_synthesis``."""

# The command imports what it needs when it runs, so that --help answers at once; its options have names anyway.

from pathlib import Path
from typing import Annotated, Any

import typer
from amaranth.hdl import ClockDomain, ClockSignal, Module
from amaranth.lib.wiring import Component, Flow, In, Out

from spikequant.fpga.build.build import best, find_tools, place_and_route_seeds, synthesize
from spikequant.fpga.build.core import DEVICE_OPTIONS, design_of
from spikequant.fpga.build.report import RouteReport
from spikequant.fpga.sdram.memory import DOMAIN, WeightMemory
from spikequant.fpga.sdram.shapes import PinsSignature
from spikequant.fpga.sdram.timing import DEFAULT_CHIP, SdramTiming, find_chip
from spikequant.fpga.toolchain import usable_cores
from spikequant.golden.layer.spec import WORD_BITS
from spikequant.golden.support.command_line import run_command
from spikequant.golden.support.errors import InputError
from spikequant.golden.support.files import check_writable, write_json
from spikequant.golden.support.options import JsonFile
from spikequant.golden.support.store import default_cache_folder


class RegisteredMemory(Component):
    """A ``WeightMemory`` with a register at every port, so that no path of its own leads to a pin.

    The handshakes of its streams do not survive this.

    Attributes:
        clock, memory_clock: of its two domains.
        i_*, o_*, restart, busy: as ``WeightMemory`` has them.
        pin_*: those of the controller.
    """

    def __init__(self, timing: SdramTiming) -> None:
        self._timing = timing
        self._pins = PinsSignature(timing.chip).members
        super().__init__(
            {
                **{name: In(1) for name in ("clock", "memory_clock", "i_last", "i_valid", "o_ready", "restart")},
                **{name: Out(1) for name in ("i_ready", "o_last", "o_valid", "busy")},
                "i_data": In(WORD_BITS),
                "o_data": Out(WORD_BITS),
                **{f"pin_{name}": member for name, member in self._pins.items()},
            }
        )

    def elaborate(self, _platform: object) -> Module:
        """Registers around the memory, each in the domain of its port."""
        m = Module()
        m.domains.sync = ClockDomain(reset_less=True)
        m.domains.memory = ClockDomain(DOMAIN, reset_less=True)
        m.d.comb += [ClockSignal("sync").eq(self.clock), ClockSignal(DOMAIN).eq(self.memory_clock)]
        m.submodules.memory = memory = WeightMemory(self._timing)
        m.d.sync += [
            memory.restart.eq(self.restart),
            memory.i.payload.data.eq(self.i_data),
            memory.i.payload.last.eq(self.i_last),
            memory.i.valid.eq(self.i_valid),
            self.i_ready.eq(memory.i.ready),
            self.o_data.eq(memory.o.payload.data),
            self.o_last.eq(memory.o.payload.last),
            self.o_valid.eq(memory.o.valid),
            memory.o.ready.eq(self.o_ready),
            self.busy.eq(memory.busy),
        ]
        for name, member in self._pins.items():
            outer, inner = getattr(self, f"pin_{name}"), getattr(memory.pins, name)
            m.d[DOMAIN] += outer.eq(inner) if member.flow is Flow.Out else inner.eq(outer)
        return m


def clock_figures(report: RouteReport) -> list[dict[str, float]]:
    """Each clock of a routed design, by the frequency that it aims at."""
    clocks = sorted((clock.wanted_mhz, clock.achieved_mhz) for clock in report.clocks)
    return [{"wanted_mhz": wanted, "fmax_mhz": achieved} for wanted, achieved in clocks]


def synthesize_memory(
    timing: SdramTiming, *, device: str, frequency_hz: float, seeds: int, jobs: int, cache: Path
) -> dict[str, Any]:
    """Figures of the memory alone, placed and routed from seeds 1 to ``seeds``.

    Raises:
        InputError: the device does not hold it, or a tool is missing.
        ToolError: a tool failed.
    """
    tools = find_tools()
    clocks = {"clock": frequency_hz, "memory_clock": timing.clock_hz}
    design = design_of(RegisteredMemory(timing), device=device, clocks=clocks)
    netlist = synthesize(design, tools, cache=cache)
    routed = place_and_route_seeds(
        design, tools, netlist, seeds=range(1, seeds + 1), jobs=jobs, cache=cache, progress=lambda _step: None
    )
    chosen = best(routed)
    report = chosen.report
    return {
        "chip": timing.chip.name,
        "device": device,
        "luts": report.used.luts,
        "ffs": report.used.ffs,
        "ebrs": report.used.ebrs,
        "clocks": clock_figures(report),
        "seed": chosen.seed,
        "timing_met": report.timing_met,
        "tools": tools.versions(),
    }


def main(
    device: Annotated[str, typer.Option(metavar="DEVICE", help="ECP5 to build for")] = "LFE5U-85F",
    chip: Annotated[str, typer.Option(metavar="CHIP", help="SDRAM to control")] = DEFAULT_CHIP,
    frequency: Annotated[float, typer.Option(metavar="MHZ", help="clock of the accelerator")] = 75.0,
    memory_frequency: Annotated[float, typer.Option(metavar="MHZ", help="clock of the SDRAM")] = 120.0,
    seeds: Annotated[int, typer.Option(metavar="N", min=1, help="place and route from seeds 1..N")] = 1,
    json_file: JsonFile = None,
) -> None:
    """Tell what the memory takes of a device, and how fast it is. Exit status 0 if it is fast enough, 1 if not."""
    from rich.console import Console

    if device not in DEVICE_OPTIONS:
        raise InputError(f"device: {device!r}, expected one of {', '.join(DEVICE_OPTIONS)}")
    timing = SdramTiming(find_chip(chip), memory_frequency * 1e6)
    if json_file is not None:
        check_writable(json_file)
    with Console(stderr=True).status(f"building for the {device}"):
        figures = synthesize_memory(
            timing,
            device=device,
            frequency_hz=frequency * 1e6,
            seeds=seeds,
            jobs=usable_cores(),
            cache=default_cache_folder(),
        )
    if json_file is not None:
        write_json(json_file, figures)
    clocks = "; ".join(f"{clock['fmax_mhz']:.1f} MHz, expected {clock['wanted_mhz']:g}" for clock in figures["clocks"])
    typer.echo(f"{figures['luts']} LUTs, {figures['ffs']} flip-flops, {figures['ebrs']} EBRs on the {device}; {clocks}")
    if not figures["timing_met"]:
        raise typer.Exit(1)


if __name__ == "__main__":
    run_command(main, name="spikequant.benchmarks.memory_synthesis")
