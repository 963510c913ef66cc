"""The test bench: plays a job's packets into the accelerator and records what comes out."""

from collections.abc import Iterator
from pathlib import Path
from random import Random
from time import perf_counter
from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge, SimTimeoutError, with_timeout
from cocotb.utils import get_sim_time
from cocotbext.axi import AxiStreamBus, AxiStreamFrame, AxiStreamSink, AxiStreamSource

from spikequant.cosim.simulator.job import Job, Recording, write_progress
from spikequant.rtl.driver.packets import Words

CLOCK_PERIOD_NS = 10

IDLE_CYCLES = 200_000
"""Longer than any token takes: with no packet in or out for so long, the accelerator hangs."""


def stalls(random: Random, probability: float) -> Iterator[bool]:
    """An endless pattern of pauses, in runs, so that both long stalls and long bursts happen."""
    while True:
        paused = random.random() < probability
        for _ in range(random.choice((1, 1, 1, 2, 5, 20))):
            yield paused


class Bench:
    """The accelerator between an AXI4-Stream source and sink."""

    def __init__(self, dut: Any, *, stall_probability: float, seed: int) -> None:
        self._dut = dut
        self.source = AxiStreamSource(AxiStreamBus.from_prefix(dut, "s_axis"), dut.clk, dut.rst)
        self.sink = AxiStreamSink(AxiStreamBus.from_prefix(dut, "m_axis"), dut.clk, dut.rst)
        for side in (self.source, self.sink):
            side.log.setLevel("WARNING")
        if stall_probability:
            random = Random(seed)
            self.source.set_pause_generator(stalls(Random(random.random()), stall_probability))
            self.sink.set_pause_generator(stalls(Random(random.random()), stall_probability))
        Clock(dut.clk, CLOCK_PERIOD_NS, unit="ns").start()

    async def reset(self) -> None:
        """Hold reset for a few cycles."""
        self._dut.rst.value = 1
        for _ in range(4):
            await RisingEdge(self._dut.clk)
        self._dut.rst.value = 0
        await RisingEdge(self._dut.clk)

    async def send(self, packet: Words) -> None:
        """Queue a packet."""
        await self.source.send(AxiStreamFrame(packet.astype("<u4").tobytes()))

    async def receive(self, *, idle_cycles: int) -> Words:
        """Wait for a packet.

        Raises:
            SimTimeoutError: no packet began or ended on either stream for ``idle_cycles``.
        """
        while True:
            waiting = self.source.count()
            try:
                frame = await with_timeout(self.sink.recv(), idle_cycles * CLOCK_PERIOD_NS, "ns")
            except SimTimeoutError:
                if self.source.count() == waiting:
                    raise
            else:
                return np.frombuffer(bytes(frame.tdata), "<u4")


@cocotb.test()
async def play(dut: Any) -> None:
    """Send every packet of the job, and wait for as many results as it expects."""
    folder = Path(str(cocotb.plusargs["job"])).parent
    job = Job.load(folder)
    bench = Bench(dut, stall_probability=job.stall_probability, seed=job.seed)
    await bench.reset()
    began, began_ns = perf_counter(), get_sim_time("ns")
    for packet in job.packets:
        await bench.send(packet)
    # a stalled stream takes a few cycles a word
    idle_cycles = IDLE_CYCLES + 8 * max((len(packet) for packet in job.packets), default=0)
    received = []
    for count in range(job.results):
        received.append(await bench.receive(idle_cycles=idle_cycles))
        write_progress(folder, count + 1)
    cycles = round((get_sim_time("ns") - began_ns) / CLOCK_PERIOD_NS)
    Recording(packets=received, cycles=cycles, seconds=perf_counter() - began).save(folder)
