"""Compilation of a spec's Verilog into a simulator for cocotb."""

import os
import tempfile
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

import cocotb_tools.config

from spikequant.cosim.simulator.verilator import CompileError, compile_verilog, tool_environment
from spikequant.golden.layer.spec import Spec
from spikequant.golden.support.errors import SpikeQuantError
from spikequant.golden.support.store import default_cache_folder
from spikequant.rtl.verilog import TOP, generate_verilog

BURST_TOP = "burst"
"""Top module of ``burst.v``."""

BURST_SOURCE = Path(__file__).parent / "burst.v"


class SimulationError(SpikeQuantError):
    """The simulator could not be built, or its test failed; the message ends with the path of the log."""


def keep_log(text: str) -> Path:
    """Write a tool's output to a new file that stays; return its path."""
    handle, name = tempfile.mkstemp(prefix="spikequant-", suffix=".log")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
    return Path(name)


def verilator_command(top: str, *inputs: str, options: Sequence[str] = ()) -> list[str]:
    """Return Verilator's command for a program named after the top module, with the makefile ``Vtop.mk``."""
    return [
        *("verilator", "--cc", "--exe", "--Mdir", ".", "--top-module", top, "--prefix", "Vtop", "-o", top),
        *("--timescale", "1ns/1ps", "--x-initial", "0", "-O3"),
        # warnings concern the style of Amaranth's Verilog and cell models that are defined twice
        *("-Wno-fatal", "-Wno-lint", "-Wno-style", "-Wno-MODDUP"),
        *options,
        *inputs,
    ]


def compile_model(
    kind: str,
    sources: dict[str, str],
    command: list[str],
    *,
    environment: dict[str, str],
    cache: Path | None,
    optimize: bool = True,
) -> Path:
    """Build a Verilator model, unless the cache has one of the same inputs and versions; return its folder.

    Args:
        kind: first part of the folder's name.
        sources: texts of the files that the command reads, by name.
        command: Verilator's command line.
        environment: result of ``tool_environment``.
        cache: root of the cache; the user's cache by default.
        optimize: let the compiler optimize, which pays off for long simulations only.

    Raises:
        SimulationError: Verilator or the compiler failed.
    """
    commands = [command, ["make", "-j2", "-f", "Vtop.mk", f"OPT_FAST={'-O1' if optimize else '-O0'}"]]
    cache = cache or default_cache_folder()
    try:
        return compile_verilog(
            kind, sources, commands, environment=environment, cache=cache, versions=[version("cocotb")]
        )
    except CompileError as error:
        raise SimulationError(f"building the simulator failed in {error.program}, see {keep_log(error.log)}") from None


def cocotb_main() -> tuple[list[str], str]:
    """Return the Verilator options that link cocotb, and the path of cocotb's main program."""
    libraries = cocotb_tools.config.libs_dir
    main = cocotb_tools.config.share_dir / "lib" / "verilator" / "verilator.cpp"
    return ["--vpi", "-LDFLAGS", f"-Wl,-rpath,{libraries} -L{libraries} -lcocotbvpi_verilator"], str(main)


def accelerator_sources(spec: Spec) -> dict[str, str]:
    """Generate the spec's Verilog; return it by file name."""
    return {f"{TOP}.v": generate_verilog(spec)}


def build_bursts(
    spec: Spec,
    *,
    sources: Mapping[str, str] | None = None,
    options: Sequence[str] = (),
    cache: Path | None = None,
) -> Path:
    """Build the spec's simulator with ``burst.v`` around the accelerator; return its folder.

    Args:
        spec: the accelerator.
        sources: its Verilog by file name, such as a netlist's; of a module that is defined twice, the first definition
            counts. The generated Verilog by default.
        options: further options of Verilator, for short simulations: the compiler then does not optimize.
        cache: root of the cache; the user's cache by default.

    Raises:
        InputError: a tool is missing.
        SimulationError: Verilator or the compiler failed.
    """
    # burst.v makes the clock in a process with delays
    environment = tool_environment(delays=True)
    texts = {**(sources or accelerator_sources(spec)), BURST_SOURCE.name: BURST_SOURCE.read_text(encoding="utf-8")}
    linked, main = cocotb_main()
    command = verilator_command(BURST_TOP, main, *texts, options=["--timing", *options, *linked])
    return compile_model("bursts", texts, command, environment=environment, cache=cache, optimize=not options)
