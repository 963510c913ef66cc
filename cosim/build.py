"""Compile a spec's Verilog into a simulator that cocotb can drive."""

import os
import shutil
import subprocess
import tempfile
from importlib.metadata import version
from pathlib import Path

import cocotb_tools.config

from gen.cache import cached_build, default_cache_folder, digest_of
from gen.verilator import tool_environment
from gen.verilog import TOP, generate_verilog
from golden.spec import Spec

PUBLIC_PORTS = f"""`verilator_config
public_flat_rw -module "{TOP}" -var "clk"
public_flat_rw -module "{TOP}" -var "rst"
public_flat_rw -module "{TOP}" -var "*_axis_*"
"""
"""Only the ports are open to the bench. Opening every signal, as cocotb's own build does, makes the compiler take
minutes instead of seconds and the simulation many times slower."""


class SimulationError(Exception):
    """The simulator could not be built, or its test failed; the message ends with where the log is."""


def keep_log(log: Path) -> Path:
    """A copy of a log that outlives its temporary folder."""
    handle, name = tempfile.mkstemp(prefix="spikequant-", suffix=".log")
    os.close(handle)
    shutil.copyfile(log, name)
    return Path(name)


def _verilator_command() -> list[str]:
    libraries = cocotb_tools.config.libs_dir
    main = cocotb_tools.config.share_dir / "lib" / "verilator" / "verilator.cpp"
    return [
        *("verilator", "--cc", "--exe", "--vpi", "--Mdir", ".", "--top-module", TOP, "--prefix", "Vtop", "-o", TOP),
        *("--timescale", "1ns/1ps", "--x-initial", "0", "-O3"),
        # the warnings are about the style of Amaranth's Verilog
        *("-Wno-fatal", "-Wno-lint", "-Wno-style"),
        *("-LDFLAGS", f"-Wl,-rpath,{libraries} -L{libraries} -lcocotbvpi_verilator"),
        *(str(main), "ports.vlt", f"{TOP}.v"),
    ]


def build_simulator(spec: Spec, *, cache: Path | None = None) -> Path:
    """Folder of a Verilator build of the spec, from the cache where inputs and versions are the same.

    Args:
        spec: the accelerator.
        cache: root of the cache; the user's own by default.

    Raises:
        InputError: a tool is missing.
        SimulationError: Verilator or the compiler failed.
    """
    environment = tool_environment()
    sources = {f"{TOP}.v": generate_verilog(spec), "ports.vlt": PUBLIC_PORTS}
    commands = [_verilator_command(), ["make", "-j2", "-f", "Vtop.mk", "OPT_FAST=-O1"]]
    compiler = subprocess.run(["g++", "--version"], capture_output=True, text=True, check=True).stdout
    digest = digest_of([repr(sources), repr(commands), version("verilator"), version("cocotb"), compiler])

    def build(folder: Path) -> None:
        for name, text in sources.items():
            (folder / name).write_text(text, encoding="utf-8")
        log = folder / "build.log"
        for command in commands:
            with log.open("ab") as output:
                status = subprocess.run(
                    command,
                    cwd=folder,
                    env=environment,
                    stdout=output,
                    stderr=output,
                    stdin=subprocess.DEVNULL,
                    check=False,
                ).returncode
            if status:
                raise SimulationError(f"building the simulator failed in {command[0]}, see {keep_log(log)}")

    return cached_build(cache or default_cache_folder(), "verilator", digest, build)
