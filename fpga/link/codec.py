"""Frames of words as bytes, on the host's side of the line.

A frame's words, low byte first, and their CRC-32 (that of Ethernet and zlib, low byte first) are escaped and set
between two END bytes as SLIP does (RFC 1055). So the length need not be known ahead, the next END ends all trouble,
and no damaged frame passes for a whole one, but for the 32 bits of its check.
"""

import zlib
from collections.abc import Iterable

from spikequant.golden.layer.spec import WORD_BITS

END, ESCAPE, ESCAPED_END, ESCAPED_ESCAPE = 0xC0, 0xDB, 0xDC, 0xDD
"""The special bytes of RFC 1055."""

BYTES_PER_WORD = WORD_BITS // 8

_ESCAPES = (
    (bytes([ESCAPE]), bytes([ESCAPE, ESCAPED_ESCAPE])),
    (bytes([END]), bytes([ESCAPE, ESCAPED_END])),
)


def encode_frame(words: Iterable[int]) -> bytes:
    """The frame of some words, each in 0..2**32 - 1, with an END at both ends."""
    body = b"".join(int(word).to_bytes(BYTES_PER_WORD, "little") for word in words)
    body += zlib.crc32(body).to_bytes(BYTES_PER_WORD, "little")
    for plain, escaped in _ESCAPES:
        body = body.replace(plain, escaped)
    return bytes([END]) + body + bytes([END])


def decode_frame(body: bytes) -> list[int] | None:
    """The words of what stood between two END bytes, or None when it is damaged."""
    plain = body
    for original, escaped in reversed(_ESCAPES):
        plain = plain.replace(escaped, original)
    # each escape made one byte of two, so what is left over had no right to be there
    if len(body) - len(plain) != body.count(ESCAPE):
        return None
    if not plain or len(plain) % BYTES_PER_WORD:
        return None
    content, check = plain[:-BYTES_PER_WORD], plain[-BYTES_PER_WORD:]
    if zlib.crc32(content) != int.from_bytes(check, "little"):
        return None
    return [
        int.from_bytes(content[place : place + BYTES_PER_WORD], "little")
        for place in range(0, len(content), BYTES_PER_WORD)
    ]


class FrameReader:
    """Frames out of a stream of bytes that comes in pieces.

    Args:
        max_words: a frame of more words is damaged; so memory is bounded, whatever comes.
    """

    def __init__(self, *, max_words: int) -> None:
        self._max_bytes = 2 * BYTES_PER_WORD * (max_words + 1)
        self._body = bytearray()
        self._too_long = False

    def feed(self, received: bytes) -> list[list[int] | None]:
        """Each frame that these bytes end as its words, or None for a damaged one."""
        *ended, rest = received.split(bytes([END]))
        frames: list[list[int] | None] = []
        for part in ended:
            self._add(part)
            body, too_long = bytes(self._body), self._too_long
            self.clear()
            if body:
                frames.append(None if too_long else decode_frame(body))
        self._add(rest)
        return frames

    def clear(self) -> None:
        """Forget the beginning of a frame."""
        self._body.clear()
        self._too_long = False

    def _add(self, part: bytes) -> None:
        room = self._max_bytes - len(self._body)
        self._too_long |= len(part) > room
        self._body += part[:room]
