"""How a layer of any size becomes packets for an array of fixed size, and results a layer's output again."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from golden.integer import LayerOutput
from golden.spec import Spec
from golden.tiling import token_tiles
from golden.vectors import LayerVectors
from rtl.packets import TileResult, TokenTile, Words, codes_packet, neurons_packet, run_packet, weights_packet
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


@dataclass(frozen=True)
class Part:
    """One token's activations for a tile of inputs.

    Attributes:
        tile: the activations.
        segment: which segment's weights they run on.
        first_input: where those of the first one lie in the synapse memory.
        words: of the score that they become.
    """

    tile: TokenTile
    segment: int
    first_input: int
    words: int


def _parts(spec: Spec, vectors: LayerVectors, segments: list[Segment], token: int) -> list[Part]:
    """A token's activations in the order in which they run, in parts whose scores fit a buffer."""
    parts = []
    lows = -(-vectors.inputs // spec.depth)
    for tile in token_tiles(vectors, token, spec):
        place = int(np.searchsorted(vectors.wide, tile.columns[0]) if tile.low else tile.columns[0])
        segment = place // spec.depth + (lows if tile.low else 0)
        parts.append(
            Part(
                tile=_token_tile(vectors, token, tile.columns),
                segment=segment,
                first_input=segments[segment].first_input + place % spec.depth,
                words=tile.cost.words,
            )
        )
    return parts


@dataclass(frozen=True)
class ScorePlace:
    """Where a score begins."""

    buffer: int
    address: int


def _score_places(spec: Spec, parts: Iterable[Part]) -> list[ScorePlace] | None:
    """Places side by side for all scores, in the two buffers by turns; none where they do not fit."""
    used = [0, 0]
    places = []
    for number, part in enumerate(parts):
        buffer = number % 2
        places.append(ScorePlace(buffer, used[buffer]))
        used[buffer] += part.words
    return places if max(used) <= spec.score_words else None


def layer_program(spec: Spec, vectors: LayerVectors, *, keep_scores: bool = True) -> LayerProgram:
    """Tile a layer over outputs, tokens and inputs.

    For each tile of outputs and each block of as many tokens as there are membrane slots, every
    segment's weights are loaded once (or once for all blocks, if all segments fit) and all tokens of the
    block run on them; the last segment completes the membranes. Neurons beyond the layer's outputs get
    zero weights, and their results are ignored. Where the scores of all tokens fit the two buffers, each token is
    sorted once for all tiles of outputs, else once for each.

    Args:
        spec: the accelerator.
        vectors: the layer and its tokens.
        keep_scores: whether scores may be used again.
    """
    segments = _segments(spec, vectors)
    resident = len({segment.first_input for segment in segments}) == len(segments)
    parts = [_parts(spec, vectors, segments, token) for token in range(vectors.tokens)]
    # in the order in which they are first run
    order = [
        (token, number)
        for first_token in range(0, vectors.tokens, spec.membrane_slots)
        for index in range(len(segments))
        for token in range(first_token, min(first_token + spec.membrane_slots, vectors.tokens))
        for number, part in enumerate(parts[token])
        if part.segment == index
    ]
    found = _score_places(spec, (parts[token][number] for token, number in order)) if keep_scores else None
    kept = dict(zip(order, found, strict=True)) if found else {}
    sorted_already: set[tuple[int, int]] = set()
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
        loaded = None
        for turn, (token, number) in enumerate(order):
            part = parts[token][number]
            slot = token % spec.membrane_slots
            if not resident and loaded != (token // spec.membrane_slots, part.segment):
                packets.append(loads[part.segment])
                loaded = (token // spec.membrane_slots, part.segment)
            place = kept.get((token, number), ScorePlace(turn % 2, 0))
            if (token, number) not in sorted_already:
                packets.append(codes_packet(part.tile, buffer=place.buffer, address=place.address))
                if kept:
                    sorted_already.add((token, number))
            last = number == len(parts[token]) - 1
            packets.append(
                run_packet(
                    buffer=place.buffer,
                    address=place.address,
                    shift=part.tile.shift,
                    first_input=part.first_input,
                    slot=slot,
                    first=number == 0,
                    last=last,
                    half=segments[part.segment].half,
                )
            )
            if last:
                places.append(ResultPlace(token=token, outputs=outputs))
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
