"""The way out of the accelerator: how fast membranes are read out, and how much may wait for it."""

from spikequant.golden.layer.spec import Spec

READOUT_CYCLES = 2
"""Cycles of the read-out for each membrane of a cluster, unless it goes by the ramp."""

MEMBRANES_WAITING = 512
"""Membranes that may wait at least: a block RAM's rows."""

MOST_PACKETS = 16
"""RESULT packets on their way at most: as many as a row of lookup tables holds."""


def waiting_rows(spec: Spec) -> int:
    """Rows for the membranes that wait: at least two phases' for a phase to come in while the one before leaves."""
    return max(MEMBRANES_WAITING, 2 << (spec.neurons - 1).bit_length())


def packets_waiting(spec: Spec) -> int:
    """RESULT packets whose membranes fit one cluster's queue: so many may be on their way."""
    return min(MOST_PACKETS, (waiting_rows(spec.cluster) - 1) // spec.cluster.neurons)
