"""One progress bar for everything that takes more than two seconds."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

Item = TypeVar("Item")


def track(items: Sequence[Item], description: str) -> Iterator[Item]:
    """The items, with a bar and the time left on stderr while they are worked through."""
    from rich.console import Console  # noqa: PLC0415 - libraries that need no terminal should not load one
    from rich.progress import track as rich_track  # noqa: PLC0415

    yield from rich_track(items, description, console=Console(stderr=True), transient=True)
