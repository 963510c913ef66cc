"""Packets for the memory, which the host sends among those of ``spikequant.rtl.shapes`` for the accelerator.

=========  ====================================================================================
STORE      ``StoreHeader``, then words that are written to consecutive addresses
SELECT     ``SelectHeader``, then words of the mask, one bit a row, lowest bit first
STREAM     ``StreamHeader`` (four words): assemble a packet for the accelerator from a given first word and stored rows
=========  ====================================================================================
"""

from collections.abc import Iterable, Iterator

import numpy as np
from amaranth.hdl import unsigned
from amaranth.lib import data, enum

from spikequant.fpga.sdram.shapes import ADDRESS_BITS
from spikequant.golden.layer.spec import WORD_BITS
from spikequant.rtl.driver.layouts import pack, unpack, words_in
from spikequant.rtl.driver.packets import Words, operation_of

MASK_WORDS = 512
"""Size of the mask in words: one block RAM, 16,384 rows."""


class MemoryOperation(enum.IntEnum, shape=4):
    """Operation of a packet for the memory; disjoint from ``spikequant.rtl.shapes.Operation``."""

    STORE = 8
    SELECT = 9
    STREAM = 10


class StoreHeader(data.Struct):
    """Header of a STORE packet. ``address``: address of the first 32-bit word."""

    operation: MemoryOperation
    reserved: unsigned(4)
    address: unsigned(ADDRESS_BITS)


class SelectHeader(data.Struct):
    """Header of a SELECT packet. ``place``: first word of the mask to set."""

    operation: MemoryOperation
    reserved: unsigned(12)
    place: unsigned(16)


class StreamHeader(data.Struct):
    """A STREAM packet.

    ``selected``: read only the rows whose bits in the mask are set, at least one; else all rows.
    ``address``: address of the first row.
    ``rows``, ``row_words``: number of consecutive rows, and of words in each.
    ``place``: word of the mask whose lowest bit is that of the first row.
    ``opening``: first word of the assembled packet.
    """

    operation: MemoryOperation
    selected: unsigned(1)
    reserved: unsigned(3)
    address: unsigned(ADDRESS_BITS)
    rows: unsigned(16)
    row_words: unsigned(16)
    place: unsigned(16)
    reserved_high: unsigned(16)
    opening: unsigned(WORD_BITS)


STREAM_WORDS = words_in(StreamHeader)

LAYOUTS = (StoreHeader, SelectHeader, StreamHeader)


def _words(layout: type[data.Struct], **fields: int) -> Words:
    return np.array(pack(layout, **fields), np.uint32)


def store_packet(words: Words, *, address: int) -> Words:
    """Packet that stores words from an address on."""
    return np.concatenate(
        [_words(StoreHeader, operation=MemoryOperation.STORE, address=address), words.astype(np.uint32)]
    )


def select_packet(rows: np.ndarray, *, place: int = 0) -> Words:
    """Packet that sets the mask from word ``place`` on; ``rows`` is bool [rows]."""
    padded = np.pad(rows.astype(bool), (0, -len(rows) % WORD_BITS))
    mask = np.packbits(padded, bitorder="little").view("<u4").astype(np.uint32)
    return np.concatenate([_words(SelectHeader, operation=MemoryOperation.SELECT, place=place), mask])


def stream_packet(opening: int, *, address: int, rows: int, row_words: int, place: int | None = None) -> Words:
    """Packet that streams stored rows after ``opening``: all, or those that the mask selects from ``place`` on."""
    return _words(
        StreamHeader,
        operation=MemoryOperation.STREAM,
        selected=int(place is not None),
        address=address,
        rows=rows,
        row_words=row_words,
        place=place or 0,
        opening=opening,
    )


def streamed_words(packets: Iterable[Words]) -> Iterator[int]:
    """Words that the memory reads for each STREAM packet among packets, in their order."""
    mask = np.zeros(MASK_WORDS * WORD_BITS, np.bool_)
    for packet in packets:
        operation = operation_of(packet)
        if operation == MemoryOperation.SELECT:
            bits = np.unpackbits(packet[1:].astype("<u4").view(np.uint8), bitorder="little")
            first = unpack(SelectHeader, packet[:1].tolist())["place"] * WORD_BITS
            mask[first : first + bits.size] = bits
        elif operation == MemoryOperation.STREAM:
            header = unpack(StreamHeader, packet.tolist())
            rows = mask[header["place"] * WORD_BITS :][: header["rows"]].sum() if header["selected"] else header["rows"]
            yield int(rows) * header["row_words"]
