"""Test bench in Verilator: the memory with a model of its chip, alone or with an accelerator downstream."""

import json
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from amaranth.back import verilog
from amaranth.hdl import ClockDomain, ClockSignal, DomainRenamer, Module, ResetInserter
from amaranth.lib.wiring import Component, Flow, In, Out, connect
from numpy.typing import NDArray

from spikequant.cosim.simulator.program import build_program
from spikequant.fpga.sdram.memory import DOMAIN, WeightMemory
from spikequant.fpga.sdram.model import MODEL, wrap_with_chip
from spikequant.fpga.sdram.pins import SdramPins, SimulatedSdramPort
from spikequant.fpga.sdram.timing import NANOSECONDS, SdramTiming
from spikequant.fpga.toolchain import ToolError
from spikequant.golden.layer.spec import WORD_BITS, Spec
from spikequant.rtl.accelerator import Accelerator
from spikequant.rtl.driver.packets import Words

HARNESS = Path(__file__).with_name("bench.cpp")

LAST, WAIT, RESTART = 1 << 32, 1 << 33, 1 << 34
"""Marks in the bits above a word's data."""

QUIET_CYCLES = 200_000
"""Cycles without a word after which a run counts as hung; the chip's start is much shorter."""


class MemoryUnit(Component):
    """A memory with its pins, and the accelerator of a spec downstream if there is one.

    Attributes:
        clk, memory_clk: the clocks.
        i_*, o_*: words in and out.
        restart, busy: as in ``WeightMemory``.
    """

    def __init__(self, timing: SdramTiming, spec: Spec | None, port: SimulatedSdramPort) -> None:
        self._timing = timing
        self._spec = spec
        self._port = port
        super().__init__(
            {
                **{name: In(1) for name in ("clk", "memory_clk", "i_last", "i_valid", "o_ready", "restart")},
                **{name: Out(1) for name in ("i_ready", "o_last", "o_valid", "busy")},
                "i_data": In(WORD_BITS),
                "o_data": Out(WORD_BITS),
            }
        )

    def elaborate(self, _platform: object) -> Module:
        """Connect both clock domains, the memory, its pins and the accelerator."""
        m = Module()
        m.domains.sync = ClockDomain()
        m.domains.memory = ClockDomain(DOMAIN)
        m.submodules.memory = memory = WeightMemory(self._timing)
        m.submodules.pins = pins = DomainRenamer(DOMAIN)(SdramPins(self._port, self._timing.chip))
        connect(m, memory.pins, pins.inner)
        m.d.comb += [
            ClockSignal("sync").eq(self.clk),
            ClockSignal(DOMAIN).eq(self.memory_clk),
            memory.restart.eq(self.restart),
            memory.i.payload.data.eq(self.i_data),
            memory.i.payload.last.eq(self.i_last),
            memory.i.valid.eq(self.i_valid),
            self.i_ready.eq(memory.i.ready),
        ]
        if self._spec is None:
            m.d.comb += [
                self.o_data.eq(memory.o.payload.data),
                self.o_last.eq(memory.o.payload.last),
                self.o_valid.eq(memory.o.valid),
                memory.o.ready.eq(self.o_ready),
                self.busy.eq(memory.busy),
            ]
        else:
            core = Accelerator(self._spec)
            m.submodules.core = ResetInserter(self.restart)(core)
            m.d.comb += [
                core.s_axis_tdata.eq(memory.o.payload.data),
                core.s_axis_tlast.eq(memory.o.payload.last),
                core.s_axis_tvalid.eq(memory.o.valid),
                memory.o.ready.eq(core.s_axis_tready),
                self.o_data.eq(core.m_axis_tdata),
                self.o_last.eq(core.m_axis_tlast),
                self.o_valid.eq(core.m_axis_tvalid),
                core.m_axis_tready.eq(self.o_ready),
                self.busy.eq(memory.busy | core.busy),
            ]
        return m


def build_bench(timing: SdramTiming, spec: Spec | None = None, *, cache: Path) -> Path:
    """Compile the bench, with the accelerator of a spec if one is given.

    Raises:
        InputError: a tool is missing.
        SimulationError: Verilator or the compiler failed.
    """
    port = SimulatedSdramPort(timing.chip)
    unit = MemoryUnit(timing, spec, port)
    members = unit.signature.members
    signals = {name: getattr(unit, name) for name in members} | port.ports()
    ports = {name: (signal, None) for name, signal in signals.items()}
    text = verilog.convert(unit, name="unit", ports=ports, emit_src=False, strip_internal_attrs=True)
    plain = {
        name: ("input" if member.flow is Flow.In else "output", len(signals[name])) for name, member in members.items()
    }
    wrapper = wrap_with_chip("bench", "unit", plain, port, timing, counts=True)
    sources = {HARNESS.name: HARNESS.read_text(), MODEL.name: MODEL.read_text(), "unit.v": text, "bench.v": wrapper}
    return build_program("bench", sources, cache=cache)


@dataclass(frozen=True)
class Stalls:
    """Shares of the cycles in which the input and output streams pause, and the seed of the pauses."""

    sending: float = 0.0
    taking: float = 0.0
    seed: int = 1


@dataclass(frozen=True)
class Cut:
    """A packet that is cut after ``words`` words by a new session."""

    packet: Words
    words: int


@dataclass(frozen=True)
class BenchRun:
    """Results of a run.

    Attributes:
        packets: words of each packet that came out in the last session.
        messages: messages of the chip's model.
        memory_cycles: cycles of the chip's clock from the last wait to the last word out.
        columns: data read from the chip in that time, in units of 16 bits.
        all_memory_cycles: cycles of the chip's clock from the beginning.
        activates, reads, writes, refreshes: commands from the beginning.
        violations: broken rules of the chip.
    """

    packets: list[Words]
    messages: list[str]
    memory_cycles: int
    columns: int
    all_memory_cycles: int
    activates: int
    reads: int
    writes: int
    refreshes: int
    violations: int


def run_bench(
    program: Path,
    before: Sequence[Words],
    packets: Sequence[Words | Cut],
    *,
    results: int,
    clock_hz: float,
    timing: SdramTiming,
    stalls: Stalls | None = None,
    quiet_cycles: int = QUIET_CYCLES,
) -> BenchRun:
    """Send packets, wait until the memory is idle, send more packets, and wait for results.

    Args:
        program: from ``build_bench``.
        before: words of the packets before the wait; figures are counted from there.
        packets: words of the packets after it; a new session begins after a ``Cut``.
        results: packets to wait for.
        clock_hz: clock of the accelerator and the streamer.
        timing: timing that the program was built for.
        stalls: pauses of the streams.
        quiet_cycles: cycles without a word after which the run counts as hung.

    Raises:
        ToolError: the memory hangs, or the simulation failed.
    """
    disturbed = stalls or Stalls()
    words = [_marked(before), np.array([WAIT], np.uint64), _marked(packets)]
    periods = [2 * round(NANOSECONDS * 1000 / hz / 2) for hz in (clock_hz, timing.clock_hz)]
    with tempfile.TemporaryDirectory(prefix="spikequant-") as folder:
        sent, came = Path(folder) / "in", Path(folder) / "out"
        sent.write_bytes(np.concatenate(words).astype("<u8").tobytes())
        arguments = [sent, came, results, *periods, disturbed.sending, disturbed.taking, disturbed.seed, quiet_cycles]
        process = subprocess.run(
            [program, *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        messages = process.stderr.strip().splitlines()
        if process.returncode:
            raise ToolError(f"memory bench: {messages[-1] if messages else process.returncode}", console=process.stderr)
        received = np.fromfile(came, "<u8")
    sessions = np.flatnonzero(received & np.uint64(RESTART))
    received = received[sessions[-1] + 1 :] if sessions.size else received
    ends = np.flatnonzero(received & np.uint64(LAST)) + 1
    data = (received & np.uint64(LAST - 1)).astype(np.uint32)
    return BenchRun(packets=np.split(data, ends)[: len(ends)], messages=messages, **json.loads(process.stdout))


def _marked(packets: Sequence[Words | Cut]) -> NDArray[np.uint64]:
    """Words of packets, with marks on the last word of each."""
    parts = [np.zeros(0, np.uint64)]
    for packet in packets:
        whole = packet.packet if isinstance(packet, Cut) else packet
        words = whole.astype(np.uint64)
        words[-1] |= np.uint64(LAST)
        parts.append(np.append(words[: packet.words], np.uint64(RESTART)) if isinstance(packet, Cut) else words)
    return np.concatenate(parts)
