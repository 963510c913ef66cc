"""A layer's program that takes weights and constants from the memory, and no rows of inputs that are silent."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from spikequant.fpga.sdram.layout import StoredLayer
from spikequant.fpga.sdram.packets import select_packet, stream_packet
from spikequant.golden.layer.spec import WORD_BITS
from spikequant.golden.layer.vectors import LayerVectors
from spikequant.rtl.driver.packets import Words, operation_of
from spikequant.rtl.driver.program import LayerProgram, layer_program
from spikequant.rtl.shapes import HEADER_WORDS, Operation


def active_inputs(vectors: LayerVectors) -> NDArray[np.bool_]:
    """Inputs that any token uses, bool [K].

    One at least, since a packet without rows is none; and a wide one if the layer has any, since without them its
    membranes would be in other units.
    """
    active = (vectors.level != 0).any(axis=0)
    for needed in (vectors.wide, np.arange(vectors.inputs)):
        if needed.size and not active[needed].any():
            active[needed[0]] = True
    return active


def without_silent(vectors: LayerVectors, active: NDArray[np.bool_]) -> LayerVectors:
    """The layer of the active inputs alone, whose outputs are the same: a silent input adds nothing to any sum.

    Raises:
        ValueError: an input that is left out is not silent, or no wide one is left.
    """
    kept = active[vectors.wide]
    if (vectors.level[:, ~active] != 0).any():
        raise ValueError("an input that is left out is not silent")
    if vectors.wide.size and not kept.any():
        raise ValueError("all wide inputs are left out")
    return replace(
        vectors,
        w_code=vectors.w_code[:, active],
        level=vectors.level[:, active],
        salient=vectors.salient[:, active],
        wide=(np.cumsum(active) - 1)[vectors.wide[kept]].astype(np.int32),
        w_low=vectors.w_low[:, kept] if vectors.wide.size else vectors.w_low,
    )


@dataclass(frozen=True)
class _Selection:
    """Rows that are loaded together.

    Attributes:
        first: number of the first row, of the inputs or the wide ones.
        rows: bool, which of the rows from there on, up to the last one.
        low: they are low halves.
        place: where they are in the mask.
    """

    first: int
    rows: NDArray[np.bool_]
    low: bool
    place: int


def _selections(stored: StoredLayer, wide: NDArray[np.int32], active: NDArray[np.bool_]) -> list[_Selection]:
    """The parts of the active rows that the synapse memory holds at once, as ``rtl.driver.program`` cuts them.

    A part's bits in the mask are those from its first row to its last one, so all parts together have about a bit for
    each row that is stored (``LayerPlace.mask_words``).
    """
    depth = stored.place.spec.depth
    selections: list[_Selection] = []
    place = 0
    for chosen, low in ((active, False), (active[wide], True)):
        columns = np.flatnonzero(chosen)
        for start in range(0, len(columns), depth):
            part = columns[start : start + depth]
            rows = chosen[part[0] : part[-1] + 1]
            selections.append(_Selection(first=int(part[0]), rows=rows, low=low, place=place))
            place += -(-len(rows) // WORD_BITS)
    return selections


def streamed_program(stored: StoredLayer, vectors: LayerVectors) -> LayerProgram:
    """The program of ``rtl.driver.program.layer_program`` for the inputs that are not silent, fed from the memory.

    What reaches the accelerator is that program's packets, each word of them: WEIGHTS and NEURONS packets are put
    together in front of it.

    Args:
        stored: the layer as the memory holds it.
        vectors: the same layer with its tokens.

    Raises:
        ValueError: the memory does not hold these weights.
    """
    active = active_inputs(vectors)
    program = layer_program(stored.place.spec, without_silent(vectors, active))
    selections = _selections(stored, vectors.wide, active)
    packets = [select_packet(selection.rows, place=selection.place) for selection in selections]
    tile = -1
    for packet in program.packets:
        operation = Operation(operation_of(packet))
        if operation is Operation.NEURONS:
            tile += 1
            packets.append(_constants(stored, tile, packet))
        elif operation is Operation.WEIGHTS:
            packets.append(_weights(stored, tile, packet, selections))
        else:
            packets.append(packet)
    return LayerProgram(packets=packets, places=program.places)


def _constants(stored: StoredLayer, tile: int, packet: Words) -> Words:
    place = stored.place
    header = HEADER_WORDS[Operation.NEURONS]
    if not np.array_equal(stored.image[tile, : place.constants_words], packet[header:]):
        raise ValueError(f"tile {tile}: the memory holds other constants")
    return stream_packet(int(packet[0]), address=place.constants(tile), rows=1, row_words=place.constants_words)


def _weights(stored: StoredLayer, tile: int, packet: Words, selections: list[_Selection]) -> Words:
    """The packet that streams these weights: of the selection that has them."""
    place = stored.place
    body = packet[HEADER_WORDS[Operation.WEIGHTS] :]
    for selection in selections:
        rows = stored.rows(tile, low=selection.low)[selection.first :][: len(selection.rows)]
        if np.array_equal(rows[selection.rows].reshape(-1), body):
            return stream_packet(
                int(packet[0]),
                address=place.rows(tile, low=selection.low) + selection.first * place.spec.words_per_row,
                rows=len(rows),
                row_words=place.spec.words_per_row,
                place=selection.place,
            )
    raise ValueError(f"tile {tile}: the memory holds other weights")
