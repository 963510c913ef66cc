"""Test stands: a chip's pins cycle by cycle, and memories with chips in Verilator."""

import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from spikequant.cosim.simulator.program import build_program
from spikequant.fpga.sdram.bench import build_bench
from spikequant.fpga.sdram.model import MODEL, model_parameters
from spikequant.fpga.sdram.timing import CHIPS, DEFAULT_CHIP, SdramTiming
from spikequant.fpga.virtual.board import build_virtual_board
from spikequant.golden.layer.spec import Spec

FASTEST = 1e9 / 7
"""Clock of the chip at which every time of its data sheet is a whole number of cycles."""

SHORT = {"T_START": 70_000, "T_REF": 100_000_000, "REFRESHES": 4, "T_RAS_MAX": 50_000_000}
"""Times in ps that are long in the data sheet, made short."""

ALL_BANKS = 1 << 10

_PINS = {"nop": 0b0111, "activate": 0b0011, "read": 0b0101, "write": 0b0100, "precharge": 0b0010, "refresh": 0b0001}
_PINS |= {"mode": 0b0000, "stop": 0b0110, "deselect": 0b1111}


@dataclass
class Trace:
    """Inputs of a chip; each method adds a command and a number of idle cycles after it."""

    program: Path
    lines: list[str] = field(default_factory=list)

    def command(
        self,
        name: str,
        *,
        bank: int = 0,
        address: int = 0,
        then: int = 0,
        mask: int = 0,
        data: int | None = None,
        cke: int = 1,
    ) -> "Trace":
        selecting = " ".join(f"{_PINS[name]:04b}")
        self.lines.append(f"1 {cke} {selecting} {bank} {address} {mask} {data or 0} {int(data is not None)}")
        return self.idle(then)

    def idle(self, cycles: int) -> "Trace":
        if cycles:
            self.lines.append(f"{cycles} 1 0 1 1 1 0 0 0 0 0")
        return self

    def start(self, *, mode: int = 0b011_0_001, refreshes: int = 2, wait: int = 10) -> "Trace":
        self.idle(wait - 1).command("precharge", address=ALL_BANKS, then=2)
        for _ in range(refreshes):
            self.command("refresh", then=8)
        return self.command("mode", address=mode, then=1)

    def run(self) -> tuple[list[str], list[int]]:
        """The broken rules, and the data pins after each line."""
        text = "\n".join(self.lines) + "\n"
        process = subprocess.run([self.program], input=text, capture_output=True, text=True, check=True)
        broken = [line.removeprefix("sdram: ").split(" violated")[0] for line in process.stderr.splitlines()]
        return [rule.strip("\0 ") for rule in broken], [int(line) for line in process.stdout.split()]


@pytest.fixture(scope="session")
def build_trace(build_cache: Path) -> Callable[..., Trace]:
    """Makes a trace for a chip with some parameters of its model changed."""

    def build(**changed: int) -> Trace:
        names = ["clk", "cke", "cs_n", "ras_n", "cas_n", "we_n", "ba", "a", "dqm", "dq_i", "dq_oe", "dq_o"]
        ports = "input clk, cke, cs_n, ras_n, cas_n, we_n, input [1:0] ba, input [12:0] a, input [1:0] dqm, "
        ports += "input [15:0] dq_i, input dq_oe, output [15:0] dq_o"
        parameters = model_parameters(SdramTiming(CHIPS[DEFAULT_CHIP], FASTEST), **(SHORT | changed))
        wrapper = f"""module trace ({ports});
    sdram #({parameters}) chip ({", ".join(f".{name}({name})" for name in names)});
endmodule
"""
        harness = Path(__file__).with_name("trace.cpp")
        sources = {harness.name: harness.read_text(), MODEL.name: MODEL.read_text(), "trace.v": wrapper}
        return Trace(build_program("trace", sources, cache=build_cache))

    return build


@pytest.fixture
def trace(build_trace: Callable[..., Trace]) -> Trace:
    return build_trace()


@pytest.fixture(scope="session")
def timing() -> SdramTiming:
    """The chip of the boards at the clock that they run it at."""
    return SdramTiming(CHIPS[DEFAULT_CHIP], 120e6)


@pytest.fixture(scope="session")
def memory_program(build_cache: Path, timing: SdramTiming) -> Path:
    """A memory without an accelerator."""
    return build_bench(timing, cache=build_cache)


@pytest.fixture(scope="session")
def memory_board_program(build_cache: Path, timing: SdramTiming, small: Spec) -> Path:
    """The program of a virtual board with a memory."""
    return build_virtual_board(small, memory=timing, cache=build_cache)
