"""Prompts of a chat: given ones, lines of a file or pipe, or lines that are typed."""

import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from threading import Event
from types import FrameType

from spikequant.golden.support.errors import InputError

PROMPT = "> "


def prompts(given: Sequence[str]) -> Iterator[str]:
    """Prompts that were given, else the lines of stdin that are not blank.

    On a terminal, an interrupt drops the line that is typed, and the end of input ends the prompts.

    Raises:
        InputError: there is no prompt, and stdin is no terminal.
    """
    if given:
        yield from given
    elif sys.stdin.isatty():
        yield from _typed()
    else:
        line = ""
        for line in filter(str.strip, sys.stdin):
            yield line.rstrip("\r\n")
        if not line:
            raise InputError("chat: no prompts, expected --prompt or lines on stdin")


def _typed() -> Iterator[str]:
    with suppress(ImportError):
        import readline  # noqa: F401, PLC0415 - gives input() its line editing, where the system has it
    while True:
        try:
            line = input(PROMPT)
        except KeyboardInterrupt:
            print()
            continue
        except EOFError:
            print()
            return
        if line.strip():
            yield line


@contextmanager
def stop_on_interrupt() -> Iterator[Callable[[], bool]]:
    """A block in which the first interrupt from the keyboard is only noted; yields whether there was one.

    What runs on a board is not cut short, which would end the session with it. A second interrupt is an error as usual.
    """
    noted = Event()

    def note(number: int, frame: FrameType | None) -> None:
        if noted.is_set():
            signal.default_int_handler(number, frame)
        noted.set()

    before = signal.signal(signal.SIGINT, note)
    try:
        yield noted.is_set
    finally:
        signal.signal(signal.SIGINT, before)
