"""Steps from a component to a bitstream: elaborate, synthesize, trim, place and route, pack, read back."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from types import MappingProxyType
from typing import Any

from spikequant.fpga.boards import Board, check_fit, check_sdram
from spikequant.fpga.build.block_contents import Content, with_contents
from spikequant.fpga.build.carry_ends import trim_carry_ends
from spikequant.fpga.build.pll import PllSettings, pll_settings
from spikequant.fpga.build.report import RouteReport, read_packed_resources, read_route_report, read_synthesis_report
from spikequant.fpga.build.top import BoardTop
from spikequant.fpga.link.uart import baud_divisor
from spikequant.fpga.sdram.timing import SdramChip, SdramTiming
from spikequant.fpga.toolchain import Tool, ToolError, ToolRun, find_tool, run_tool

NAME = "top"
"""Name of the top module and of the files that the tools exchange."""

BITSTREAM = "spikequant.bit"
"""Name of the bitstream in the folder that a build writes to."""

RECORD = "bitstream.json"
"""Name of the file with a bitstream's figures, in the same folder."""

FLATTEN = f"hierarchy -top {NAME}; proc; flatten; splitnets; opt_clean"
"""Run before synthesis: ``abc9`` of Yosys 0.70 fails on some designs with wide nets and instantiated carry cells."""

STATISTICS = f"{NAME}.stat.json"
REPORT = f"{NAME}.report.json"

PLACEMENT = ("--placer-heap-timingweight", "100")
"""Options of every placement: slow paths weigh more than by default, since wires dominate them (decision 019)."""

Progress = Callable[[str], None]
"""Called with a few words at each step of a build."""


@dataclass(frozen=True)
class Design:
    """A design for a device, as data for the tools.

    Attributes:
        target: name of the board or device in messages.
        device: a key of ``spikequant.fpga.boards.DEVICES``.
        files: content by name: ``top.il``, ``top.ys``, ``top.lpf`` and any others.
        commands: arguments by tool: yosys, nextpnr, and ecppack if there is to be a bitstream.
    """

    target: str
    device: str
    files: dict[str, bytes]
    commands: dict[str, list[str]]


@dataclass(frozen=True)
class Plan(Design):
    """A design on a board.

    Attributes:
        board: board of the bitstream.
        pll: settings of the clock.
        divisor: clock cycles for each bit on the serial line.
        memory: the board's SDRAM at its clock; None without one.
    """

    board: Board
    pll: PllSettings
    divisor: int
    memory: SdramTiming | None = None

    @property
    def baud(self) -> float:
        """Bits a second on the serial line."""
        return self.pll.output_hz / self.divisor


@dataclass(frozen=True)
class MemoryWish:
    """A request for an SDRAM: the chip and its highest clock."""

    chip: SdramChip
    frequency_hz: float


@dataclass(frozen=True)
class Clocks:
    """Clocks of a design on a board.

    Attributes:
        pll: settings of the clock.
        divisor: clock cycles for each bit on the serial line.
        memory: the board's SDRAM at its clock; None without one.
    """

    pll: PllSettings
    divisor: int
    memory: SdramTiming | None


@dataclass(frozen=True)
class Routed:
    """A design placed and routed from one seed; ``folder`` holds ``top.config`` and the log."""

    seed: int
    report: RouteReport
    folder: Path

    @property
    def configuration(self) -> bytes:
        """Content of ``top.config``, the input of ecppack."""
        return (self.folder / f"{NAME}.config").read_bytes()


@dataclass(frozen=True)
class Bitstream:
    """A packed design; ``folder`` holds ``top.bit``."""

    routed: Routed
    folder: Path

    @property
    def content(self) -> bytes:
        """The bytes for the device."""
        return (self.folder / f"{NAME}.bit").read_bytes()

    @property
    def sha256(self) -> str:
        """Digest of the content, as hexadecimal digits."""
        return hashlib.sha256(self.content).hexdigest()


@dataclass(frozen=True)
class Tools:
    """The tools of a build."""

    yosys: Tool
    nextpnr: Tool
    ecppack: Tool
    ecpunpack: Tool

    def versions(self) -> dict[str, str]:
        """Version of each tool's package, by the tool's name."""
        return {tool.name: tool.version for tool in (self.yosys, self.nextpnr, self.ecppack, self.ecpunpack)}


def find_tools() -> Tools:
    """All tools of a build.

    Raises:
        InputError: one is not installed.
    """
    return Tools(
        yosys=find_tool("yosys"),
        nextpnr=find_tool("nextpnr-ecp5"),
        ecppack=find_tool("ecppack"),
        ecpunpack=find_tool("ecpunpack"),
    )


def board_clocks(
    board: Board, *, frequency_hz: float, baud: int, memory: MemoryWish | None = None, divisor: int | None = None
) -> Clocks:
    """Clocks of a design on a board; arguments and errors as for ``make_plan``."""
    if memory is not None:
        check_sdram(board)
    input_hz = board.make_platform().default_clk_frequency
    pll = pll_settings(input_hz, frequency_hz, second_hz=memory.frequency_hz if memory else None)
    timing = SdramTiming(memory.chip, pll.second_hz) if memory and pll.second_hz else None
    if timing is not None:
        timing.check_pins()
    return Clocks(pll, baud_divisor(pll.output_hz, baud) if divisor is None else divisor, timing)


def make_plan(
    make_core: Callable[[], Any],
    *,
    board: Board,
    frequency_hz: float,
    baud: int,
    memory: MemoryWish | None = None,
    divisor: int | None = None,
) -> Plan:
    """Plan a component on a board, with a clock as near to ``frequency_hz`` as the PLL can make.

    Equal components give equal plans: they contain no path and no time. Plans with the same ``divisor`` differ in the
    PLL's settings alone.

    Args:
        make_core: makes the component.
        board: the board.
        frequency_hz: clock to aim at.
        baud: bits a second on the serial line.
        memory: the board's SDRAM, if the component reads weights from there.
        divisor: clock cycles for each bit on the serial line, if not the nearest to ``baud``.

    Raises:
        InputError: the board cannot make the frequency or the baud rate, or has no such memory.
    """
    clocks = board_clocks(board, frequency_hz=frequency_hz, baud=baud, memory=memory, divisor=divisor)
    platform = board.make_platform()
    generated = platform.prepare(
        BoardTop(make_core(), pll=clocks.pll, divisor=clocks.divisor, memory=clocks.memory),
        name=NAME,
        emit_src=False,
        verbose=True,
        script_after_read=FLATTEN,
        script_after_synth=f"tee -q -o {STATISTICS} stat -json",
    )
    script = json.loads(generated.files[f"build_{NAME}.json"])
    return Plan(
        target=f"board {board.name}",
        device=board.device,
        board=board,
        pll=clocks.pll,
        divisor=clocks.divisor,
        memory=clocks.memory,
        files={name: text.encode() if isinstance(text, str) else text for name, text in generated.files.items()},
        commands={tool: arguments for tool, *arguments in script["commands"]},
    )


def synthesize(plan: Design, tools: Tools, *, cache: Path) -> Path:
    """Run yosys; returns the folder with the netlist ``top.json`` and the log ``top.rpt``.

    Raises:
        InputError: the device does not hold the design.
        ToolError: yosys failed.
    """
    inputs = {name: plan.files[name] for name in (f"{NAME}.il", f"{NAME}.ys")}
    outputs = (f"{NAME}.json", STATISTICS, f"{NAME}.rpt")
    folder = run_tool(ToolRun(tools.yosys, plan.commands["yosys"], inputs, outputs), cache=cache)
    check_fit(read_synthesis_report(folder / STATISTICS), plan.device, target=plan.target)
    return folder


def place_and_route(
    plan: Design, tools: Tools, netlist: bytes, *, seed: int, cache: Path, stop: Event | None = None
) -> Routed:
    """Run nextpnr on a netlist from one seed. Missed timing is no error: it is in the report.

    Setting ``stop`` kills nextpnr.

    Raises:
        InputError: the device does not hold the design.
        ToolError: nextpnr failed, for example on a design that cannot be routed, or was stopped.
    """
    extra = ["--seed", str(seed), "--report", REPORT, "--timing-allow-fail", *PLACEMENT]
    inputs = {f"{NAME}.json": netlist, f"{NAME}.lpf": plan.files[f"{NAME}.lpf"]}
    outputs = (f"{NAME}.config", REPORT, f"{NAME}.tim")
    run = ToolRun(tools.nextpnr, [*plan.commands["nextpnr-ecp5"], *extra], inputs, outputs)
    try:
        folder = run_tool(run, cache=cache, stop=stop)
    except ToolError as error:
        check_fit(read_packed_resources(error.console), plan.device, target=plan.target)
        raise
    return Routed(seed=seed, report=read_route_report(folder / REPORT), folder=folder)


def unpack_bitstream(bitstream: bytes, tools: Tools, *, cache: Path) -> bytes:
    """Run ecpunpack on a bitstream; returns its configuration.

    Raises:
        ToolError: the tool failed.
    """
    names = (f"{NAME}.bit", f"{NAME}.config")
    run = ToolRun(tools.ecpunpack, ["--input", names[0], "--textcfg", names[1]], {names[0]: bitstream}, names[1:])
    return (run_tool(run, cache=cache) / names[1]).read_bytes()


def pack(command: Sequence[str], configuration: bytes, tools: Tools, *, cache: Path) -> Path:
    """Run ecppack, unpack its bitstream with ecpunpack, and pack it again: the result must be the same.

    Args:
        command: arguments of ecppack.
        configuration: configuration of the routed design.
        tools: tools of the build.
        cache: root of the cache.

    Returns:
        The folder with the bitstream, ``top.bit``.

    Raises:
        ToolError: a tool failed, or the bitstreams differ.
    """
    bitstream = f"{NAME}.bit"

    def packed(content: bytes) -> Path:
        run = ToolRun(tools.ecppack, command, {f"{NAME}.config": content}, (bitstream,))
        return run_tool(run, cache=cache)

    folder = packed(configuration)
    made = (folder / bitstream).read_bytes()
    if (packed(unpack_bitstream(made, tools, cache=cache)) / bitstream).read_bytes() != made:
        raise ToolError(f"ecpunpack: {folder / bitstream} unpacks to another design", console="")
    return folder


def place_and_route_seeds(
    plan: Design,
    tools: Tools,
    netlist: Path,
    *,
    seeds: Sequence[int],
    jobs: int,
    cache: Path,
    progress: Progress,
    contents: Mapping[str, Content] = MappingProxyType({}),
) -> list[Routed]:
    """Trim the carry chains, then place and route from every seed; returns results in the order of the seeds.

    Args:
        plan: the design.
        tools: tools of the build.
        netlist: folder from ``synthesize``.
        seeds: seeds of the placements.
        jobs: seeds at a time.
        cache: root of the cache.
        progress: called for each routed seed.
        contents: initial contents of block RAMs by the ends of their names; the others start with zeros.

    Raises:
        InputError: the device does not hold the design.
        ToolError: nextpnr failed; the other seeds are then stopped. Or there is no such block RAM.
    """
    trimmed = with_contents(trim_carry_ends((netlist / f"{NAME}.json").read_bytes()).netlist, contents)

    stop = Event()

    def route(seed: int) -> Routed:
        routed = place_and_route(plan, tools, trimmed, seed=seed, cache=cache, stop=stop)
        progress(f"routed seed {seed}: {routed.report.critical.achieved_mhz:.1f} MHz")
        return routed

    with ThreadPoolExecutor(max_workers=jobs) as pool:
        futures = [pool.submit(route, seed) for seed in seeds]
        try:
            return [future.result() for future in futures]
        finally:
            # after a failure or an interrupt, neither waiting nor running seeds are wanted
            stop.set()
            pool.shutdown(cancel_futures=True)


def best(routed: Sequence[Routed]) -> Routed:
    """The seed with the largest margin; the first of equals."""

    def margin(candidate: Routed) -> float:
        critical = candidate.report.critical
        return critical.achieved_mhz / critical.wanted_mhz

    return max(routed, key=margin)
