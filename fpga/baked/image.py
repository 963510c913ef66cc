"""Contents of the synapse memory: an image of all bits, and the content of each block RAM."""

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
"""Bits [rows, columns] of all synapse memories side by side: all pairs of lanes of the first cluster, then of the next.

Rows are those of the block RAMs, which may be more than the memory uses.
"""

BITS_PER_DIGIT = 4


@dataclass(frozen=True)
class Block:
    """A block RAM of a synapse memory.

    Attributes:
        name: end of its cell's name in a netlist, below the accelerator.
        columns: its columns of the image.
    """

    name: str
    columns: slice


def block_width(spec: Spec) -> int:
    """Bits of a row of each block RAM, as ``spikequant.rtl.fabric.memory`` chooses them.

    Raises:
        InputError: the memory is so deep that the tools choose, has the wide rows of a single lane, or has a parity,
            which images do not contain.
    """
    if spec.weight_parity:
        raise InputError("weight_parity: baked weights have no parity, expected false")
    if spec.memory_rows > max(SHAPES):
        raise InputError(f"depth: {spec.depth} inputs are {spec.memory_rows} rows, expected at most {max(SHAPES)}")
    if spec.lanes == 1 and spec.memory_rows <= WIDE_ROWS:
        raise InputError(
            f"lanes: weights for one lane with {spec.depth} inputs cannot be baked, expected at least two lanes"
        )
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
    """Contents of the synapse memories after WEIGHTS packets, and zeros elsewhere; other packets are ignored."""
    image = np.zeros(image_shape(spec), np.uint8)
    memories = image.reshape(len(image), spec.clusters, spec.pairs, -1)
    header = words_in(WeightsHeader)
    for packet in packets:
        if Operation(operation_of(packet)) is not Operation.WEIGHTS:
            continue
        rows = packet[header:].astype("<u4").reshape(-1, spec.words_per_row)
        bits = np.unpackbits(rows.view(np.uint8), axis=1, bitorder="little").reshape(len(rows), spec.clusters, -1)
        inputs = unpack(WeightsHeader, packet[:header].tolist())["input"] + np.arange(len(rows))
        # inputs are interleaved over lanes, and the two lanes of a pair share a memory, whose row 0 is zero
        pair = inputs % spec.lanes // spec.pair_lanes
        row = inputs // spec.lanes * spec.pair_lanes + inputs % spec.pair_lanes + 1
        memories[row, :, pair] = bits
    return image


def block_contents(spec: Spec, image: Image) -> dict[str, Content]:
    """Content of each block RAM by the end of its name."""
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
    """The image as text, a line of hexadecimal digits for each row, with column 0 in the lowest bit."""
    digits = image.shape[1] // BITS_PER_DIGIT
    rows = np.packbits(image, axis=1, bitorder="little")
    return "".join(f"{int.from_bytes(row.tobytes(), 'little'):0{digits}x}\n" for row in rows)


def read_image(text: str, spec: Spec, *, source: str) -> Image:
    """Parse the text of ``image_text``.

    Raises:
        InputError: it is no image for this spec; ``source`` names the file.
    """
    rows, columns = image_shape(spec)
    digits = columns // BITS_PER_DIGIT
    lines = text.splitlines()
    if len(lines) != rows or not all(re.fullmatch(f"[0-9a-f]{{{digits}}}", line) for line in lines):
        raise InputError(f"{source}: no image of the synapse memory, expected {rows} lines of {digits} digits each")
    size = -(-columns // 8)
    packed = [np.frombuffer(int(line, 16).to_bytes(size, "little"), np.uint8) for line in lines]
    return np.unpackbits(np.stack(packed), axis=1, count=columns, bitorder="little")
