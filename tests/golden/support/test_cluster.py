"""Jobs on a scheduler and workers that are processes of their own, one of which is killed in the middle."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest

import spikequant.golden.support.cluster
from spikequant.golden.support.cluster import cluster_client, run_jobs
from spikequant.golden.support.errors import InputError


def square(job: tuple[str, int]) -> int:
    folder, number = job
    with (Path(folder) / str(number)).open("a") as log:
        log.write(f"{os.getpid()}\n")
    time.sleep(0.2)
    return number * number


def refuse(job: int) -> int:
    if job == 3:
        raise InputError("job 3 is not wanted")
    return job


def test_on_this_machine() -> None:
    with cluster_client(None, workers=1) as client:
        done = dict(run_jobs(client, abs, ((str(number), -number) for number in range(20))))
    assert done == {str(number): number for number in range(20)}


def test_jobs_are_taken_as_workers_are_free(scheduler: tuple[str, list[subprocess.Popen[bytes]]]) -> None:
    taken: list[int] = []

    def jobs() -> Iterator[tuple[str, int]]:
        for number in range(30):
            taken.append(number)
            yield str(number), number

    with cluster_client(scheduler[0], workers=1) as client:
        results = run_jobs(client, abs, jobs())
        next(results)
        assert len(taken) < 10
        assert len(list(results)) == 29


def test_the_error_of_a_job_comes_through(scheduler: tuple[str, list[subprocess.Popen[bytes]]]) -> None:
    with cluster_client(scheduler[0], workers=1) as client, pytest.raises(InputError, match="job 3 is not wanted"):
        list(run_jobs(client, refuse, ((str(number), number) for number in range(6))))


def test_a_killed_worker_loses_nothing_and_doubles_nothing(
    scheduler: tuple[str, list[subprocess.Popen[bytes]]], tmp_path: Path
) -> None:
    address, workers = scheduler
    done: list[tuple[str, int]] = []
    with cluster_client(address, workers=1) as client:
        for name, result in run_jobs(client, square, ((str(n), (str(tmp_path), n)) for n in range(16))):
            done.append((name, result))
            if len(done) == 4:
                workers[0].send_signal(signal.SIGKILL)
    assert sorted(done) == sorted((str(number), number * number) for number in range(16))
    ran = {int(line) for path in tmp_path.iterdir() for line in path.read_text().split()}
    assert len(ran) == 2


def test_a_scheduler_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spikequant.golden.support.cluster, "CONNECT_SECONDS", 1)
    refusal = r"scheduler tcp://127\.0\.0\.1:9: .*, expected a Dask scheduler with workers"
    with pytest.raises(InputError, match=refusal), cluster_client("tcp://127.0.0.1:9", workers=1):
        pass


def test_a_scheduler_of_another_version_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    class OtherClient:
        def __init__(self, *_arguments: object, **_options: object) -> None:
            raise TypeError("identity() got an unexpected keyword argument 'n_workers'\nremote traceback")

    monkeypatch.setattr("distributed.Client", OtherClient)
    message = r"scheduler tcp://x: identity\(\) got .* 'n_workers', expected a Dask scheduler with workers"
    with pytest.raises(InputError, match=message) as caught, cluster_client("tcp://x", workers=1):
        pass
    assert "\n" not in str(caught.value)


def test_a_worker_of_another_version_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    versions = {
        "scheduler": {"packages": {"distributed": version("distributed")}},
        "workers": {"tcp://y": {"packages": {"distributed": "1.2.3"}}},
    }

    class OtherWorker:
        def __init__(self, *_arguments: object, **_options: object) -> None: ...
        def wait_for_workers(self, *_arguments: object, **_options: object) -> None: ...
        def get_versions(self) -> dict[str, object]:
            return versions

        def __enter__(self) -> None: ...
        def __exit__(self, *_: object) -> None: ...

    monkeypatch.setattr("distributed.Client", OtherWorker)
    with pytest.raises(InputError, match=r"tcp://y: Dask 1\.2\.3, expected version"), cluster_client("x", workers=1):
        pass
