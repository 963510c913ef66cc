from collections.abc import Callable
from random import Random
from typing import Any

from spikequant.fpga.build.top import SerialAccelerator
from spikequant.fpga.link.codec import encode_frame
from spikequant.fpga.link.protocol import Control, Hello, Kind, identify
from spikequant.rtl.driver.layouts import pack, unpack

DIVISOR = 8
SESSION = 0x1234


def frame(kind: int, payload: list[int] | None = None, **control: int) -> bytes:
    return encode_frame([*(payload or []), *pack(Control, kind=kind, session=SESSION, size=7, **control)])


def words_of(frames: list[list[int] | None]) -> list[int]:
    """The words of the accelerator, in the order of their positions."""
    received: list[int] = []
    for words in frames:
        assert words is not None
        control = unpack(Control, words[-2:])
        if control["kind"] == Kind.DATA and control["sequence"] == len(received):
            received += words[:-2]
    return received


def test_packets_go_through_and_come_back(
    simulate: Callable[..., None], serial_host: Any, echo_class: Any, random_packets: Any
) -> None:
    core = echo_class()
    dut = SerialAccelerator(core, divisor=DIVISOR)
    host = serial_host(dut)
    sent = random_packets(Random(5), packets=4, words=4)

    async def session(ctx: Any) -> None:
        ctx.set(dut.locked, 1)
        await host.idle(ctx, 100)
        await host.send(ctx, frame(Kind.HELLO))
        await host.wait_for(ctx, 1)
        position = 0
        for packet in sent:
            await host.send(ctx, frame(Kind.DATA, packet, sequence=position, last=1))
            position += len(packet)
        for _ in range(100):
            await host.idle(ctx, 100)
            if len(words_of(host.frames)) == position:
                break

    simulate(dut, session, background=[host.listen])
    hello = unpack(Hello, host.frames[0][:-2])
    identity = identify("Echo", core.spec)
    assert (hello["name"], hello["digest"]) == (identity.name_bits, identity.digest)
    assert words_of(host.frames) == [(word + 1) % 2**32 for packet in sent for word in packet]
    lasts = [unpack(Control, words[-2:])["last"] for words in host.frames]
    assert sum(lasts) == len(sent)


def test_nothing_happens_before_the_clock_is_good(
    simulate: Callable[..., None], serial_host: Any, echo_class: Any
) -> None:
    dut = SerialAccelerator(echo_class(), divisor=DIVISOR)
    host = serial_host(dut)

    async def session(ctx: Any) -> None:
        await host.send(ctx, frame(Kind.HELLO))
        await host.idle(ctx, 1000)
        assert host.bytes == []
        ctx.set(dut.locked, 1)
        await host.idle(ctx, 100)
        await host.send(ctx, frame(Kind.HELLO))
        await host.wait_for(ctx, 1)
        ctx.set(dut.locked, 0)
        await host.idle(ctx, 100)
        ctx.set(dut.locked, 1)
        await host.idle(ctx, 100)
        # the session is lost with the clock, and the board reports that
        await host.send(ctx, frame(Kind.DATA, [1, 2]))
        await host.wait_for(ctx, 2)

    simulate(dut, session, background=[host.listen])
    assert [unpack(Control, words[-2:])["session"] for words in host.frames] == [SESSION, 0]


def test_a_new_session_starts_the_accelerator_afresh(
    simulate: Callable[..., None], serial_host: Any, echo_class: Any
) -> None:
    core = echo_class()
    dut = SerialAccelerator(core, divisor=DIVISOR)
    host = serial_host(dut)

    async def session(ctx: Any) -> None:
        ctx.set(dut.locked, 1)
        await host.idle(ctx, 100)
        await host.send(ctx, frame(Kind.HELLO))
        await host.wait_for(ctx, 1)
        # a frame that is cut off, and a bad one
        await host.send(ctx, frame(Kind.DATA, [1, 2, 3])[:9])
        await host.send(ctx, frame(Kind.DATA, [1, 2, 3]))
        await host.idle(ctx, 4000)
        assert ctx.get(dut.damaged) == 1
        host.frames.clear()
        await host.send(ctx, encode_frame(pack(Control, kind=Kind.HELLO, session=SESSION + 1)))
        await host.wait_for(ctx, 1)
        assert ctx.get(dut.damaged) == 0
        await host.send(ctx, encode_frame([7, *pack(Control, kind=Kind.DATA, session=SESSION + 1, size=7, last=1)]))
        await host.idle(ctx, 4000)

    simulate(dut, session, background=[host.listen])
    assert words_of(host.frames) == [8]
