"""Yosys, run on a script in a folder."""

import subprocess
from pathlib import Path

from spikequant.golden.support.errors import SpikeQuantError


class YosysError(SpikeQuantError):
    """Yosys failed; the message is its first error."""


SCRIPT = "script.ys"


def run_yosys(program: str, script: str, folder: Path, *, seconds: float | None = None) -> str:
    """Run a script, and give what it printed.

    Args:
        program: Yosys.
        script: its commands.
        folder: in which it runs, and where the script is left.
        seconds: after which it is stopped; never if None.

    Raises:
        YosysError: it failed.
        subprocess.TimeoutExpired: it was stopped.
    """
    (folder / SCRIPT).write_text(script, encoding="utf-8")
    command = [program, "-Q", "-T", "-s", SCRIPT]
    done = subprocess.run(
        command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=seconds
    )
    if done.returncode:
        errors = [line for line in (done.stdout + done.stderr).splitlines() if "ERROR" in line]
        raise YosysError(errors[0][:200] if errors else f"Yosys failed with status {done.returncode}")
    return done.stdout
