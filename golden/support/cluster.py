"""Jobs on this machine's cores, or on a running cluster."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, TypeVar

from spikequant.golden.support.errors import InputError, one_line

if TYPE_CHECKING:
    from distributed import Client

Job = TypeVar("Job")
Result = TypeVar("Result")

CONNECT_SECONDS = 10

AHEAD = 3
"""Jobs submitted for each worker in advance, so that none is idle; more would only use memory."""


@contextmanager
def cluster_client(scheduler: str | None, *, workers: int) -> "Iterator[Client]":
    """A client of a Dask scheduler: a running one, or one that starts here and ends with the block.

    Args:
        scheduler: its address, such as ``tcp://host:8786``; None starts one.
        workers: number of processes that start here, with one thread each.

    Raises:
        InputError: no scheduler at the address, one without workers, or one of another version.
    """
    # slow to load, and --help needs none of it
    import dask  # noqa: PLC0415
    from distributed import Client, LocalCluster  # noqa: PLC0415

    # no warnings about lost workers, whose jobs run again elsewhere
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
        own = version("distributed")
        try:
            client = Client(scheduler, timeout=CONNECT_SECONDS)
            client.wait_for_workers(1, timeout=CONNECT_SECONDS)
            versions: Any = client.get_versions()
            found = versions["scheduler"]["packages"]["distributed"]
        except Exception as error:
            # another version may fail in any way
            expected = f"a Dask scheduler with workers, of version {own}"
            raise InputError(f"scheduler {scheduler}: {one_line(error)}, expected {expected}") from None
        if found != own:
            client.close()
            raise InputError(f"scheduler {scheduler}: Dask of version {found}, expected {own}")
        with client:
            yield client


def run_jobs(
    client: "Client", work: Callable[[Job], Result], jobs: Iterable[tuple[str, Job]]
) -> Iterator[tuple[str, Result]]:
    """Results by name, in the order of completion. If a worker dies, its jobs run again on another; none counts twice.

    Args:
        client: from ``cluster_client``.
        work: runs in a worker's process, in one thread.
        jobs: each with a unique name; taken from the iterator when a worker is free.
    """
    from distributed import as_completed  # noqa: PLC0415

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
        result = future.result()
        hand_out(1)
        yield names.pop(future.key), result
