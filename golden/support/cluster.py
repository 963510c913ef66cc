"""Jobs on this machine's cores, or on a running Dask cluster."""

from asyncio import CancelledError
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, TypeVar

from spikequant.golden.support.errors import InputError, SpikeQuantError, one_line

if TYPE_CHECKING:
    from distributed import Client

Job = TypeVar("Job")
Result = TypeVar("Result")

CONNECT_SECONDS = 10

AHEAD = 3
"""Jobs submitted per worker, so that none idles; more would only take memory."""


class ClusterError(SpikeQuantError):
    """The cluster failed during a run: one line."""


@contextmanager
def cluster_client(scheduler: str | None, *, workers: int) -> "Iterator[Client]":
    """Connect to a Dask scheduler: a running one, or one that is started here and ends with the block.

    Args:
        scheduler: its address, such as ``tcp://host:8786``; None starts one.
        workers: single-threaded worker processes to start with it.

    Raises:
        InputError: no scheduler at the address, one without workers, or another version of Dask.
    """
    # slow to load, and --help does not need it
    import dask  # noqa: PLC0415
    from distributed import Client, LocalCluster  # noqa: PLC0415

    # jobs of lost workers run elsewhere, so warnings about lost workers would only confuse
    with dask.config.set({"distributed.comm.timeouts.connect": CONNECT_SECONDS, "distributed.logging.distributed": 50}):
        if scheduler is None:
            with (
                LocalCluster(
                    n_workers=workers, threads_per_worker=1, dashboard_address="127.0.0.1:0", silence_logs=50
                ) as cluster,
                Client(cluster) as client,
            ):
                yield client
            return
        try:
            client = Client(scheduler, timeout=CONNECT_SECONDS)
            client.wait_for_workers(1, timeout=CONNECT_SECONDS)
            versions: Any = client.get_versions()
        # a scheduler of another version raises anything
        except Exception as error:
            expected = f"a Dask scheduler with workers, of version {_version()}"
            raise InputError(f"scheduler {scheduler}: {one_line(error)}, expected {expected}") from None
        with client:
            for address, found in {scheduler: versions["scheduler"], **versions["workers"]}.items():
                if found["packages"]["distributed"] != _version():
                    raise InputError(
                        f"{address}: Dask {found['packages']['distributed']}, expected version {_version()} as here"
                    )
            yield client


def _version() -> str:
    return version("distributed")


def run_jobs(
    client: "Client", work: Callable[[Job], Result], jobs: Iterable[tuple[str, Job]]
) -> Iterator[tuple[str, Result]]:
    """Run jobs on the workers, and yield their results by name as they finish.

    A job whose worker dies runs again on another worker; its result is yielded once.

    Args:
        client: of the scheduler.
        work: runs in a worker's process, in a single thread.
        jobs: with unique names; taken from the iterator when workers are free.

    Raises:
        ClusterError: the cluster lost its scheduler, or a job repeatedly lost its worker.
    """
    from distributed import KilledWorker, as_completed  # noqa: PLC0415
    from distributed.comm.core import CommClosedError  # noqa: PLC0415

    todo = iter(jobs)
    names: dict[Any, str] = {}
    ready = as_completed()

    def hand_out(count: int) -> None:
        for _ in range(count):
            try:
                name, job = next(todo)
            except StopIteration:
                return
            future = client.submit(work, job, pure=False)
            names[future.key] = name
            ready.add(future)

    hand_out(AHEAD * max(1, len(client.scheduler_info(n_workers=-1)["workers"])))
    for future in ready:
        name = names.pop(future.key)
        try:
            result = future.result()
        except KilledWorker:
            raise ClusterError(f"{name}: several workers died in this job") from None
        except (CancelledError, CommClosedError):
            raise ClusterError(f"{name}: the connection to the cluster was lost") from None
        except RuntimeError as error:
            if "deserialization" not in str(error):
                raise
            raise ClusterError(
                f"{name}: the cluster cannot load it, expected the same packages there as here"
            ) from None
        hand_out(1)
        yield name, result
