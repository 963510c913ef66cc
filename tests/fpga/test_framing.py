from collections.abc import Callable
from random import Random
from typing import Any
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fpga.framing import END, ESCAPE, FrameDecoder, FrameEncoder, decode_stream, encode_frame

Simulate = Callable[..., None]
Packets = list[list[int]]

words = st.one_of(st.integers(0, 2**32 - 1), st.sampled_from([0xC0C0C0C0, 0xDBDBDBDB, 0xDDDCDBC0]))
packets = st.lists(st.lists(words, max_size=6), max_size=5)


def frames(sent: Packets) -> bytes:
    return b"".join(encode_frame(packet) for packet in sent)


def test_frames_are_those_of_rfc_1055_around_a_zlib_check() -> None:
    assert encode_frame([]) == bytes.fromhex("c0 00000000 c0")
    assert encode_frame([0x34333231]) == bytes.fromhex("c0 31323334 a3e0e39b c0")
    assert encode_frame([0xC0DB0000])[:7] == bytes.fromhex("c0 0000 dbdd dbdc")


@given(packets)
def test_packets_survive_the_line(sent: Packets) -> None:
    assert list(decode_stream(frames(sent))) == sent


@given(packets.filter(bool), st.data())
def test_no_damage_makes_another_packet(sent: Packets, data: st.DataObject) -> None:
    raw = bytearray(frames(sent))
    place = data.draw(st.integers(0, len(raw) - 1))
    match data.draw(st.sampled_from(["flip", "drop", "double"])):
        case "flip":
            raw[place] ^= 1 << data.draw(st.integers(0, 7))
        case "drop":
            del raw[place]
        case _:
            raw.insert(place, raw[place])
    received = [packet for packet in decode_stream(bytes(raw)) if packet is not None]
    rest = iter(sent)
    assert all(packet in rest for packet in received), "not a part of what was sent, in order"


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


def reference_events(line: list[tuple[int, int]]) -> list[Any]:
    """What a decoder should say of a line: packets, 'empty', or 'damaged'."""
    events: list[Any] = []
    body, broken = b"", False
    for byte, bad in line:
        if bad or byte != END:
            broken |= bool(bad)
            body += bytes([byte])
            continue
        # a broken byte says nothing, so it may be no END within
        for packet in decode_stream(body.replace(bytes([END]), b"\0") + bytes([END])):
            events.append("damaged" if broken or packet is None else packet or "empty")
        body, broken = b"", False
    return events


def rtl_decode(
    simulate: Simulate,
    line: list[tuple[int, int]],
    *,
    seed: int,
    stalls: float,
    buffer_words: int = 64,
    pause: int = 0,
) -> list[Any]:
    """The same from the hardware, whose words are not taken for the first ``pause`` cycles, and later with stalls.

    Nothing is reset, so a packet may begin with words of damaged frames before it.
    """
    decoder = FrameDecoder(buffer_words=buffer_words)
    random = Random(seed)
    events: list[Any] = []
    words_so_far: list[int] = []
    cycle = 0

    async def feed(ctx: Any) -> None:
        for byte, broken in line:
            ctx.set(decoder.i.payload, {"data": byte, "broken": broken})
            ctx.set(decoder.i.valid, 1)
            await ctx.tick()
            ctx.set(decoder.i.valid, 0)
            await ctx.tick().repeat(random.choice([3, 3, 4, 10]))
        await ctx.tick().repeat(2000 if stalls < 1 else 20)

    async def take(ctx: Any) -> None:
        nonlocal words_so_far, cycle
        while True:
            cycle += 1
            ctx.set(decoder.o.ready, cycle > pause and random.random() >= stalls)
            _, _, valid, ready, word, restart, damaged = await ctx.tick().sample(
                decoder.o.valid, decoder.o.ready, decoder.o.payload, decoder.restart, decoder.damaged
            )
            if restart:
                events.append("damaged" if damaged else "empty")
            if valid and ready:
                words_so_far.append(word.data)
                if word.last:
                    events.append(words_so_far)
                    words_so_far = []

    simulate(decoder, feed, background=[take])
    return events


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("stalls", [0.0, 0.5])
def test_hardware_decodes_as_the_reference(
    simulate: Simulate, random_packets: Callable[..., Packets], seed: int, stalls: float
) -> None:
    random = Random(seed)
    sent = random_packets(random, packets=20, words=8)
    line = [(byte, 0) for byte in frames(sent)]
    assert rtl_decode(simulate, line, seed=seed, stalls=stalls) == sent


@pytest.mark.parametrize("seed", range(6))
def test_hardware_and_reference_agree_on_damaged_lines(
    simulate: Simulate, random_packets: Callable[..., Packets], seed: int
) -> None:
    random = Random(seed)
    line = damage(random, frames([*random_packets(random, packets=12, words=8), [], [7], []]))
    expected = reference_events(line)
    assert "damaged" in expected
    received = rtl_decode(simulate, line, seed=seed, stalls=0.0)
    assert len(received) == len(expected)
    for got, want in zip(received, expected, strict=True):
        assert got[-len(want) :] == want if isinstance(want, list) else got == want


@pytest.mark.parametrize(
    "raw",
    [
        bytes([END, ESCAPE, END]),
        bytes([END, 1, END]),
        bytes([END, 0, 0, 0, 0, ESCAPE, END]),
        bytes([END, 0, 0, 0, ESCAPE, ESCAPE, END]),
        bytes([END, 0, 0, 0, 1, END]),
        encode_frame([5])[:-2] + bytes([END]),
        encode_frame([5])[:-1] + bytes([0, END]),
        # the check holds, but the bytes are no whole words
        bytes([END, 1, 2, 3, 4, 5]) + crc32(bytes([1, 2, 3, 4, 5])).to_bytes(4, "little") + bytes([END]),
    ],
)
def test_hardware_finds_what_no_frame_has(simulate: Simulate, raw: bytes) -> None:
    assert list(decode_stream(raw)) == [None]
    assert rtl_decode(simulate, [(byte, 0) for byte in raw + encode_frame([9])], seed=0, stalls=0.0) == ["damaged", [9]]


@pytest.mark.parametrize("length", [*range(14, 24), 40])
def test_words_beyond_the_buffer_are_damage(simulate: Simulate, length: int) -> None:
    line = [(byte, 0) for byte in encode_frame(range(length))]
    events = rtl_decode(simulate, line, seed=0, stalls=1.0, buffer_words=16)
    # one word beyond the buffer waits in the register behind it
    assert events == (["damaged"] if length > 17 else [])


@pytest.mark.parametrize("pause", range(200, 900, 50))
def test_a_buffer_that_overran_for_a_while_passes_no_packet(simulate: Simulate, pause: int) -> None:
    sent = list(range(40))
    line = [(byte, 0) for byte in encode_frame(sent)]
    events = rtl_decode(simulate, line, seed=0, stalls=0.0, buffer_words=8, pause=pause)
    assert events in ([sent], ["damaged"])
    # a word takes about 24 cycles, and 11 of them wait
    assert (events == [sent]) == (pause <= 250)


def rtl_encode(simulate: Simulate, sent: Packets, *, seed: int, stalls: float) -> bytes:
    encoder = FrameEncoder()
    random = Random(seed)
    received = bytearray()

    async def feed(ctx: Any) -> None:
        for packet in sent:
            for index, word in enumerate(packet):
                while random.random() < stalls:
                    await ctx.tick()
                ctx.set(encoder.i.payload, {"data": word, "last": index == len(packet) - 1})
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
def test_hardware_encodes_as_the_reference_after_an_empty_frame(
    simulate: Simulate, random_packets: Callable[..., Packets], seed: int, stalls: float
) -> None:
    sent = random_packets(Random(seed), packets=10, words=8)
    assert rtl_encode(simulate, sent, seed=seed, stalls=stalls) == frames([[], *sent])
