"""Errors of this project, each with its exit status on the command line."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar


class SpikeQuantError(Exception):
    """A failed check or tool: one line on what failed and where.

    The command line prints the line and exits with ``exit_status``.
    """

    exit_status: ClassVar[int] = 1


class InputError(SpikeQuantError):
    """Bad input: one line on what is wrong, where, and what was expected."""

    exit_status: ClassVar[int] = 2


@contextmanager
def named_failures(source: str) -> Iterator[None]:
    """Put ``source`` in front of failures; bad input names its own.

    Args:
        source: what was running, such as a layer of a model.
    """
    try:
        yield
    except InputError:
        raise
    except SpikeQuantError as error:
        error.args = (f"{source}: {error}", *error.args[1:])
        raise


def one_line(error: BaseException) -> str:
    """The first line of an error's text, or its type if it has none."""
    lines = str(error).strip().splitlines()
    return lines[0].strip() if lines else type(error).__name__
