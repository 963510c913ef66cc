"""Native programs made of Verilog and a C++ harness."""

from pathlib import Path

from spikequant.cosim.simulator.build import compile_model, verilator_command
from spikequant.cosim.simulator.verilator import tool_environment


def build_program(name: str, sources: dict[str, str], *, cache: Path) -> Path:
    """Compile a program with Verilator, or find it in the cache.

    Args:
        name: top module, and name of the program.
        sources: Verilog and C++ by file name; the C++ includes ``Vtop.h``.
        cache: root of the cache.

    Raises:
        InputError: a tool is missing.
        SimulationError: Verilator or the compiler failed.
    """
    command = verilator_command(name, *sources)
    return compile_model(name, sources, command, environment=tool_environment(), cache=cache) / name
