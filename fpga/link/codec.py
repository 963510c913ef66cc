"""Frames of words as bytes, in software.

A frame's words, low byte first, and their CRC-32 (that of Ethernet and zlib, low byte first) are escaped and put
between two END bytes as in SLIP (RFC 1055). The sender need not know the length in advance, the receiver is in step
again at the next END, and a damaged frame is undetected only with the probability of a 32-bit check.
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
    """Encode words, each in 0..2**32 - 1, as a frame with an END at both ends."""
    body = b"".join(int(word).to_bytes(BYTES_PER_WORD, "little") for word in words)
    body += zlib.crc32(body).to_bytes(BYTES_PER_WORD, "little")
    for plain, escaped in _ESCAPES:
        body = body.replace(plain, escaped)
    return bytes([END]) + body + bytes([END])


def decode_frame(body: bytes) -> list[int] | None:
    """Decode the bytes between two ENDs; None for a damaged frame."""
    plain = body
    for original, escaped in reversed(_ESCAPES):
        plain = plain.replace(escaped, original)
    # each valid escape sequence became one byte less, so any other escape byte is an error
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
    """Decoder of a stream of bytes that arrives in pieces.

    Args:
        max_words: longest frame; longer ones count as damaged, which bounds the memory.
    """

    def __init__(self, *, max_words: int) -> None:
        self._max_bytes = 2 * BYTES_PER_WORD * (max_words + 1)
        self._body = bytearray()
        self._too_long = False

    def feed(self, received: bytes) -> list[list[int] | None]:
        """Take bytes; returns the words of each completed frame, or None for a damaged one."""
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
        """Discard the beginning of a frame."""
        self._body.clear()
        self._too_long = False

    def _add(self, part: bytes) -> None:
        room = self._max_bytes - len(self._body)
        self._too_long |= len(part) > room
        self._body += part[:room]
