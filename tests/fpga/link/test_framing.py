from collections.abc import Callable
from random import Random
from typing import Any
from zlib import crc32

import pytest

from spikequant.fpga.link.codec import END, ESCAPE, FrameReader, encode_frame
from spikequant.fpga.link.framing import FrameDecoder, FrameEncoder

Simulate = Callable[..., None]
Frames = list[list[int]]


def encode(sent: Frames) -> bytes:
    return b"".join(encode_frame(frame) for frame in sent)


def damage(random: Random, raw: bytes) -> list[tuple[int, int]]:
    """Bytes with ``broken``: some flipped, dropped, broken, or put in."""
    line = []
    for byte in raw:
        kind = random.random()
        if kind < 0.02:
            line.append((byte ^ (1 << random.randrange(8)), 0))
        elif kind < 0.03:
            line.append((byte, 1))
        elif kind < 0.04:
            line += [(byte, 0), (random.choice([END, ESCAPE, byte]), 0)]
        elif kind < 0.99:
            line.append((byte, 0))
    return line


def reference_frames(line: list[tuple[int, int]]) -> list[list[int] | None]:
    """The words of each frame of a line, control words with them; None where it is damaged."""
    found: list[list[int] | None] = []
    body, broken = b"", False
    for byte, bad in line:
        if bad or byte != END:
            broken |= bool(bad)
            body += bytes([byte])
            continue
        # a broken byte is ignored, even if it is an END
        for frame in FrameReader(max_words=1000).feed(body.replace(bytes([END]), b"\0") + bytes([END])):
            found.append(None if broken or frame is None or len(frame) < 2 else frame)
        body, broken = b"", False
    return found


def rtl_decode(simulate: Simulate, line: list[tuple[int, int]], *, seed: int) -> list[list[int] | None]:
    """The same from the hardware."""
    decoder = FrameDecoder()
    random = Random(seed)
    frames: list[list[int] | None] = []
    payload: list[int] = []

    async def feed(ctx: Any) -> None:
        for byte, broken in line:
            ctx.set(decoder.i.payload, {"data": byte, "broken": broken})
            ctx.set(decoder.i.valid, 1)
            await ctx.tick()
            ctx.set(decoder.i.valid, 0)
            await ctx.tick().repeat(random.choice([3, 3, 4, 10]))
        await ctx.tick().repeat(20)

    async def take(ctx: Any) -> None:
        nonlocal payload
        signals = (decoder.word, decoder.word_valid, decoder.over, decoder.whole, decoder.control.as_value())
        async for _, _, word, valid, over, whole, control in ctx.tick().sample(*signals):
            if valid:
                payload.append(word)
            if over:
                frames.append([*payload, control % 2**32, control >> 32] if whole else None)
                payload = []

    simulate(decoder, feed, background=[take])
    return frames


@pytest.mark.parametrize("seed", range(3))
def test_hardware_decodes_as_the_reference(
    simulate: Simulate, random_packets: Callable[..., Frames], seed: int
) -> None:
    sent = [[*words, 1, 2] for words in random_packets(Random(seed), packets=20, words=8)]
    assert rtl_decode(simulate, [(byte, 0) for byte in encode(sent)], seed=seed) == sent


@pytest.mark.parametrize("seed", range(6))
def test_hardware_and_reference_agree_on_damaged_lines(
    simulate: Simulate, random_packets: Callable[..., Frames], seed: int
) -> None:
    random = Random(seed)
    line = damage(random, encode([*random_packets(random, packets=16, words=10), [], [7], [7, 8], []]))
    expected = reference_frames(line)
    assert None in expected
    assert rtl_decode(simulate, line, seed=seed) == expected


@pytest.mark.parametrize(
    "raw",
    [
        bytes([END, ESCAPE, END]),
        bytes([END, 1, END]),
        bytes([END, 0, 0, 0, ESCAPE, ESCAPE, END]),
        bytes([END, 0, 0, 0, 1, END]),
        encode_frame([5, 6])[:-2] + bytes([END]),
        encode_frame([5, 6])[:-1] + bytes([0, END]),
        encode_frame([5, 6])[:-1] + bytes([ESCAPE, END]),
        # whole, but without control words
        encode_frame([]),
        encode_frame([5]),
        # the check holds, but the bytes are no whole words
        bytes([END, *range(1, 14)]) + crc32(bytes(range(1, 14))).to_bytes(4, "little") + bytes([END]),
    ],
)
def test_hardware_finds_what_no_frame_has(simulate: Simulate, raw: bytes) -> None:
    line = [(byte, 0) for byte in raw + encode_frame([9, 8, 7])]
    assert rtl_decode(simulate, line, seed=0) == [None, [9, 8, 7]]


def rtl_encode(simulate: Simulate, sent: Frames, *, seed: int, stalls: float) -> bytes:
    encoder = FrameEncoder()
    random = Random(seed)
    received = bytearray()

    async def feed(ctx: Any) -> None:
        for frame in sent:
            for index, word in enumerate(frame):
                while random.random() < stalls:
                    await ctx.tick()
                ctx.set(encoder.i.payload, {"data": word, "last": index == len(frame) - 1})
                ctx.set(encoder.i.valid, 1)
                await ctx.tick().until(encoder.i.ready)
                ctx.set(encoder.i.valid, 0)
        await ctx.tick().repeat(400)

    async def take(ctx: Any) -> None:
        while True:
            ctx.set(encoder.o.ready, random.random() >= stalls)
            _, _, valid, ready, byte = await ctx.tick().sample(encoder.o.valid, encoder.o.ready, encoder.o.payload)
            if valid and ready:
                received.append(byte)

    simulate(encoder, feed, background=[take])
    return bytes(received)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("stalls", [0.0, 0.6])
def test_hardware_encodes_as_the_reference(
    simulate: Simulate, random_packets: Callable[..., Frames], seed: int, stalls: float
) -> None:
    sent = random_packets(Random(seed), packets=10, words=8)
    assert rtl_encode(simulate, sent, seed=seed, stalls=stalls) == encode(sent)
