"""Conversion between layouts and 32-bit words, for the host."""

from typing import Any

from amaranth.lib import data

from spikequant.golden.layer.spec import WORD_BITS


def words_in(layout: type[data.Struct]) -> int:
    """Size of a layout in words."""
    return data.Layout.cast(layout).size // WORD_BITS


def pack(layout: type[data.Struct], **fields: int) -> list[int]:
    """A layout's words; fields left out are 0.

    Raises:
        ValueError: a value does not fit its field, or there is no such field.
    """
    bits = 0
    for name, field in data.Layout.cast(layout):
        value = int(fields.pop(name, 0))
        if not 0 <= value < 1 << field.width:
            raise ValueError(f"{layout.__name__}.{name}: {value} does not fit {field.width} bits")
        bits |= value << field.offset
    if fields:
        raise ValueError(f"{layout.__name__} has no field {next(iter(fields))}")
    return [bits >> (WORD_BITS * index) & (2**WORD_BITS - 1) for index in range(words_in(layout))]


def unpack(layout: type[data.Struct], words: list[int]) -> dict[str, Any]:
    """The fields of a layout's words as unsigned numbers, without any check."""
    bits = sum(word << (WORD_BITS * index) for index, word in enumerate(words))
    return {name: bits >> field.offset & (2**field.width - 1) for name, field in data.Layout.cast(layout)}
