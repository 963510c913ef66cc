"""How a command line ends: an exit status, and one line on stderr if something went wrong."""

import errno
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, Literal, NoReturn

import typer
from typer.exceptions import Abort, TyperException

from spikequant.golden.support.errors import SpikeQuantError
from spikequant.golden.support.store import ensure_cache_folder

FAILED = 1
"""Exit status if a check or a tool failed."""

BAD_INPUT = 2

INTERRUPTED = 130

TERMINATED = 143

MARKUP: Literal["markdown"] = "markdown"
"""Markup of help texts: paragraphs are wrapped to the width of the terminal."""


class StoppedError(SpikeQuantError):
    """A keyboard interrupt: one line that says which results are kept."""

    exit_status: ClassVar[int] = INTERRUPTED


@contextmanager
def resumable(kept: str) -> Iterator[None]:
    """Decorate a command that resumes an interrupted run when it is started again.

    Args:
        kept: which results are kept and where, such as ``finished seeds are kept in --out``.

    Raises:
        StoppedError: a keyboard interrupt.
    """
    try:
        yield
    except KeyboardInterrupt:
        raise StoppedError(f"interrupted; {kept}, and the same command resumes from there") from None


def run_app(app: typer.Typer, *, name: str, **options: Any) -> NoReturn:
    """Run a command line and end the process with its status.

    The status is 0, 1 for a failure, 2 for bad input, 130 for an interrupt, 143 for SIGTERM, which unwinds the stack
    like an exception, so that temporary folders are removed and child processes end.

    Args:
        app: the commands.
        name: of the program, printed first in each line.
        options: for the call of ``app``.
    """
    ensure_cache_folder()
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        status = app(standalone_mode=False, **options)
    except TyperException as error:
        _end(f"{name}: {error.format_message()}", BAD_INPUT)
    except SpikeQuantError as error:
        _end(f"{name}: {error}", error.exit_status)
    except OSError as error:
        if error.filename is not None:
            _end(f"{name}: {error.filename}: {error.strerror}", BAD_INPUT)
        if error.errno != errno.ENOSPC:
            raise
        _end(f"{name}: {error.strerror}", FAILED)
    except (Abort, KeyboardInterrupt):
        status = INTERRUPTED
    finally:
        signal.signal(signal.SIGTERM, before)
    # typer turns an interrupt into a status without a message
    if status == INTERRUPTED:
        _end(f"{name}: interrupted", INTERRUPTED)
    sys.exit(status if isinstance(status, int) else 0)


def _terminate(_number: int, _frame: object) -> NoReturn:
    # a second signal must not cut the cleanup short
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(TERMINATED)


def _end(line: str, status: int) -> NoReturn:
    sys.stderr.write(line + "\n")
    sys.exit(status)
