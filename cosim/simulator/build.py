"""Compilation of a spec's Verilog into a simulator for cocotb."""

import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

import cocotb_tools.config

from spikequant.cosim.simulator.verilator import tool_environment
from spikequant.golden.layer.spec import Spec
from spikequant.golden.support.errors import SpikeQuantError
from spikequant.golden.support.store import cached_build, default_cache_folder, digest_of
from spikequant.rtl.verilog import TOP, generate_instances, generate_verilog

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


def compile_model(
    kind: str,
    top: str,
    sources: Mapping[str, str],
    *,
    options: Sequence[str] = (),
    main: Path | None = None,
    delays: bool = False,
    optimize: bool = True,
    cache: Path | None = None,
) -> Path:
    """Compile a program with Verilator, unless the cache has one of the same inputs and versions.

    Args:
        kind: first part of the folder's name.
        top: top module, and name of the program.
        sources: texts of Verilog and C++ files by name; the C++ includes ``Vtop.h``. Of a module that is defined twice,
            the first definition counts.
        options: further options of Verilator.
        main: main program, if it is not among the sources.
        delays: compile processes with delays.
        optimize: let the compiler optimize, which pays off for long simulations only.
        cache: root of the cache; the user's cache by default.

    Returns:
        Folder of the program.

    Raises:
        InputError: a tool is missing.
        SimulationError: Verilator or the compiler failed.
    """
    environment = tool_environment(delays=delays)
    verilate = [
        *("verilator", "--cc", "--exe", "--Mdir", ".", "--top-module", top, "--prefix", "Vtop", "-o", top),
        *("--timescale", "1ns/1ps", "--x-initial", "0", "-O3"),
        # warnings concern the style of Amaranth's Verilog and cell models that are defined twice
        *("-Wno-fatal", "-Wno-lint", "-Wno-style", "-Wno-MODDUP"),
        *options,
        *([str(main)] if main else []),
        *sources,
    ]
    commands = [verilate, ["make", "-j2", "-f", "Vtop.mk", f"OPT_FAST={'-O1' if optimize else '-O0'}"]]
    compiler = subprocess.run(["g++", "--version"], capture_output=True, text=True, check=True).stdout
    tools = [environment["MAKEFLAGS"], version("verilator"), version("cocotb"), compiler]

    def build(folder: Path) -> None:
        for name, text in sources.items():
            (folder / name).write_text(text, encoding="utf-8")
        log = ""
        for command in commands:
            done = subprocess.run(
                command,
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
            )
            log += done.stdout
            if done.returncode:
                raise SimulationError(f"building the simulator failed in {command[0]}, see {keep_log(log)}")

    digest = digest_of([repr(dict(sources)), repr(commands), *tools])
    return cached_build(cache or default_cache_folder(), kind, digest, build)


def cocotb_main() -> tuple[list[str], Path]:
    """Return the Verilator options that link cocotb, and the path of cocotb's main program."""
    libraries = cocotb_tools.config.libs_dir
    main = cocotb_tools.config.share_dir / "lib" / "verilator" / "verilator.cpp"
    return ["--vpi", "-LDFLAGS", f"-Wl,-rpath,{libraries} -L{libraries} -lcocotbvpi_verilator"], main


def accelerator_sources(spec: Spec, *, instances: bool = False) -> dict[str, str]:
    """Generate the spec's Verilog; return it by file name.

    Args:
        spec: the accelerator.
        instances: write a module for each instance, so that coverage is counted by instance.
    """
    return {f"{TOP}.v": generate_instances(spec) if instances else generate_verilog(spec)}


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
    texts = {**(sources or accelerator_sources(spec)), BURST_SOURCE.name: BURST_SOURCE.read_text(encoding="utf-8")}
    linked, main = cocotb_main()
    # burst.v makes the clock in a process with delays
    return compile_model(
        "bursts",
        BURST_TOP,
        texts,
        options=["--timing", *options, *linked],
        main=main,
        delays=True,
        optimize=not options,
        cache=cache,
    )
