from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from amaranth.hdl import Module
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out

from spikequant.fpga.link.protocol import MIN_BAUD
from spikequant.fpga.link.uart import MAX_DIVISOR, MIN_DIVISOR, UartReceiver, UartTransmitter, baud_divisor
from spikequant.golden.support.errors import InputError

Simulate = Callable[..., None]


def frame_bits(byte: int) -> list[int]:
    return [0, *((byte >> place) & 1 for place in range(8)), 1]


def receive(simulate: Simulate, divisor: int, bits: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Bytes, each with its ``broken``, from a line given as levels with their cycles."""
    receiver = UartReceiver(divisor)
    received = []

    async def line(ctx: Any) -> None:
        for level, cycles in bits:
            ctx.set(receiver.rx, level)
            for _ in range(cycles):
                _, _, valid, payload = await ctx.tick().sample(receiver.o.valid, receiver.o.payload)
                if valid:
                    received.append((payload.data, payload.broken))

    simulate(receiver, line)
    return received


def transmit(simulate: Simulate, divisor: int, data: bytes, *, cycles: int) -> list[int]:
    """The line, cycle by cycle from the reset on, while bytes are offered as fast as they are taken."""
    transmitter = UartTransmitter(divisor)
    line = []

    async def offer(ctx: Any) -> None:
        left = list(data)
        for _ in range(cycles):
            ctx.set(transmitter.i.valid, bool(left))
            ctx.set(transmitter.i.payload, left[0] if left else 0)
            _, _, level, ready = await ctx.tick().sample(transmitter.tx, transmitter.i.ready)
            line.append(level)
            if left and ready:
                left.pop(0)
        assert not left

    simulate(transmitter, offer)
    return line


@pytest.mark.parametrize("divisor", [MIN_DIVISOR, 13])
def test_transmitter_sends_one_start_eight_data_one_stop_bit(simulate: Simulate, divisor: int) -> None:
    data = bytes([0x00, 0xFF, 0xA5, 0x01, 0x80])
    line = transmit(simulate, divisor, data, cycles=divisor * 10 * (len(data) + 2))
    # the time of a byte is idle after the reset; a cycle goes by where each byte is taken
    assert line[: 10 * divisor] == [1] * 10 * divisor
    expected = [1] * 10 * divisor
    for byte in data:
        expected += [1] + [bit for bit in frame_bits(byte) for _ in range(divisor)]
    assert line == expected + [1] * (len(line) - len(expected))


@pytest.mark.parametrize(("divisor", "far_divisor"), [(8, 8), (13, 13), (100, 98), (100, 102)])
def test_receiver_takes_bytes_from_a_slightly_slower_or_faster_far_end(
    simulate: Simulate, divisor: int, far_divisor: int
) -> None:
    random = Random(divisor * far_divisor)
    data = [0x00, 0xFF, *(random.randrange(256) for _ in range(6))]
    bits = [(1, 20)]
    for byte in data:
        bits += [(bit, far_divisor) for bit in frame_bits(byte)]
        bits.append((1, random.choice([0, 0, 3, 50])))
    bits.append((1, 20))
    assert receive(simulate, divisor, bits) == [(byte, 0) for byte in data]


def test_receiver_ignores_a_glitch_and_reports_a_held_line_once(simulate: Simulate) -> None:
    byte = [(bit, 16) for bit in frame_bits(0x5A)]
    bits = [(1, 40), (0, 4), (1, 40), *byte, (0, 16 * 35), (1, 40), *byte, (1, 20)]
    assert receive(simulate, 16, bits) == [(0x5A, 0), (0x00, 1), (0x5A, 0)]


class Line(Component):
    """A transmitter and a receiver on one wire."""

    def __init__(self, divisor: int) -> None:
        self.transmitter, self.receiver = UartTransmitter(divisor), UartReceiver(divisor)
        super().__init__({"i": In(stream.Signature(8)), "valid": Out(1), "data": Out(8), "broken": Out(1)})

    def elaborate(self, _platform: object) -> Module:
        m = Module()
        m.submodules += [self.transmitter, self.receiver]
        m.d.comb += [
            self.transmitter.i.payload.eq(self.i.payload),
            self.transmitter.i.valid.eq(self.i.valid),
            self.i.ready.eq(self.transmitter.i.ready),
            self.receiver.rx.eq(self.transmitter.tx),
            self.valid.eq(self.receiver.o.valid),
            self.data.eq(self.receiver.o.payload.data),
            self.broken.eq(self.receiver.o.payload.broken),
        ]
        return m


def test_every_byte_crosses_the_line(simulate: Simulate) -> None:
    line = Line(MIN_DIVISOR)
    data = list(range(256))
    Random(1).shuffle(data)
    received = []

    async def offer(ctx: Any) -> None:
        for byte in data:
            ctx.set(line.i.payload, byte)
            ctx.set(line.i.valid, 1)
            await ctx.tick().until(line.i.ready)
        ctx.set(line.i.valid, 0)
        await ctx.tick().repeat(12 * MIN_DIVISOR)

    async def take(ctx: Any) -> None:
        async for _, _, valid, byte, broken in ctx.tick().sample(line.valid, line.data, line.broken):
            if valid:
                assert not broken
                received.append(byte)

    simulate(line, offer, background=[take])
    assert received == data


def test_divisor_of_a_baud_rate() -> None:
    assert baud_divisor(100e6, 1_000_000) == 100
    assert baud_divisor(100e6, 3_000_000) == 33
    assert baud_divisor(50e6, 115_200) == 434


@pytest.mark.parametrize("baud", [0, -1, 1, 30_000_000, 100_000_000_000, 9_500_000])
def test_a_baud_rate_that_the_clock_cannot_make_is_refused(baud: int) -> None:
    with pytest.raises(InputError, match=r"^baud: .*100 MHz") as caught:
        baud_divisor(100e6, baud)
    assert "\n" not in str(caught.value)
    assert f"expected {int(100e6 / MAX_DIVISOR) + 1}..12500000" in str(caught.value)
    # the host gives up on lines that are slower, at any clock
    with pytest.raises(InputError, match=rf"^baud: 1199 .*expected {MIN_BAUD}\.\."):
        baud_divisor(25e6, 1199)
    assert baud_divisor(25e6, MIN_BAUD) == 20833
