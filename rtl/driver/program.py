"""Programs: a layer of any size as packets for an array of fixed size, and a layer's output from the results."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikequant.golden.layer.integer import LayerOutput
from spikequant.golden.layer.spec import Spec
from spikequant.golden.layer.tiling import goes_token_by_token, keeps_all_weights, token_tiles
from spikequant.golden.layer.vectors import LayerVectors
from spikequant.rtl.driver.packets import (
    TileResult,
    TokenTile,
    Words,
    codes_packet,
    neurons_packet,
    run_packet,
    weights_packet,
)
from spikequant.rtl.order import block_order, output_order
from spikequant.rtl.shapes import Half


@dataclass(frozen=True)
class Segment:
    """Inputs whose weights fit the synapse memory together.

    Attributes:
        columns: int [inputs], columns of the layer.
        weights: uint8 [inputs, N], their stored weights, for all of the layer's outputs.
        half: half of the weights that they are.
        first_input: index of the first one in the synapse memory.
    """

    columns: NDArray[np.intp]
    weights: NDArray[np.uint8]
    half: Half
    first_input: int


@dataclass(frozen=True)
class ResultPlace:
    """Part of the layer's output that a RESULT packet holds."""

    token: int
    outputs: slice


@dataclass(frozen=True)
class LayerProgram:
    """The packets of a layer, in order, and the place of each result.

    Attributes:
        packets: words of each packet to send.
        places: one for each RESULT packet to expect.
    """

    packets: list[Words]
    places: list[ResultPlace]


def layer_segments(spec: Spec, vectors: LayerVectors) -> list[Segment]:
    """The layer's inputs in tiles, followed by the low halves of wide columns.

    If all tiles fit the memory together they are adjacent in it, and are loaded once.
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
    if keeps_all_weights(spec, inputs=vectors.inputs, wide=vectors.wide.size):
        return segments
    return [Segment(s.columns, s.weights, s.half, 0) for s in segments]


def _padded(array: NDArray[np.generic], size: int, fill: int) -> NDArray[np.generic]:
    """The array's last axis made ``size`` long."""
    widths = [(0, 0)] * (array.ndim - 1) + [(0, size - array.shape[-1])]
    return np.pad(array, widths, constant_values=fill)


def tile_constants(spec: Spec, vectors: LayerVectors, outputs: slice) -> Words:
    """The NEURONS packet of a tile of outputs, at most N of them."""
    return neurons_packet(
        theta=_padded(vectors.theta[outputs], spec.neurons, 1).astype(np.uint32),
        bias=_padded(vectors.bias[outputs], spec.neurons, 0).astype(np.int32),
        zero=_padded(vectors.w_zero[outputs], spec.neurons, 0).astype(np.uint8),
    )


def segment_weights(spec: Spec, segments: Sequence[Segment], outputs: slice) -> list[Words]:
    """The WEIGHTS packet of each segment for a tile of outputs."""
    return [
        weights_packet(
            spec,
            first_input=segment.first_input,
            codes=_padded(segment.weights[:, outputs], spec.neurons, 0).astype(np.uint8),
        )
        for segment in segments
    ]


def token_tile(vectors: LayerVectors, token: int, columns: NDArray[np.integer[Any]], *, merged: bool) -> TokenTile:
    """One token's activations in some columns, for a CODES packet."""
    level = vectors.level[token, columns].astype(np.int64)
    salient = vectors.salient[token, columns]
    zero, shift, offset = (int(values[token]) for values in (vectors.zero, vectors.shift, vectors.offset))
    value = np.where(salient, (level >> shift) - offset, level + zero)
    return TokenTile(
        value=value.astype(np.uint8),
        salient=salient,
        zero=zero,
        shift=shift,
        offset=offset,
        merged=merged,
    )


@dataclass(frozen=True)
class Part:
    """One token's activations for a tile of inputs.

    Attributes:
        tile: the activations.
        segment: index of the segment whose weights they run on.
        first_input: index of the first one's weights in the synapse memory.
        words: size of their score, in beats.
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
                tile=token_tile(vectors, token, tile.columns, merged=tile.cost.merged),
                segment=segment,
                first_input=segments[segment].first_input + place % spec.depth,
                words=tile.cost.words,
            )
        )
    return parts


def layer_program(
    spec: Spec, vectors: LayerVectors, *, keep_scores: bool = True, brief: bool = False, blocks: bool = False
) -> LayerProgram:
    """Tile a layer over outputs, tokens and inputs.

    For each tile of outputs and each block of as many tokens as there are membrane slots, every
    segment's weights are loaded once (or once for all blocks, if all segments fit) and all tokens of the
    block run on them; the last segment completes the membranes. Neurons beyond the layer's outputs get
    zero weights, and their results are ignored. If the scores of all tokens fit the two buffers, each token is
    sorted once for all tiles of outputs, else once for each.

    With ``blocks``, as many tokens as fit a score buffer run for all tiles of outputs before the next tokens, so that
    each is sorted once, a block ahead; each block needs the weights and constants of all tiles again. That is cheaper
    where weights are not loaded.

    Args:
        spec: the accelerator.
        vectors: the layer and its tokens.
        keep_scores: reuse scores for all tiles of outputs, if they fit.
        brief: results have no membranes.
        blocks: run tokens in blocks, if all weights of a tile of outputs, and the scores of each token, fit.
    """
    segments = layer_segments(spec, vectors)
    parts = [_parts(spec, vectors, segments, token) for token in range(vectors.tokens)]
    token_by_token = goes_token_by_token(spec, inputs=vectors.inputs, wide=vectors.wide.size)
    return program_of_parts(
        spec,
        vectors,
        segments,
        parts,
        token_by_token=token_by_token,
        keep_scores=keep_scores,
        brief=brief,
        blocks=blocks,
    )


def program_of_parts(
    spec: Spec,
    vectors: LayerVectors,
    segments: Sequence[Segment],
    parts: Sequence[Sequence[Part]],
    *,
    token_by_token: bool,
    keep_scores: bool,
    brief: bool,
    blocks: bool,
) -> LayerProgram:
    """The packets of a layer whose tokens are cut into parts.

    Args:
        spec: the accelerator.
        vectors: the layer and its tokens.
        segments: tiles of its inputs.
        parts: parts of each token, in the order in which they run.
        token_by_token: run a token's parts consecutively, if their scores fit a buffer.
        keep_scores: reuse scores for all tiles of outputs, if they fit.
        brief: results have no membranes.
        blocks: run tokens in blocks, as ``layer_program`` says.
    """
    resident = keeps_all_weights(spec, inputs=vectors.inputs, wide=vectors.wide.size)
    # in the order in which they are first run: parts whose scores are made together, before the first of them runs
    groups = [
        [(token, number)]
        for first_token in range(0, vectors.tokens, spec.membrane_slots)
        for index in range(len(segments))
        for token in range(first_token, min(first_token + spec.membrane_slots, vectors.tokens))
        for number, part in enumerate(parts[token])
        if part.segment == index
    ]
    whole = [[(token, number) for number in range(len(parts[token]))] for token in range(vectors.tokens)]
    whole_fit = all(sum(part.words for part in one) <= spec.score_words for one in parts)
    in_blocks = blocks and resident and whole_fit
    if in_blocks or (token_by_token and whole_fit):
        groups = whole
    words = [sum(parts[token][number].words for token, number in group) for group in groups]
    tiles = -(-vectors.outputs // spec.neurons)
    if in_blocks:
        order = block_order(words, tiles=tiles, score_words=spec.score_words)
    else:
        order = output_order(words, tiles=tiles, score_words=spec.score_words, keep=keep_scores)
    packets: list[Words] = []
    places: list[ResultPlace] = []
    starts = range(0, vectors.outputs, spec.neurons)
    outputs_of = [slice(start, min(start + spec.neurons, vectors.outputs)) for start in starts]
    # each block of tokens needs them again
    constants = [tile_constants(spec, vectors, outputs) for outputs in outputs_of]
    weights = [segment_weights(spec, segments, outputs) for outputs in outputs_of]
    tile = -1
    loaded: tuple[int, int] | None = None
    for run in order:
        outputs, loads = outputs_of[run.tile], weights[run.tile]
        if run.tile != tile:
            tile, loaded = run.tile, None
            packets.append(constants[tile])
            if resident:
                packets += loads
        for token, number in groups[run.score.group]:
            part = parts[token][number]
            if not resident and loaded != (token // spec.membrane_slots, part.segment):
                packets.append(loads[part.segment])
                loaded = (token // spec.membrane_slots, part.segment)
        for score in run.codes:
            for part, address in _placed(parts, groups[score.group], score.address):
                packets.append(codes_packet(part.tile, buffer=score.buffer, address=address))
        placed = _placed(parts, groups[run.score.group], run.score.address)
        for (token, number), (part, address) in zip(groups[run.score.group], placed, strict=True):
            last = number == len(parts[token]) - 1
            packets.append(
                run_packet(
                    buffer=run.score.buffer,
                    address=address,
                    shift=part.tile.shift,
                    first_input=part.first_input,
                    slot=token % spec.membrane_slots,
                    first=number == 0,
                    last=last,
                    half=segments[part.segment].half,
                    brief=brief,
                )
            )
            if last:
                places.append(ResultPlace(token=token, outputs=outputs))
    return LayerProgram(packets=packets, places=places)


def _placed(
    parts: Sequence[Sequence[Part]], group: Sequence[tuple[int, int]], address: int
) -> Iterator[tuple[Part, int]]:
    """The parts of a group, each with the first beat of its score."""
    for token, number in group:
        yield parts[token][number], address
        address += parts[token][number].words


def gather_codes(
    vectors: LayerVectors, places: Iterable[ResultPlace], results: Iterable[TileResult]
) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    """Assemble codes and flags of a layer's program, in the order of ``places``; results may be brief.

    Returns:
        Codes, int32 [T, N], and flags of saturated membranes, bool [T, N].
    """
    code = np.zeros((vectors.tokens, vectors.outputs), np.int32)
    saturated = np.zeros(code.shape, np.bool_)
    for place, result in zip(places, results, strict=True):
        count = place.outputs.stop - place.outputs.start
        code[place.token, place.outputs] = result.code[:count]
        saturated[place.token, place.outputs] = result.saturated[:count]
    return code, saturated


def gather(vectors: LayerVectors, places: Sequence[ResultPlace], results: Sequence[TileResult]) -> LayerOutput:
    """Assemble the results of a layer's program, in the order of ``places``.

    Raises:
        ValueError: brief results, which have no membranes.
    """
    code, saturated = gather_codes(vectors, places, results)
    membrane = np.zeros(code.shape, np.int64)
    for place, result in zip(places, results, strict=True):
        if result.membrane is None:
            raise ValueError("brief results have no membranes")
        membrane[place.token, place.outputs] = result.membrane[: place.outputs.stop - place.outputs.start]
    return LayerOutput(membrane=membrane, code=code, saturated=saturated)
