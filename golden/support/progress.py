"""One progress bar for everything that takes more than two seconds."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

Item = TypeVar("Item")


def track(items: Sequence[Item], description: str) -> Iterator[Item]:
    """The items, with a bar and the time left on stderr while they are worked through."""
    from rich.console import Console  # noqa: PLC0415 - libraries that need no terminal should not load one
    from rich.progress import track as rich_track  # noqa: PLC0415

    yield from rich_track(items, description, console=Console(stderr=True), transient=True)


def progress_bar(console: "Console | None" = None, *, transient: bool = True) -> "Progress":
    """A bar that says what is done now, how much of all is done, and how long it has taken.

    Args:
        console: where; stderr by default.
        transient: gone when it is over.
    """
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn  # noqa: PLC0415

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console or Console(stderr=True), transient=transient)
