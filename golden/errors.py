"""Errors that a user can mend."""


class InputError(Exception):
    """Bad input: one line that says what is wrong, where, and what was expected.

    The command line prints the line and exits with status 2.
    """
