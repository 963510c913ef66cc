"""How a layer of any size becomes packets for an array of fixed size, and results a layer's output again."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from golden.integer import LayerOutput
from golden.spec import Spec
from golden.vectors import LayerVectors
from rtl.packets import TileResult, TokenTile, Words, neurons_packet, run_packet, weights_packet
from rtl.shapes import Half


@dataclass(frozen=True)
class Segment:
    """Inputs whose weights fit the synapse memory together.

    Attributes:
        columns: int [inputs], which of the layer's columns.
        weights: uint8 [inputs, N], their stored weights, for all of the layer's outputs.
        half: how the membrane takes them.
        first_input: where they lie in the synapse memory.
    """

    columns: NDArray[np.intp]
    weights: NDArray[np.uint8]
    half: Half
    first_input: int


@dataclass(frozen=True)
class ResultPlace:
    """Which part of the layer's output a RESULT packet holds."""

    token: int
    outputs: slice


@dataclass(frozen=True)
class LayerProgram:
    """The packets of a layer, in order, and where each result belongs.

    Attributes:
        packets: words of each packet to send.
        places: one for each RESULT packet to expect.
    """

    packets: list[Words]
    places: list[ResultPlace]


def _segments(spec: Spec, vectors: LayerVectors) -> list[Segment]:
    """The layer's inputs in tiles, the low halves of wide columns behind them.

    Where all tiles fit the memory together they lie side by side, and are loaded once.
    """
    whole = [(np.arange(vectors.inputs), vectors.w_code.T, Half.HIGH if vectors.wide.size else Half.WHOLE)]
    if vectors.wide.size:
        whole.append((vectors.wide.astype(np.intp), vectors.w_low.T, Half.LOW))
    segments: list[Segment] = []
    place = 0
    for columns, weights, half in whole:
        for start in range(0, len(columns), spec.depth):
            part = slice(start, start + spec.depth)
            segments.append(Segment(columns=columns[part], weights=weights[part], half=half, first_input=place))
            place += -(-len(columns[part]) // spec.lanes) * spec.lanes
    if place <= spec.depth:
        return segments
    return [Segment(s.columns, s.weights, s.half, 0) for s in segments]


def _padded(array: NDArray[np.generic], size: int, fill: int) -> NDArray[np.generic]:
    """The array's last axis made ``size`` long."""
    widths = [(0, 0)] * (array.ndim - 1) + [(0, size - array.shape[-1])]
    return np.pad(array, widths, constant_values=fill)


def _token_tile(vectors: LayerVectors, token: int, columns: NDArray[np.intp]) -> TokenTile:
    level = vectors.level[token, columns].astype(np.int64)
    salient = vectors.salient[token, columns]
    zero, shift, offset = (int(values[token]) for values in (vectors.zero, vectors.shift, vectors.offset))
    value = np.where(salient, (level >> shift) - offset, level + zero)
    return TokenTile(value=value.astype(np.uint8), salient=salient, zero=zero, shift=shift, offset=offset)


def layer_program(spec: Spec, vectors: LayerVectors) -> LayerProgram:
    """Tile a layer over outputs, tokens and inputs.

    For each tile of outputs and each block of as many tokens as there are membrane slots, every
    segment's weights are loaded once (or once for all blocks, if all segments fit) and all tokens of the
    block run on them; the last segment completes the membranes. Neurons beyond the layer's outputs get
    zero weights, and their results are ignored.
    """
    segments = _segments(spec, vectors)
    resident = len({segment.first_input for segment in segments}) == len(segments)
    packets: list[Words] = []
    places: list[ResultPlace] = []
    for first_output in range(0, vectors.outputs, spec.neurons):
        outputs = slice(first_output, min(first_output + spec.neurons, vectors.outputs))
        packets.append(
            neurons_packet(
                theta=_padded(vectors.theta[outputs], spec.neurons, 1).astype(np.uint32),
                bias=_padded(vectors.bias[outputs], spec.neurons, 0).astype(np.int32),
                zero=_padded(vectors.w_zero[outputs], spec.neurons, 0).astype(np.uint8),
            )
        )
        loads = [
            weights_packet(
                spec,
                first_input=segment.first_input,
                codes=_padded(segment.weights[:, outputs], spec.neurons, 0).astype(np.uint8),
            )
            for segment in segments
        ]
        if resident:
            packets += loads
        for first_token in range(0, vectors.tokens, spec.membrane_slots):
            tokens = range(first_token, min(first_token + spec.membrane_slots, vectors.tokens))
            for index, segment in enumerate(segments):
                if not resident:
                    packets.append(loads[index])
                for slot, token in enumerate(tokens):
                    packets.append(
                        run_packet(
                            _token_tile(vectors, token, segment.columns),
                            first_input=segment.first_input,
                            slot=slot,
                            first=index == 0,
                            last=segment is segments[-1],
                            half=segment.half,
                        )
                    )
            places += [ResultPlace(token=token, outputs=outputs) for token in tokens]
    return LayerProgram(packets=packets, places=places)


def gather(vectors: LayerVectors, places: Iterable[ResultPlace], results: Iterable[TileResult]) -> LayerOutput:
    """Put the results of a layer's program together, in the order of ``places``."""
    shape = (vectors.tokens, vectors.outputs)
    membrane = np.zeros(shape, np.int64)
    code = np.zeros(shape, np.int32)
    saturated = np.zeros(shape, np.bool_)
    for place, result in zip(places, results, strict=True):
        count = place.outputs.stop - place.outputs.start
        membrane[place.token, place.outputs] = result.membrane[:count]
        code[place.token, place.outputs] = result.code[:count]
        saturated[place.token, place.outputs] = result.saturated[:count]
    return LayerOutput(membrane=membrane, code=code, saturated=saturated)
