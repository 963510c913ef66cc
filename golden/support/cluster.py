"""Jobs on this machine's cores, or on a cluster that is there already."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from spikequant.golden.support.errors import InputError

if TYPE_CHECKING:
    from distributed import Client

Job = TypeVar("Job")
Result = TypeVar("Result")

CONNECT_SECONDS = 10

AHEAD = 3
"""Jobs handed out for each worker, so that none waits for the next; more would only lie in memory."""


@contextmanager
def cluster_client(scheduler: str | None, *, workers: int) -> "Iterator[Client]":
    """A client of a Dask scheduler: of the one named, or of one that starts here and ends with the block.

    Args:
        scheduler: its address, such as ``tcp://host:8786``; None starts one.
        workers: processes that start here, each of one thread.

    Raises:
        InputError: no scheduler at the address, or one without workers.
    """
    # slow to load, and --help needs none of it
    import dask  # noqa: PLC0415
    from distributed import Client, LocalCluster  # noqa: PLC0415

    # its warnings about workers that go are no news to a user whose jobs run elsewhere then
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
        except (OSError, TimeoutError, ValueError) as error:
            line = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise InputError(f"scheduler {scheduler}: {line}, expected a Dask scheduler with workers") from None
        with client:
            yield client


def run_jobs(
    client: "Client", work: Callable[[Job], Result], jobs: Iterable[tuple[str, Job]]
) -> Iterator[tuple[str, Result]]:
    """Results by name, as they are ready. A job whose worker dies runs again on another; none counts twice.

    Args:
        client: of the scheduler.
        work: runs in a worker's process, in one thread.
        jobs: each with a name of its own; taken from the iterator as workers are free for them.
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
