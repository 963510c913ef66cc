"""Test stands: blocks in Amaranth's simulator, the far end of a serial line, and one small real build."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest
from amaranth.hdl import ClockDomain, Module
from amaranth.lib.wiring import Component, In, Out
from amaranth.sim import Simulator

from spikequant.fpga.link.codec import END, decode_frame
from spikequant.fpga.virtual.board import build_virtual_board
from spikequant.golden.layer.spec import PRESETS, Spec

SMALLEST = """
preset = "tiny"
lanes = 2
depth = 16
weight_bits = 8
activation_bits = 2
salient_bits = 0
max_salient_shift = 0
membrane_bits = 24
membrane_slots = 1
theta_fraction_bits = 0
output_bits = 2
readout = "ramp"
"""
"""An accelerator that is built fast, as a spec file."""

DIVISOR = 8
CLOCK_PERIOD = 1e-6


class Echo(Component):
    """Packets come back with every word one larger; ``stuck`` takes nothing."""

    def __init__(self, *, stuck: bool = False) -> None:
        self._stuck = stuck
        self.spec = PRESETS["tiny"]
        names = ("tdata", "tvalid", "tlast")
        widths = (32, 1, 1)
        super().__init__(
            {
                **{f"s_axis_{name}": In(width) for name, width in zip(names, widths, strict=True)},
                **{f"m_axis_{name}": Out(width) for name, width in zip(names, widths, strict=True)},
                "s_axis_tready": Out(1),
                "m_axis_tready": In(1),
                "busy": Out(1),
            }
        )

    def elaborate(self, _platform: object) -> Module:
        m = Module()
        if not self._stuck:
            # a register, so that a reset loses something
            free = ~self.m_axis_tvalid | self.m_axis_tready
            m.d.comb += [self.s_axis_tready.eq(free), self.busy.eq(self.m_axis_tvalid)]
            with m.If(free):
                m.d.sync += [
                    self.m_axis_tdata.eq(self.s_axis_tdata + 1),
                    self.m_axis_tvalid.eq(self.s_axis_tvalid),
                    self.m_axis_tlast.eq(self.s_axis_tlast),
                ]
        return m


def simulate(component: Component, testbench: Callable[..., Any], *, background: Sequence[Any] = ()) -> None:
    """Run a testbench to its end, with endless ones in the background."""
    top = Module()
    top.domains.sync = ClockDomain()
    top.submodules.dut = component
    simulator = Simulator(top)
    simulator.add_clock(CLOCK_PERIOD)
    simulator.add_testbench(testbench)
    for other in background:
        simulator.add_testbench(other, background=True)
    simulator.run()


class SerialHost:
    """The far end of the line of a component with ``rx`` and ``tx``; keeps all bytes and frames that arrive.

    It goes by time and not by the component's clock, as that is interrupted by resets.
    """

    def __init__(self, component: Any, *, divisor: int = DIVISOR) -> None:
        self._component = component
        self._bit = divisor * CLOCK_PERIOD
        self.bytes: list[int] = []
        self.frames: list[list[int] | None] = []

    async def idle(self, ctx: Any, cycles: int) -> None:
        await ctx.delay(cycles * CLOCK_PERIOD)

    async def send(self, ctx: Any, data: bytes) -> None:
        for byte in data:
            for bit in (0, *((byte >> place) & 1 for place in range(8)), 1):
                ctx.set(self._component.rx, bit)
                await ctx.delay(self._bit)

    async def listen(self, ctx: Any) -> None:
        tx = self._component.tx
        body: list[int] = []
        while True:
            await ctx.negedge(tx)
            await ctx.delay(self._bit / 2)
            byte = 0
            for place in range(8):
                await ctx.delay(self._bit)
                byte |= ctx.get(tx) << place
            await ctx.delay(self._bit)
            assert ctx.get(tx) == 1, "no stop bit"
            self.bytes.append(byte)
            if byte != END:
                body.append(byte)
            elif body:
                self.frames.append(decode_frame(bytes(body)))
                body = []

    @property
    def packets(self) -> list[list[int]]:
        return [frame for frame in self.frames if frame is not None]

    async def wait_for(self, ctx: Any, packets: int, *, limit: int = 200_000) -> None:
        for _ in range(limit // 100):
            if len(self.packets) >= packets:
                return
            await self.idle(ctx, 100)
        raise AssertionError(f"{len(self.packets)} of {packets} packets after {limit} cycles: {self.frames}")


def random_packets(random: Random, *, packets: int, words: int) -> list[list[int]]:
    """Packets in which the special bytes of a frame are common."""
    special = [0xC0C0C0C0, 0xDBDBDBDB, 0xDDDCDBC0, 0, 2**32 - 1]
    return [
        [random.choice([random.getrandbits(32), *special]) for _ in range(random.randint(1, words))]
        for _ in range(packets)
    ]


@pytest.fixture(name="simulate")
def _simulate() -> Callable[..., None]:
    return simulate


@pytest.fixture(name="serial_host")
def _serial_host() -> type[SerialHost]:
    return SerialHost


@pytest.fixture(scope="session")
def echo_class() -> type[Echo]:
    return Echo


@pytest.fixture(name="random_packets")
def _random_packets() -> Callable[..., list[list[int]]]:
    return random_packets


@pytest.fixture(scope="session")
def build_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache of builds for one run of the tests."""
    return tmp_path_factory.mktemp("builds")


@pytest.fixture(scope="session")
def smallest_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A spec file of an accelerator that is built fast."""
    path = tmp_path_factory.mktemp("specs") / "smallest.toml"
    path.write_text(SMALLEST, encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def small() -> Spec:
    """The spec of the virtual board, so small that all of a layer's tiling is needed."""
    return Spec(neurons=8, lanes=2, depth=16, membrane_slots=3)


@pytest.fixture(scope="session")
def board_program(build_cache: Path, small: Spec) -> Path:
    """The program of a virtual board."""
    return build_virtual_board(small, cache=build_cache)
