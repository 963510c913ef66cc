"""What the benchmarks' command lines have in common."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from spikequant.golden.support import command_line

Checkpoint = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="quantized model to trace; quantizes SmolLM2 if none", show_default=False),
]
TracedTokens = Annotated[int, typer.Option("--tokens", metavar="T", min=1, help="real tokens to trace")]


def split_names(text: str) -> list[str]:
    """Names with commas between them, each once."""
    return list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))


@contextmanager
def stop_on_signals() -> Iterator[None]:
    """While a benchmark runs, being told to terminate is the same as a keyboard interrupt."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def run_command(command: Callable[..., Any], *, name: str) -> NoReturn:
    """Run a benchmark's command line, as ``spikequant.golden.support.command_line`` does; what a run has built stays.

    Args:
        command: a function with typer's annotations.
        name: of its module, below ``python -m``.
    """
    command_line.run_command(command, name=name)
