"""Run jobs on a simulator whose bench drives every word."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from spikequant.cosim.simulator.build import SimulationError, build_simulator, keep_log
from spikequant.cosim.simulator.job import Job, Recording, read_progress
from spikequant.cosim.simulator.verilator import tool_environment
from spikequant.golden.layer.spec import Spec
from spikequant.rtl.driver.packets import Words
from spikequant.rtl.verilog import TOP

POLL_SECONDS = 0.2


def start_simulation(
    simulator: Path, top: str, bench: str, work: Path, arguments: Sequence[str], *, log: Path
) -> subprocess.Popen[bytes]:
    """Start a simulator on a test bench, in a process of its own.

    Args:
        simulator: folder of its build.
        top: its top module.
        bench: module of the test bench.
        work: folder to run in.
        arguments: what the bench reads as plus-arguments, ``name=value``.
        log: file for everything it prints.
    """
    environment = tool_environment()
    environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    command = [
        sys.executable,
        "-m",
        "spikequant.cosim.simulator.process",
        str(simulator),
        top,
        bench,
        str(work),
        *arguments,
    ]
    with log.open("wb") as output:
        return subprocess.Popen(command, env=environment, stdout=output, stderr=output, stdin=subprocess.DEVNULL)


def run_job(simulator: Path, job: Job, *, progress: Callable[[int], None] = lambda _: None) -> Recording:
    """Play a job on a simulator, which ``build_simulator`` made.

    Args:
        simulator: its folder.
        job: the packets to play.
        progress: told the number of results that are in, now and then.

    Raises:
        SimulationError: the test failed or the simulator died.
    """
    with tempfile.TemporaryDirectory(prefix="spikequant-") as name:
        folder = Path(name)
        job.save(folder)
        log = folder / "run.log"
        process = start_simulation(
            simulator, TOP, "spikequant.cosim.simulator.bench", folder, [f"job={Job.path(folder)}"], log=log
        )
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
            printed = log.read_text(encoding="utf-8", errors="replace")
            raise SimulationError(f"the simulation failed, see {keep_log(printed)}")
        return Recording.load(folder)


@dataclass(frozen=True)
class StallingDevice:
    """An accelerator in a simulator of its own for each run, whose streams pause at random.

    Attributes:
        spec: the accelerator.
        stall_probability: share of cycles in which either stream pauses.
        seed: of the pauses.
        sources: the accelerator's Verilog, as ``build_simulator`` takes it.
        cache: where simulator builds are kept; the user's own cache by default.
    """

    spec: Spec
    stall_probability: float = 0.0
    seed: int = 0
    sources: Mapping[str, str] | None = None
    cache: Path | None = None

    def play(
        self, packets: Sequence[Words], results: int, *, progress: Callable[[int], None] = lambda _: None
    ) -> Recording:
        """As ``Device`` says.

        Raises:
            InputError: a tool is missing.
            SimulationError: the simulator could not be built, or its test failed.
        """
        job = Job(packets=list(packets), results=results, stall_probability=self.stall_probability, seed=self.seed)
        return run_job(build_simulator(self.spec, sources=self.sources, cache=self.cache), job, progress=progress)
