from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikequant.fpga.link.codec import END, ESCAPE, FrameReader, encode_frame

words = st.one_of(st.integers(0, 2**32 - 1), st.sampled_from([0xC0C0C0C0, 0xDBDBDBDB, 0xDDDCDBC0]))
frames = st.lists(st.lists(words, max_size=6), max_size=5)


def decode(received: bytes, *, max_words: int = 100) -> list[list[int] | None]:
    return list(FrameReader(max_words=max_words).feed(received))


def encode(sent: list[list[int]]) -> bytes:
    return b"".join(encode_frame(frame) for frame in sent)


def test_frames_are_those_of_rfc_1055_around_a_zlib_check() -> None:
    assert encode_frame([]) == bytes.fromhex("c0 00000000 c0")
    assert encode_frame([0x34333231]) == bytes.fromhex("c0 31323334 a3e0e39b c0")
    assert encode_frame([0xC0DB0000])[:7] == bytes.fromhex("c0 0000 dbdd dbdc")


@given(frames, st.integers(1, 9))
def test_frames_survive_the_line_in_pieces_of_any_length(sent: list[list[int]], length: int) -> None:
    raw = encode(sent)
    reader = FrameReader(max_words=100)
    pieces = [raw[start : start + length] for start in range(0, len(raw), length)]
    assert [frame for piece in pieces for frame in reader.feed(piece)] == sent


@given(frames.filter(bool), st.data())
def test_no_damage_makes_another_frame(sent: list[list[int]], data: st.DataObject) -> None:
    raw = bytearray(encode(sent))
    place = data.draw(st.integers(0, len(raw) - 1))
    match data.draw(st.sampled_from(["flip", "drop", "double"])):
        case "flip":
            raw[place] ^= 1 << data.draw(st.integers(0, 7))
        case "drop":
            del raw[place]
        case _:
            raw.insert(place, raw[place])
    rest = iter(sent)
    received = [frame for frame in decode(bytes(raw)) if frame is not None]
    assert all(frame in rest for frame in received), "not a part of what was sent, in order"


@pytest.mark.parametrize(
    "body",
    [
        bytes([ESCAPE]),
        bytes([1]),
        bytes([0, 0, 0, 0, ESCAPE]),
        bytes([0, 0, 0, ESCAPE, ESCAPE]),
        bytes([ESCAPE, 0, 0, 0, 0]),
        bytes([0, 0, 0, 1]),
        encode_frame([5])[1:-2],
        encode_frame([5])[1:-1] + bytes([0]),
        # the check holds, but the bytes are no whole words
        bytes([1, 2, 3, 4, 5]) + crc32(bytes([1, 2, 3, 4, 5])).to_bytes(4, "little"),
    ],
)
def test_what_no_frame_has_is_damage(body: bytes) -> None:
    assert decode(bytes([END]) + body + encode_frame([9])) == [None, [9]]


def test_a_frame_without_end_costs_no_memory() -> None:
    reader = FrameReader(max_words=8)
    assert list(reader.feed(bytes(1_000_000))) == []
    assert list(reader.feed(encode_frame([1]))) == [None, [1]]
    assert list(reader.feed(encode_frame([0xC0C0C0C0] * 8))) == [[0xC0C0C0C0] * 8]


def test_who_looks_no_further_than_the_first_frame_loses_nothing_behind_it() -> None:
    reader = FrameReader(max_words=4)
    first, second = encode_frame([1, 2]), encode_frame([3])
    assert next(iter(reader.feed(first + second[:5]))) == [1, 2]
    assert list(reader.feed(second[5:])) == [[3]]
