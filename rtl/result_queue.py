"""Read-out rate, and depths of the result queues."""

from spikequant.golden.layer.spec import Spec

READOUT_CYCLES = 2
"""Cycles for each membrane of a cluster, unless the read-out is a ramp."""

MEMBRANES_WAITING = 512
"""Fewest membranes that a cluster's queue holds: the rows of a block RAM."""

MOST_PACKETS = 16
"""Most RESULT packets whose headers are queued: the depth of a row of lookup tables."""


def waiting_rows(spec: Spec) -> int:
    """Depth of the queue of membranes: at least two phases, so that one comes in while the previous one leaves."""
    return max(MEMBRANES_WAITING, 2 << (spec.neurons - 1).bit_length())


def packets_waiting(spec: Spec) -> int:
    """Most RESULT packets in flight: those whose membranes fit one cluster's queue."""
    return min(MOST_PACKETS, (waiting_rows(spec.cluster) - 1) // spec.cluster.neurons)
