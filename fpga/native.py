"""Verilog and a C++ harness become a program, by Verilator."""

import subprocess
from importlib.metadata import version
from pathlib import Path

from fpga.toolchain import ToolError
from gen.cache import cached_build, digest_of
from gen.verilator import tool_environment


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
    environment = tool_environment()
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
    compiler = subprocess.run(["g++", "--version"], capture_output=True, text=True, check=True).stdout
    digest = digest_of([repr(sources), repr(commands), version("verilator"), compiler])

    def build(folder: Path) -> None:
        for file, text in sources.items():
            (folder / file).write_text(text, encoding="utf-8")
        for command in commands:
            process = subprocess.run(
                command,
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
            )
            if process.returncode:
                lines = [line for line in process.stdout.splitlines() if "rror" in line]
                reason = lines[0].strip() if lines else "no message"
                raise ToolError(f"building {name} failed in {command[0]}: {reason}", console=process.stdout)

    return cached_build(cache, name, digest, build) / name
