"""What the block RAMs of the synapse memory hold: an image of all bits, and the content of each block RAM."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikequant.fpga.build.block_contents import CONTENT_WORDS, Content
from spikequant.golden.layer.spec import Spec
from spikequant.golden.support.errors import InputError
from spikequant.rtl.driver.layouts import unpack, words_in
from spikequant.rtl.driver.packets import Words, operation_of
from spikequant.rtl.fabric.memory import SHAPES, WIDE_ROWS, block_rows
from spikequant.rtl.shapes import Operation, WeightsHeader

Image = NDArray[np.uint8]
"""Bits [rows, columns] of all synapse memories side by side: of the first cluster's pairs of lanes, then the next's.

Rows are those of the block RAMs, which may be more than the memory uses.
"""

BITS_PER_DIGIT = 4


@dataclass(frozen=True)
class Block:
    """A block RAM of a synapse memory.

    Attributes:
        name: end of its cell's name in a netlist, behind that of whatever is around the accelerator.
        columns: of the image.
    """

    name: str
    columns: slice


def block_width(spec: Spec) -> int:
    """Bits of a row of each block RAM, as ``spikequant.rtl.fabric.memory`` chooses them.

    Raises:
        InputError: the memory is so deep that the tools choose, or its rows are as wide as only a single lane's are.
    """
    if spec.memory_rows > max(SHAPES):
        raise InputError(f"depth: {spec.depth} inputs are {spec.memory_rows} rows, expected {max(SHAPES)} at most")
    if spec.lanes == 1 and spec.memory_rows <= WIDE_ROWS:
        raise InputError(f"lanes: one lane with {spec.depth} inputs takes no weights so, expected two lanes at least")
    return SHAPES[block_rows(spec.memory_rows)]


def image_shape(spec: Spec) -> tuple[int, int]:
    """Rows and columns of the image."""
    return block_rows(spec.memory_rows), spec.pairs * spec.neurons * spec.weight_bits


def synapse_blocks(spec: Spec) -> list[Block]:
    """All block RAMs of the synapse memories, in the order of their columns."""
    part = spec.cluster
    bits, width = part.neurons * part.weight_bits, block_width(spec)
    blocks = []
    for memory in range(spec.clusters * spec.pairs):
        cluster, pair = divmod(memory, spec.pairs)
        name = "memory" if spec.lanes == 1 else f"memory_{pair}"
        for number, start in enumerate(range(0, bits, width)):
            columns = slice(memory * bits + start, memory * bits + min(start + width, bits))
            blocks.append(Block(f"cluster_{cluster}.array.synapses.{name}.block_{number}", columns))
    return blocks


def weights_image(spec: Spec, packets: Iterable[Words]) -> Image:
    """What the synapse memories hold behind these packets, zeros where none of them writes.

    Args:
        spec: the accelerator.
        packets: those that are no WEIGHTS packets write nothing.
    """
    image = np.zeros(image_shape(spec), np.uint8)
    memories = image.reshape(len(image), spec.clusters, spec.pairs, -1)
    header = words_in(WeightsHeader)
    for packet in packets:
        if Operation(operation_of(packet)) is not Operation.WEIGHTS:
            continue
        rows = packet[header:].astype("<u4").reshape(-1, spec.words_per_row)
        bits = np.unpackbits(rows.view(np.uint8), axis=1, bitorder="little").reshape(len(rows), spec.clusters, -1)
        inputs = unpack(WeightsHeader, packet[:header].tolist())["input"] + np.arange(len(rows))
        # lanes take turns, and the two of a pair share a memory, whose row 0 stays zero
        pair = inputs % spec.lanes // spec.pair_lanes
        row = inputs // spec.lanes * spec.pair_lanes + inputs % spec.pair_lanes + 1
        memories[row, :, pair] = bits
    return image


def block_contents(spec: Spec, image: Image) -> dict[str, Content]:
    """The content of each block RAM by the end of its name."""
    width = block_width(spec)
    # narrow rows leave out every ninth bit
    used = 9 if width >= 9 else 8
    contents = {}
    for block in synapse_blocks(spec):
        rows = np.zeros((len(image), width), np.uint16)
        part = image[:, block.columns]
        rows[:, : part.shape[1]] = part
        contents[block.name] = (rows.reshape(CONTENT_WORDS, used) << np.arange(used)).sum(axis=1, dtype=np.uint16)
    return contents


def image_text(image: Image) -> str:
    """A line of hexadecimal digits a row, column 0 in the lowest bit."""
    digits = image.shape[1] // BITS_PER_DIGIT
    rows = np.packbits(image, axis=1, bitorder="little")
    return "".join(f"{int.from_bytes(row.tobytes(), 'little'):0{digits}x}\n" for row in rows)


def read_image(text: str, spec: Spec, *, source: str) -> Image:
    """The image that ``image_text`` wrote.

    Raises:
        InputError: it is none of this spec; ``source`` says where.
    """
    rows, columns = image_shape(spec)
    digits = columns // BITS_PER_DIGIT
    lines = text.splitlines()
    if len(lines) != rows or not all(re.fullmatch(f"[0-9a-f]{{{digits}}}", line) for line in lines):
        raise InputError(f"{source}: no image of the synapse memory, expected {rows} lines of {digits} digits each")
    size = -(-columns // 8)
    packed = [np.frombuffer(int(line, 16).to_bytes(size, "little"), np.uint8) for line in lines]
    return np.unpackbits(np.stack(packed), axis=1, count=columns, bitorder="little")
