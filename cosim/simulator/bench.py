"""Test bench inside the simulator: receives requests for bursts, runs them, and reports their state.

The words of a burst do not pass through Python: ``burst.v`` reads and writes files.
"""

from multiprocessing.connection import Client
from time import perf_counter
from typing import Any

import cocotb
from cocotb.triggers import FallingEdge, First, RisingEdge, Timer

from spikequant.cosim.simulator.burst import CLOCK_PERIOD_NS, BurstRequest, BurstState

WAKE_CYCLES = 50_000
"""Clock cycles between two reports on a running burst: about 0.1 s in which no Python runs."""


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
