"""Errors of this project, each with the exit status that the command line ends with."""

from typing import ClassVar


class SpikeQuantError(Exception):
    """A check or a tool failed: one line that says what failed and where.

    The command line prints the line and exits with ``exit_status``.
    """

    exit_status: ClassVar[int] = 1


class InputError(SpikeQuantError):
    """Bad input: one line that says what is wrong, where, and what was expected."""

    exit_status: ClassVar[int] = 2
