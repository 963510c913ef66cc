"""The error that is not the user's."""

from spikequant.golden.support.errors import SpikeQuantError


class ToggleError(SpikeQuantError):
    """A netlist could not be simulated, or its results are not the golden model's: one line says which."""
