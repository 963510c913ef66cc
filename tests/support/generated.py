"""A generated accelerator with its package, and the tools of other people that run it far from the repository."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from spikequant.cosim.simulator.verilator import tool_environment
from spikequant.gen.package.write import write_package
from spikequant.golden.layer.spec import Spec
from spikequant.rtl.manifest import write_generated

SPEC = Spec(neurons=8, lanes=2, depth=64, membrane_slots=3, score_words=64)

OUTPUTS = 128
"""Outputs of its bench: two tiles of eight neurons for eight tokens."""

needs_icarus = pytest.mark.skipif(
    shutil.which("iverilog") is None, reason="needs Icarus Verilog: apt-get install iverilog"
)


@pytest.fixture(scope="session")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the accelerator and its package."""
    folder = tmp_path_factory.mktemp("user") / "generated"
    manifest = write_generated(SPEC, folder)
    write_package(SPEC, folder, waivers=manifest["waivers"], testbench=True)
    return folder


@pytest.fixture
def away(generated: Path, tmp_path: Path) -> Path:
    """A copy of that folder, with a module in the way of every import of this package."""
    folder = tmp_path / "away"
    shutil.copytree(generated, folder)
    (folder / "testbench" / "spikequant.py").write_text("raise ImportError(__name__)\n", encoding="utf-8")
    return folder


def play(command: str, folder: Path, *, tools: Path | None = None) -> tuple[int, str]:
    """Run a command in a folder; return its exit status and what it printed.

    Args:
        command: with arguments that have no spaces.
        folder: to run in.
        tools: folder of programs to prefer; those of this environment by default.
    """
    environment = tool_environment(delays=True)
    environment["PATH"] = os.pathsep.join([str(tools or Path(sys.executable).parent), environment["PATH"]])
    environment.pop("PYTHONPATH", None)
    done = subprocess.run(
        command.split(),
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=1800,
    )
    return done.returncode, done.stdout


def corrupt(folder: Path) -> None:
    """Flip the lowest bit of the fifth word of the expected results."""
    path = folder / "testbench" / "results.hex"
    lines = path.read_text(encoding="utf-8").splitlines()
    lines[4] = f"{int(lines[4], 16) ^ 1:09x}"
    path.write_text("\n".join([*lines, ""]), encoding="utf-8")
