"""The error that is not the user's."""


class ToggleError(Exception):
    """A netlist could not be simulated, or its results are not the golden model's: one line says which."""
