"""Layout of a layer in the memory: for each tile of outputs its constants, its weights and their low halves."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikequant.fpga.sdram.packets import MASK_WORDS, store_packet
from spikequant.fpga.sdram.timing import SdramChip
from spikequant.golden.layer.spec import WORD_BITS, Spec
from spikequant.golden.layer.vectors import LayerVectors
from spikequant.golden.support.errors import InputError
from spikequant.rtl.driver.packets import Words, weights_packet
from spikequant.rtl.driver.program import tile_constants
from spikequant.rtl.packet_sizes import WORDS_PER_NEURON
from spikequant.rtl.shapes import HEADER_WORDS, Operation


@dataclass(frozen=True)
class LayerPlace:
    """Place of a layer in the memory, in 32-bit words.

    Attributes:
        spec: the accelerator.
        address: address of the first word.
        outputs, inputs, wide: N, K and M of the layer.
    """

    spec: Spec
    address: int
    outputs: int
    inputs: int
    wide: int

    @property
    def tiles(self) -> int:
        """Number of tiles of outputs."""
        return -(-self.outputs // self.spec.neurons)

    @property
    def constants_words(self) -> int:
        """Words of the constants of a tile."""
        return WORDS_PER_NEURON * self.spec.neurons

    @property
    def tile_words(self) -> int:
        """Words of a tile."""
        return self.constants_words + (self.inputs + self.wide) * self.spec.words_per_row

    @property
    def words(self) -> int:
        """Words of the layer."""
        return self.tiles * self.tile_words

    @property
    def end(self) -> int:
        """Address after the last word."""
        return self.address + self.words

    @property
    def mask_words(self) -> int:
        """Most words of the mask of rows, for any set of silent inputs."""

        def words(rows: int) -> int:
            # each part of the rows begins in a new word
            return rows // WORD_BITS + -(-rows // self.spec.depth)

        return words(self.inputs) + words(self.wide)

    def fits(self, chip: SdramChip) -> bool:
        """Whether the chip and the mask of rows are large enough."""
        return self.end <= chip.words and self.mask_words <= MASK_WORDS

    def overlaps(self, other: "LayerPlace") -> bool:
        """Whether two layers have words in common."""
        return self.address < other.end and other.address < self.end

    def constants(self, tile: int) -> int:
        """Address of a tile's constants."""
        return self.address + tile * self.tile_words

    def rows(self, tile: int, *, low: bool) -> int:
        """Address of a tile's weights, or of the low halves of its wide columns."""
        return self.constants(tile) + self.constants_words + (self.inputs * self.spec.words_per_row if low else 0)


@dataclass(frozen=True)
class StoredLayer:
    """A layer with its contents in the memory.

    Attributes:
        place: its place.
        image: uint32 [tiles, words of a tile].
    """

    place: LayerPlace
    image: NDArray[np.uint32]

    def packets(self) -> list[Words]:
        """Packets that store the layer, one for each tile."""
        return [store_packet(tile, address=self.place.constants(index)) for index, tile in enumerate(self.image)]

    def rows(self, tile: int, *, low: bool) -> NDArray[np.uint32]:
        """Rows of a tile, uint32 [inputs or wide columns, words of a row]."""
        place = self.place
        start = place.rows(tile, low=low) - place.constants(tile)
        count = place.wide if low else place.inputs
        words = place.spec.words_per_row
        return self.image[tile, start : start + count * words].reshape(count, words)


def place_layer(spec: Spec, vectors: LayerVectors, *, address: int = 0) -> LayerPlace:
    """Place of a layer at an address."""
    return LayerPlace(
        spec=spec,
        address=address,
        outputs=vectors.outputs,
        inputs=vectors.inputs,
        wide=int(vectors.wide.size),
    )


def store_layer(spec: Spec, vectors: LayerVectors, *, chip: SdramChip, address: int = 0) -> StoredLayer:
    """Contents of the memory for a layer, in the accelerator's format; neurons without an output get zero weights.

    Raises:
        InputError: the layer does not fit the chip at that address, or has too many inputs for the mask of rows.
    """
    place = place_layer(spec, vectors, address=address)
    if place.mask_words > MASK_WORDS:
        raise InputError(
            f"memory: the mask of the layer's rows has {place.mask_words} words, expected at most {MASK_WORDS}"
        )
    if not place.fits(chip):
        raise InputError(
            f"memory: the layer ends at word {place.end}, expected at most {chip.words} in the {chip.name}"
        )
    return StoredLayer(place=place, image=np.stack([_tile(spec, vectors, tile) for tile in range(place.tiles)]))


def _tile(spec: Spec, vectors: LayerVectors, tile: int) -> Words:
    first = tile * spec.neurons
    outputs = slice(first, min(first + spec.neurons, vectors.outputs))
    missing = spec.neurons - (outputs.stop - outputs.start)
    constants = tile_constants(spec, vectors, outputs)
    rows = [
        weights_packet(spec, first_input=0, codes=np.pad(codes[outputs], ((0, missing), (0, 0))).T)
        for codes in (vectors.w_code, vectors.w_low)
        if codes.size
    ]
    bodies = [constants[HEADER_WORDS[Operation.NEURONS] :], *(row[HEADER_WORDS[Operation.WEIGHTS] :] for row in rows)]
    return np.concatenate(bodies)
