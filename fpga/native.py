"""Verilog and a C++ harness become a program, by Verilator."""

from pathlib import Path

from spikequant.cosim.simulator.verilator import CompileError, compile_verilog, tool_environment
from spikequant.fpga.toolchain import ToolError


def build_program(name: str, sources: dict[str, str], *, cache: Path) -> Path:
    """A program, from the cache where inputs and versions are the same.

    Args:
        name: of the top module, whose class is ``V`` and the name, and of the program.
        sources: Verilog and C++ by file name.
        cache: root of the cache.

    Raises:
        InputError: a tool is missing.
        ToolError: Verilator or the compiler failed.
    """
    commands = [
        [
            *("verilator", "--cc", "--exe", "--Mdir", ".", "--top-module", name, "--prefix", f"V{name}", "-o", name),
            *("--x-initial", "0", "-O3"),
            # the warnings are about the style of Amaranth's Verilog
            *("-Wno-fatal", "-Wno-lint", "-Wno-style"),
            *sources,
        ],
        ["make", "-j2", "-f", f"V{name}.mk", "OPT_FAST=-O1", "OPT_GLOBAL=-O2"],
    ]
    try:
        return compile_verilog(name, sources, commands, environment=tool_environment(), cache=cache) / name
    except CompileError as error:
        lines = [line for line in error.log.splitlines() if "rror" in line]
        reason = lines[0].strip() if lines else "no message"
        raise ToolError(f"building {name} failed in {error.program}: {reason}", console=error.log) from None
