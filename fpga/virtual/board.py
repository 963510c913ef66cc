"""Virtual board: a board's complete top in Verilator, with its serial pins on a pseudo-terminal."""

import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any

from amaranth.back import rtlil, verilog
from amaranth.hdl import Elaboratable, Signal
from amaranth.lib.io import Buffer, SimulationPort

from spikequant.cosim.netlist import Stage
from spikequant.cosim.simulator.program import build_program
from spikequant.fpga.build.block_contents import Content
from spikequant.fpga.build.build import NAME as TOP_NAME
from spikequant.fpga.build.build import Design
from spikequant.fpga.build.core import constrained_design
from spikequant.fpga.build.netlist import DEVICE, netlist_of, readable
from spikequant.fpga.build.pll import pll_settings
from spikequant.fpga.build.top import BoardTop
from spikequant.fpga.link.line import LinkError
from spikequant.fpga.sdram.model import MODEL, wrap_with_chip
from spikequant.fpga.sdram.pins import SimulatedSdramPort
from spikequant.fpga.sdram.timing import SdramTiming
from spikequant.fpga.toolchain import ToolError
from spikequant.golden.layer.spec import Spec
from spikequant.golden.support.errors import InputError
from spikequant.golden.support.store import default_cache_folder
from spikequant.rtl.accelerator import Accelerator
from spikequant.rtl.fabric import Ecp5

CYCLES_PER_BIT = 3
"""Clock cycles a bit of the virtual board's line by default; few suffice, because both ends share a clock."""

BAUD = 1_000_000
"""Bits a second that the host sets; a pseudo-terminal ignores them."""

CLOCK_HZ = 25e6

MEMORY_RATIO = 2
"""Ratio of the memory's clock to the accelerator's; with a memory, the program's clock is the memory's."""

LEDS = 3

NAME = "board"
HARNESS = Path(__file__).with_name("virtual_board.cpp")
PLL_MODEL = Path(__file__).with_name("ehxplll.v")

START_SECONDS = 10.0


class _Line:
    """Serial pins."""

    def __init__(self) -> None:
        self.rx = SimulationPort("i", 1, name="rx")
        self.tx = SimulationPort("o", 1, name="tx")


class VirtualPlatform:
    """A board whose pins are ports of the top module.

    Attributes:
        default_clk: name of the clock, as in Amaranth's platforms.
        clock, line, leds: pins.
        sdram: pins of a memory, or None.
    """

    default_clk = "clk"

    def __init__(self, memory: SdramTiming | None = None) -> None:
        self.sdram = None if memory is None else SimulatedSdramPort(memory.chip)
        self.clock = SimulationPort("i", 1, name="clk")
        self.line = _Line()
        self.leds = [SimulationPort("o", 1, name=f"led_{index}") for index in range(LEDS)]

    def request(self, name: str, number: int = 0, *, dir: str) -> Any:  # noqa: A002, ARG002
        """Pins of the resource of that name."""
        return {"clk": self.clock, "uart": self.line, "sdram": self.sdram, "led": self.leds[number]}[name]

    def ports(self) -> dict[str, Signal]:
        """Ports of the top module by name."""
        leds = {f"led_{index}": led.o for index, led in enumerate(self.leds)}
        return {"clk": self.clock.i, "rx": self.line.rx.i, "tx": self.line.tx.o, **leds}

    def sdram_ports(self) -> dict[str, Signal]:
        """Ports of the top module for the memory, if there is one."""
        return {} if self.sdram is None else self.sdram.ports()


class _DevicePlatform(VirtualPlatform, Ecp5):
    """The same pins on a device, so that blocks are built for its fabric."""

    def __init__(self) -> None:
        Ecp5.__init__(self)
        VirtualPlatform.__init__(self)

    def get_io_buffer(self, buffer: Buffer) -> Elaboratable:
        """Pins without pads."""
        return buffer.elaborate(None)


def virtual_design(spec: Spec) -> Design:
    """Complete top around a spec's accelerator, for a device."""
    platform = _DevicePlatform()
    top = BoardTop(Accelerator(spec), pll=pll_settings(CLOCK_HZ, CLOCK_HZ), divisor=CYCLES_PER_BIT)
    ports = {name: (signal, None) for name, signal in platform.ports().items()}
    text = rtlil.convert(top, name=TOP_NAME, platform=platform, ports=ports, emit_src=False)
    return readable(constrained_design(text, DEVICE, {"clk": CLOCK_HZ}))


def virtual_top(spec: Spec, memory: SdramTiming | None = None, *, divisor: int = CYCLES_PER_BIT) -> str:
    """Complete top around a spec's accelerator, as Verilog with ports ``clk``, ``rx``, ``tx`` and ``led_*``.

    With a memory, a model of its chip is at its pins and ends the simulation when a rule of the chip is broken.
    """
    platform = VirtualPlatform(memory)
    if memory is None:
        pll = pll_settings(CLOCK_HZ, CLOCK_HZ)
    else:
        pll = pll_settings(CLOCK_HZ, memory.clock_hz / MEMORY_RATIO, second_hz=memory.clock_hz)
    top = BoardTop(Accelerator(spec), pll=pll, divisor=divisor, memory=memory)
    pins = platform.ports()
    ports = {name: (signal, None) for name, signal in (pins | platform.sdram_ports()).items()}
    name = NAME if memory is None else "top"
    text = verilog.convert(top, name=name, platform=platform, ports=ports, emit_src=False, strip_internal_attrs=True)
    if memory is None or platform.sdram is None:
        return text
    plain = {name: ("input" if name in {"clk", "rx"} else "output", len(signal)) for name, signal in pins.items()}
    return text + wrap_with_chip(NAME, "top", plain, platform.sdram, memory, fatal=True)


def build_virtual_board(
    spec: Spec,
    *,
    memory: SdramTiming | None = None,
    divisor: int = CYCLES_PER_BIT,
    netlist: Stage | None = None,
    contents: Mapping[str, Content] = MappingProxyType({}),
    cache: Path | None = None,
) -> Path:
    """Compile the program of a spec's virtual board, or find it in the cache.

    Args:
        spec: the accelerator.
        memory: its SDRAM, if it has one.
        divisor: clock cycles a bit of its line; a netlist has ``CYCLES_PER_BIT``.
        netlist: stage of the netlist of ECP5 cells to simulate; the generated Verilog by default.
        contents: initial contents of the netlist's block RAMs by the ends of their names; the others start with zeros.
        cache: root of the cache; the user's own by default.

    Raises:
        InputError: a tool is missing, or both a memory and a netlist are given.
        SimulationError: Verilator or the compiler failed.
        ToolError: a tool that makes the netlist failed.
    """
    cache = cache or default_cache_folder()
    if memory and netlist:
        raise InputError("virtual board: memory and netlist cannot be combined, expected at most one of them")
    files = [HARNESS, PLL_MODEL, *([MODEL] if memory else [])]
    sources = {path.name: path.read_text() for path in files}
    if netlist:
        sources |= netlist_of(virtual_design(spec), netlist, name=NAME, cache=cache, contents=contents)
    else:
        sources[f"{NAME}.v"] = virtual_top(spec, memory, divisor=divisor)
    return build_program(NAME, sources, cache=cache)


class VirtualBoard:
    """A running virtual board; a context manager that switches it off.

    Attributes:
        port: name of its serial port.
        process: the simulator.
    """

    def __init__(
        self,
        program: Path,
        *,
        memory: bool = False,
        divisor: int = CYCLES_PER_BIT,
        seconds: float = 3600,
        corrupt: float = 0.0,
        drop: float = 0.0,
        seed: int = 1,
    ) -> None:
        """Switch it on.

        Args:
            program: from ``build_virtual_board``.
            memory: the board has a memory.
            divisor: clock cycles a bit of its line, as of the program.
            seconds: time limit, after which it ends by itself.
            corrupt: share of the bytes that the line changes.
            drop: share of the bytes that the line drops.
            seed: seed of the noise.

        Raises:
            ToolError: it does not start.
        """
        self._seconds = seconds
        self._folder = tempfile.TemporaryDirectory(prefix="spikequant-")
        self.port = str(Path(self._folder.name) / "port")
        cycles_per_bit = divisor * (MEMORY_RATIO if memory else 1)
        arguments = [self.port, cycles_per_bit, seconds, corrupt, drop, seed]
        self.process = subprocess.Popen(
            [program, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            # an interrupt from the keyboard is for the host, which may only want to end what it does
            process_group=0,
        )
        assert self.process.stdout is not None
        if self.process.stdout.readline() != b"ready\n":
            _, errors = self.process.communicate(timeout=START_SECONDS)
            self._folder.cleanup()
            raise ToolError(f"virtual board: {errors.decode(errors='replace').strip()}", console="")

    def __enter__(self) -> "VirtualBoard":
        """Return the board."""
        return self

    def __exit__(self, *_error: object) -> None:
        """Switch it off."""
        self.close()

    def cut(self, seconds: float) -> None:
        """Remove the port for a while, as if the cable were unplugged; the board keeps running."""
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):
            self.process.stdin.write(f"cut {round(1000 * seconds)}\n".encode())
            self.process.stdin.flush()

    @contextmanager
    def report_end(self) -> Iterator[None]:
        """A block in which the end of the board is reported instead of the lost port that follows from it.

        Raises:
            ToolError: the board ended; the message has its last line of output.
        """
        try:
            yield
        except (InputError, LinkError) as error:
            status = self.process.poll()
            if status is None:
                raise
            assert self.process.stderr is not None
            lines = self.process.stderr.read().decode(errors="replace").strip().splitlines()
            reason = f"its time limit of {self._seconds:g} s is over" if status == 0 else f"status {status}"
            raise ToolError(f"virtual board: ended, {lines[-1] if lines else reason}", console="") from error

    def close(self) -> None:
        """Switch it off."""
        self.process.kill()
        self.process.communicate()
        self._folder.cleanup()
