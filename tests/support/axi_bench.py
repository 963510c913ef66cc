"""Test bench of another make: cocotbext-axi drives and records every word, with random pauses on both streams."""

from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, with_timeout
from cocotbext.axi import AxiStreamBus, AxiStreamFrame, AxiStreamSink, AxiStreamSource

PAUSES = 0.3
"""Share of cycles in which each stream pauses."""

TIMEOUT_US = 10_000


def pauses(random: Random) -> Iterator[bool]:
    while True:
        yield random.random() < PAUSES


@cocotb.test()
async def play(dut: Any) -> None:
    """Play the packets of ``in.npz`` in the plus-argument ``folder``, and write those that come back to ``out.npz``."""
    folder = Path(str(cocotb.plusargs["folder"]))
    Clock(dut.clk, 10, unit="ns").start()
    source = AxiStreamSource(AxiStreamBus.from_prefix(dut, "s_axis"), dut.clk, dut.rst)
    sink = AxiStreamSink(AxiStreamBus.from_prefix(dut, "m_axis"), dut.clk, dut.rst)
    for seed, side in enumerate((source, sink)):
        side.log.setLevel("WARNING")
        side.set_pause_generator(pauses(Random(seed)))
    dut.rst.value = 1
    await ClockCycles(dut.clk, 4)
    dut.rst.value = 0
    with np.load(folder / "in.npz") as packets:
        for packet in packets.values():
            await source.send(AxiStreamFrame(packet.astype("<u4").tobytes()))
    received = []
    for _ in range(int(cocotb.plusargs["results"])):
        frame = await with_timeout(sink.recv(), TIMEOUT_US, "us")
        received.append(np.frombuffer(bytes(frame.tdata), "<u4"))
    np.savez(folder / "out.npz", *received)
