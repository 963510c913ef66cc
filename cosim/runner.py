"""Run jobs on a simulator."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from cosim.build import SimulationError, keep_log
from cosim.job import Job, Recording, read_progress
from gen.verilator import tool_environment

POLL_SECONDS = 0.2


def run_job(simulator: Path, job: Job, *, progress: Callable[[int], None] = lambda _: None) -> Recording:
    """Play a job on a simulator, which ``build_simulator`` made.

    Args:
        simulator: its folder.
        job: the packets to play.
        progress: told the number of results that are in, now and then.

    Raises:
        SimulationError: the test failed or the simulator died.
    """
    environment = tool_environment()
    environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    with tempfile.TemporaryDirectory(prefix="spikequant-") as name:
        folder = Path(name)
        job.save(folder)
        log = folder / "run.log"
        command = [sys.executable, "-m", "cosim.simulate", str(simulator), str(Job.path(folder))]
        with log.open("wb") as output:
            process = subprocess.Popen(command, env=environment, stdout=output, stderr=output, stdin=subprocess.DEVNULL)
            try:
                while process.poll() is None:
                    try:
                        process.wait(POLL_SECONDS)
                    except subprocess.TimeoutExpired:
                        progress(read_progress(folder))
            finally:
                if process.poll() is None:
                    process.terminate()
                    process.wait()
        if process.returncode or not Recording.path(folder).exists():
            raise SimulationError(f"the simulation failed, see {keep_log(log)}")
        return Recording.load(folder)
