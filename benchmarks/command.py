"""What the benchmarks' command lines have in common."""

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import typer

from benchmarks.errors import ToggleError
from golden.errors import InputError

FAILED = 1
BAD_INPUT = 2
INTERRUPTED = 130


def shape_names(text: str) -> list[str]:
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


def run_command(command: Callable[..., Any], *, name: str) -> None:
    """Run a command line; a failed check is one line on stderr and exit status 1, bad input the same with 2.

    Args:
        command: a function with typer's annotations.
        name: of its module, below ``python -m``.
    """
    from typer.exceptions import Abort, TyperException

    from fpga.toolchain import ToolError

    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(command)
    try:
        status = app(prog_name=f"python -m {name}", standalone_mode=False)
        sys.exit(status if isinstance(status, int) else 0)
    except InputError as error:
        sys.stderr.write(f"{name}: {error}\n")
        sys.exit(BAD_INPUT)
    except TyperException as error:
        sys.stderr.write(f"{name}: {error.format_message()}\n")
        sys.exit(BAD_INPUT)
    except (ToggleError, ToolError) as error:
        sys.stderr.write(f"{name}: {error}\n")
        sys.exit(FAILED)
    except (Abort, KeyboardInterrupt):
        sys.stderr.write(f"{name}: interrupted; another run goes on from here\n")
        sys.exit(INTERRUPTED)
