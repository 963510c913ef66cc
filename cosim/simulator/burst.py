"""Bursts: packets that ``burst.v`` plays and records, as requests, states and files."""

from dataclasses import dataclass

import numpy as np

from spikequant.rtl.driver.packets import Words

BURST_IN, BURST_OUT = "burst.in", "burst.out"
"""Names of the files that ``burst.v`` reads and writes."""

CLOCK_PERIOD_NS = 10
"""Clock period of ``burst.v``."""


@dataclass(frozen=True)
class Traffic:
    """Pauses and early end of a burst.

    Attributes:
        pause_in, pause_out: share of cycles in which the input or the output stream pauses, 0 to 0.99.
        seed: seed of the pauses.
        cut: clock cycle in which the burst ends, even if words are in flight: the reset of the next burst then comes
            in the middle of this one. 0 lets it finish.
    """

    pause_in: float = 0.0
    pause_out: float = 0.0
    seed: int = 0
    cut: int = 0


CALM = Traffic()
"""No pauses and no early end."""


@dataclass(frozen=True)
class BurstRequest:
    """Request for a burst, whose words are in ``BURST_IN``.

    Attributes:
        results: RESULT packets to wait for.
        idle_cycles: clock cycles without a word in or out after which the accelerator counts as hung.
        traffic: pauses and early end.
    """

    results: int
    idle_cycles: int
    traffic: Traffic


@dataclass(frozen=True)
class BurstState:
    """State of a burst.

    Attributes:
        over: whether it has ended.
        hung: whether it ended without all of its results.
        results: packets received so far.
        cycles: clock cycles since the end of reset.
        seconds: wall time of the same span.
    """

    over: bool
    hung: bool
    results: int
    cycles: int
    seconds: float


def burst_bytes(packets: list[Words]) -> bytes:
    """Encode packets for ``burst.v``: the number of words and the words of each, big-endian."""
    parts: list[Words] = []
    for packet in packets:
        parts += [np.array([len(packet)], np.uint32), packet]
    return np.concatenate([*parts, np.zeros(0, np.uint32)]).astype(">u4").tobytes()


def recorded_packets(recorded: bytes) -> list[Words]:
    """Decode packets that ``burst.v`` wrote; drop the words of an incomplete last packet."""
    pairs = np.frombuffer(recorded, "<u4").reshape(-1, 2)
    ends = np.flatnonzero(pairs[:, 0]) + 1
    return np.split(pairs[:, 1], ends)[:-1] if len(ends) else []
