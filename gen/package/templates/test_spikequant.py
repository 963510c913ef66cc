"""Test bench for cocotb 2: sends a layer's packets to the accelerator, and compares every word of its results."""

from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge

FOLDER = Path(__file__).parent
LAST, ANY, OUTPUT = 1, 2, 4
"""Marks of a word: the last one of its packet, not compared, completes an output."""

Vectors = list[tuple[int, int]]


def read_vectors(path: Path) -> Vectors:
    """Marks and words of a file: a hexadecimal digit of marks and eight of the word in each line."""
    return [(int(line[0], 16), int(line[1:], 16)) for line in path.read_text().split()]


async def drive(dut: Any, words: Vectors, pauses: Callable[[], bool]) -> None:
    """Send words on ``s_axis``; each is held until it is taken."""
    for mark, word in words:
        while pauses():
            await RisingEdge(dut.clk)
        dut.s_axis_tvalid.value = 1
        dut.s_axis_tdata.value = word
        dut.s_axis_tlast.value = mark & LAST
        await RisingEdge(dut.clk)
        while not dut.s_axis_tready.value:
            await RisingEdge(dut.clk)
        dut.s_axis_tvalid.value = 0


class Scoreboard:
    """Comparison of the words on ``m_axis`` with those expected.

    Attributes:
        outputs: outputs compared.
        wrong: words that differ.
    """

    def __init__(self, dut: Any, expected: Vectors) -> None:
        self._dut = dut
        self._expected = expected
        self.outputs = 0
        self.wrong = 0

    async def receive(self, pauses: Callable[[], bool]) -> None:
        """Take and compare all words."""
        for place, (mark, word) in enumerate(self._expected):
            taken = False
            while not taken:
                ready = not pauses()
                self._dut.m_axis_tready.value = ready
                await RisingEdge(self._dut.clk)
                taken = ready and bool(self._dut.m_axis_tvalid.value)
            self._compare(place, mark, word)
        self._dut.m_axis_tready.value = 0

    def _compare(self, place: int, mark: int, word: int) -> None:
        data, last = self._dut.m_axis_tdata.value, self._dut.m_axis_tlast.value
        # strings, because a 4-state simulator may deliver X
        expected = (str(mark & LAST), None if mark & ANY else f"{word:032b}")
        if (str(last), None if mark & ANY else str(data)) != expected:
            self.wrong += 1
            self._dut._log.error(f"word {place}: {data}, last {last}, expected {word:032b}, last {mark & LAST}")
        self.outputs += mark & (OUTPUT | ANY) == OUTPUT


@cocotb.test(timeout_time=100, timeout_unit="ms")
@cocotb.parametrize(pauses=[0.0, 0.4])
async def layer(dut: Any, pauses: float) -> None:
    """Run the layer while both streams pause in a share of the cycles."""
    random = Random(1)
    Clock(dut.clk, 10, unit="ns").start()
    dut.s_axis_tvalid.value = 0
    dut.m_axis_tready.value = 0
    dut.rst.value = 1
    await ClockCycles(dut.clk, 4)
    dut.rst.value = 0
    scoreboard = Scoreboard(dut, read_vectors(FOLDER / "results.hex"))
    cocotb.start_soon(drive(dut, read_vectors(FOLDER / "packets.hex"), lambda: random.random() < pauses))
    await scoreboard.receive(lambda: random.random() < pauses)
    dut._log.info(f"{scoreboard.outputs} outputs compared, wrong words: {scoreboard.wrong}")
    assert not scoreboard.wrong, f"wrong words: {scoreboard.wrong}"
