"""A running Dask cluster in separate processes."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from distributed import Client


@pytest.fixture(scope="module")
def scheduler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """Address of a scheduler on the loopback interface, and its two worker processes."""
    folder = tmp_path_factory.mktemp("cluster")
    file = folder / "scheduler.json"
    place = ["--host", "127.0.0.1", "--no-dashboard"]
    commands = [["distributed.cli.dask_scheduler", *place, "--port", "0"]]
    commands += 2 * [["distributed.cli.dask_worker", *place, "--no-nanny", "--nthreads", "1"]]
    # the workers import functions of the tests
    tests = Path(__file__).parents[1]
    paths = [str(tests), *sys.path, str(tests.parent)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in paths if path)}
    with (folder / "log").open("wb") as log:
        processes = [
            subprocess.Popen(
                [sys.executable, "-m", *command, "--scheduler-file", str(file)],
                env=environment, cwd=folder, stdout=log, stderr=log,
            )
            for command in commands
        ]  # fmt: skip
        try:
            with Client(scheduler_file=str(file), timeout=120) as client:
                client.wait_for_workers(2, timeout=120)
                address = client.scheduler.address
            yield address, processes[1:]
        finally:
            for process in reversed(processes):
                process.kill()
                process.wait()
