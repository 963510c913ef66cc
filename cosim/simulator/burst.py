"""Test bench inside the simulator: receives requests for bursts, runs them, and reports their state.

The words of a burst do not pass through Python: ``burst.v`` reads and writes files.
"""

from dataclasses import dataclass
from multiprocessing.connection import Client
from time import perf_counter
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import FallingEdge, First, RisingEdge, Timer

from spikequant.rtl.driver.packets import Words

BURST_IN, BURST_OUT = "burst.in", "burst.out"
"""Names of the files that ``burst.v`` reads and writes."""

CLOCK_PERIOD_NS = 10
"""Clock period of ``burst.v``."""

WAKE_CYCLES = 50_000
"""Clock cycles between two reports on a running burst: about 0.1 s in which no Python runs."""


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


def _state(dut: Any, began: float) -> BurstState:
    return BurstState(
        over=bool(dut.done.value),
        hung=bool(dut.hung.value),
        results=int(dut.received.value),
        cycles=int(dut.cycles.value),
        seconds=perf_counter() - began,
    )


@cocotb.test()
async def serve(dut: Any) -> None:
    """Play bursts until the peer closes the connection, which also ends a running burst."""
    with Client(str(cocotb.plusargs["socket"]), family="AF_UNIX") as connection:
        while True:
            try:
                request: BurstRequest = connection.recv()
            except EOFError:
                return
            dut.results.value = request.results
            dut.idle_cycles.value = request.idle_cycles
            dut.pause_in.value = round(request.traffic.pause_in * 256)
            dut.pause_out.value = round(request.traffic.pause_out * 256)
            # the pauses' state must not be 0
            dut.seed.value = request.traffic.seed % (2**32 - 1) + 1
            dut.cut.value = request.traffic.cut
            began = perf_counter()
            dut.go.value = 1
            done = RisingEdge(dut.done)
            while True:
                await First(done, Timer(WAKE_CYCLES * CLOCK_PERIOD_NS, "ns"))
                state = _state(dut, began)
                try:
                    connection.send(state)
                except BrokenPipeError:
                    return
                if state.over:
                    break
            dut.go.value = 0
            await FallingEdge(dut.done)
