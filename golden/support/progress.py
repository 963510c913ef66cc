"""Progress bars on stderr, for everything that takes more than two seconds."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

Item = TypeVar("Item")


def track(items: Sequence[Item], description: str) -> Iterator[Item]:
    """Iterate over items with a bar and the remaining time on stderr, if that is a terminal."""
    from rich.console import Console  # noqa: PLC0415 - slow to import
    from rich.progress import track as rich_track  # noqa: PLC0415

    console = Console(stderr=True)
    yield from rich_track(items, description, console=console, transient=True, disable=not console.is_terminal)


def progress_bar(console: "Console | None" = None, *, transient: bool = True) -> "Progress":
    """A bar with the current task, the completed and total number of steps, and the elapsed time.

    Args:
        console: output, stderr by default; a transient bar is only shown on a terminal.
        transient: whether the bar disappears at the end.
    """
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn  # noqa: PLC0415

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    console = console or Console(stderr=True)
    return Progress(*columns, console=console, transient=transient, disable=transient and not console.is_terminal)
