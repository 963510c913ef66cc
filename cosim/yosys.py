"""Running Yosys on a script."""

import subprocess
from pathlib import Path

from spikequant.golden.support.errors import SpikeQuantError


class YosysError(SpikeQuantError):
    """Yosys failed; the message is its first error line."""


SCRIPT = "script.ys"


def run_yosys(program: str, script: str, folder: Path, *, seconds: float | None = None) -> str:
    """Run a script; return what Yosys printed.

    Args:
        program: path of Yosys.
        script: Yosys commands.
        folder: working directory, in which the script is written to a file.
        seconds: time limit; None for no limit.

    Raises:
        YosysError: Yosys failed.
        subprocess.TimeoutExpired: the time limit was reached.
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
