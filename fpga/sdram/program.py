"""Program of a layer whose weights and constants are streamed from the memory, without rows of silent inputs."""

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
    """Inputs that are not silent for all tokens, bool [K].

    At least one, since a packet needs a row; and at least one wide input if the layer has any, since membranes would
    have other units without them.
    """
    active = (vectors.level != 0).any(axis=0)
    for needed in (vectors.wide, np.arange(vectors.inputs)):
        if needed.size and not active[needed].any():
            active[needed[0]] = True
    return active


def without_silent(vectors: LayerVectors, active: NDArray[np.bool_]) -> LayerVectors:
    """The layer with the active inputs only; its outputs are the same, since a silent input adds nothing to any sum.

    Raises:
        ValueError: an omitted input is not silent, or no wide input is left.
    """
    kept = active[vectors.wide]
    if (vectors.level[:, ~active] != 0).any():
        raise ValueError("an omitted input is not silent")
    if vectors.wide.size and not kept.any():
        raise ValueError("all wide inputs are omitted")
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
        first: index of the first row among the inputs, or among the wide columns.
        rows: bool, the selected rows from the first to the last one.
        low: the rows are low halves.
        place: first word in the mask.
    """

    first: int
    rows: NDArray[np.bool_]
    low: bool
    place: int


def _selections(stored: StoredLayer, wide: NDArray[np.int32], active: NDArray[np.bool_]) -> list[_Selection]:
    """Parts of the active rows that fit the synapse memory, as ``rtl.driver.program`` divides them.

    A part has a bit in the mask for each row from its first to its last one, so all parts together have about one bit
    for each stored row (``LayerPlace.mask_words``).
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


def streamed_program(stored: StoredLayer, vectors: LayerVectors, *, brief: bool = False) -> LayerProgram:
    """Program for the inputs that are not silent, with weights and constants streamed from the memory.

    The accelerator gets exactly the packets of ``rtl.driver.program.layer_program``; the memory assembles its WEIGHTS
    and NEURONS packets.

    Args:
        stored: the layer in the memory.
        vectors: the same layer with its tokens.
        brief: results have no membranes.

    Raises:
        ValueError: the memory does not hold these weights.
    """
    active = active_inputs(vectors)
    program = layer_program(stored.place.spec, without_silent(vectors, active), brief=brief)
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
    """Packet that streams the weights of ``packet``, from the selection that contains them."""
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
