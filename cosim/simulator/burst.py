"""The bench inside the simulator that plays bursts: it waits for one, lets it run, and says how it went.

The words of a burst never pass through Python here: ``burst.v`` reads and writes them as files.
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
"""Files of ``burst.v``."""

CLOCK_PERIOD_NS = 10
"""Of ``burst.v``."""

WAKE_CYCLES = 50_000
"""Between two looks at a burst under way: some 0.1 s, in which Python is not run."""


@dataclass(frozen=True)
class Traffic:
    """How a burst is played.

    Attributes:
        pause_in, pause_out: share of cycles in which either stream pauses, 0..0.9.
        seed: of the pauses.
        cut: cycle in which the burst ends, whatever is on its way, so that the next one begins with a reset in the
            middle of it; 0 for none.
    """

    pause_in: float = 0.0
    pause_out: float = 0.0
    seed: int = 0
    cut: int = 0


CALM = Traffic()
"""No pause, and no end before its time."""


@dataclass(frozen=True)
class BurstRequest:
    """A burst to play, whose words are in its file.

    Attributes:
        results: RESULT packets to wait for.
        idle_cycles: with no word in or out for so long, the accelerator hangs.
        traffic: how it is played.
    """

    results: int
    idle_cycles: int
    traffic: Traffic = CALM


@dataclass(frozen=True)
class BurstState:
    """How a burst goes.

    Attributes:
        over: nothing more will come.
        hung: it ended without all of its results.
        results: packets that are in.
        cycles: clock cycles since the end of reset.
        seconds: wall time of the same span.
    """

    over: bool
    hung: bool
    results: int
    cycles: int
    seconds: float


def burst_bytes(packets: list[Words]) -> bytes:
    """Packets as ``burst.v`` reads them: for each, its number of words, and its words, all with the high byte first."""
    parts: list[Words] = []
    for packet in packets:
        parts += [np.array([len(packet)], np.uint32), packet]
    return np.concatenate([*parts, np.zeros(0, np.uint32)]).astype(">u4").tobytes()


def recorded_packets(recorded: bytes) -> list[Words]:
    """Packets as ``burst.v`` writes them; words behind the last end of a packet are left out."""
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
    """Play bursts until the other side hangs up, which also ends one under way."""
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
