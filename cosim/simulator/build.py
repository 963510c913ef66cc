"""Compile a spec's Verilog into a simulator that cocotb can drive."""

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

PUBLIC_PORTS = f"""`verilator_config
public_flat_rw -module "{TOP}" -var "clk"
public_flat_rw -module "{TOP}" -var "rst"
public_flat_rw -module "{TOP}" -var "*_axis_*"
"""
"""Only the ports are open to the bench. Opening every signal, as cocotb's own build does, makes the compiler take
minutes instead of seconds and the simulation many times slower."""

BURST_TOP = "burst"
"""Top module of the bench that plays bursts."""

BURST_SOURCE = Path(__file__).parent / "burst.v"


class SimulationError(SpikeQuantError):
    """The simulator could not be built, or its test failed; the message ends with where the log is."""


def keep_log(text: str) -> Path:
    """What a tool printed, in a file that stays."""
    handle, name = tempfile.mkstemp(prefix="spikequant-", suffix=".log")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
    return Path(name)


def verilator_command(top: str, *inputs: str, options: Sequence[str] = ()) -> list[str]:
    """Verilate some files into a program named after the top module, whose makefile is ``Vtop.mk``."""
    return [
        *("verilator", "--cc", "--exe", "--Mdir", ".", "--top-module", top, "--prefix", "Vtop", "-o", top),
        *("--timescale", "1ns/1ps", "--x-initial", "0", "-O3"),
        # the warnings are about the style of Amaranth's Verilog, and about models of cells that come twice
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
    """Folder of a compiled Verilator model, from the cache where inputs and versions are the same.

    Args:
        kind: what sort of build, for the folder's name.
        sources: texts of the files that the command reads, by name.
        command: Verilator's.
        environment: as ``tool_environment`` makes it.
        cache: root of the cache; the user's own by default.
        optimize: for long simulations; a short one is done before the compiler would be.

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


def _cocotb_main() -> tuple[list[str], str]:
    """Options that link cocotb, and its main program."""
    libraries = cocotb_tools.config.libs_dir
    main = cocotb_tools.config.share_dir / "lib" / "verilator" / "verilator.cpp"
    return ["--vpi", "-LDFLAGS", f"-Wl,-rpath,{libraries} -L{libraries} -lcocotbvpi_verilator"], str(main)


def accelerator_sources(spec: Spec) -> dict[str, str]:
    """The spec's generated Verilog, by file name."""
    return {f"{TOP}.v": generate_verilog(spec)}


def build_simulator(spec: Spec, *, sources: Mapping[str, str] | None = None, cache: Path | None = None) -> Path:
    """Folder of a Verilator build of the spec whose ports are open, for a bench that drives every word.

    Args:
        spec: the accelerator.
        sources: its Verilog by file name, such as that of a netlist; of a module that comes twice the first one
            counts. The generated Verilog by default.
        cache: root of the cache; the user's own by default.

    Raises:
        InputError: a tool is missing.
        SimulationError: Verilator or the compiler failed.
    """
    environment = tool_environment()
    texts = {"ports.vlt": PUBLIC_PORTS, **(sources or accelerator_sources(spec))}
    options, main = _cocotb_main()
    command = verilator_command(TOP, main, *texts, options=options)
    return compile_model("verilator", texts, command, environment=environment, cache=cache)


def build_bursts(
    spec: Spec,
    *,
    sources: Mapping[str, str] | None = None,
    options: Sequence[str] = (),
    cache: Path | None = None,
) -> Path:
    """Folder of a Verilator build of the spec inside ``burst.v``, which plays packets without any Python.

    Args:
        spec: the accelerator.
        sources: as ``build_simulator`` takes them.
        options: more of Verilator's, for a build that is made for a short simulation.
        cache: root of the cache; the user's own by default.

    Raises:
        InputError: a tool is missing.
        SimulationError: Verilator or the compiler failed.
    """
    # the clock is a process with delays
    environment = tool_environment(delays=True)
    texts = {**(sources or accelerator_sources(spec)), BURST_SOURCE.name: BURST_SOURCE.read_text(encoding="utf-8")}
    linked, main = _cocotb_main()
    command = verilator_command(BURST_TOP, main, *texts, options=["--timing", *options, *linked])
    return compile_model("bursts", texts, command, environment=environment, cache=cache, optimize=not options)
