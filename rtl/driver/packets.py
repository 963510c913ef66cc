"""Packets as arrays of words, from the layouts of ``spikequant.rtl.shapes``."""

from dataclasses import dataclass

import numpy as np
from amaranth.lib import data
from numpy.typing import NDArray

from spikequant.golden.layer.spec import WORD_BITS, Spec
from spikequant.golden.support.errors import SpikeQuantError
from spikequant.rtl.packet_sizes import (
    CODE_BITS,
    CODES_PER_WORD,
    WORDS_PER_RESULT,
    WORDS_PER_TRAILER,
    brief_code_bits,
    codes_per_word,
    result_words,
)
from spikequant.rtl.shapes import (
    HEADER_WORDS,
    Code,
    CodesHeader,
    Half,
    NeuronsHeader,
    Operation,
    Result,
    ResultHeader,
    RunHeader,
    WeightsHeader,
)

Words = NDArray[np.uint32]


class PacketError(SpikeQuantError):
    """A packet from the accelerator breaks the rules of ``spikequant.rtl.shapes``."""


class RefusedPacketError(PacketError):
    """The accelerator refused a packet since its last reset."""


class CorruptedWeightsError(PacketError):
    """The accelerator read a row of weights with a wrong parity since its last reset."""


def _header(layout: type[data.Struct], operation: Operation, **fields: int | Half) -> Words:
    bits = layout.const({"operation": operation, **fields}).as_bits()
    words = [bits >> (WORD_BITS * index) & (2**WORD_BITS - 1) for index in range(HEADER_WORDS[operation])]
    return np.array(words, np.uint32)


def _packed(values: NDArray[np.integer], bits: int) -> Words:
    """Values of ``bits`` each, with the last axis packed into words from the least significant bits up."""
    fields = values.astype(np.uint32).reshape(*values.shape[:-1], -1, WORD_BITS // bits)
    places = np.arange(0, WORD_BITS, bits, dtype=np.uint32)
    return np.bitwise_or.reduce(fields << places, axis=-1)


def weights_packet(spec: Spec, *, first_input: int, codes: NDArray[np.uint8]) -> Words:
    """A WEIGHTS packet.

    Args:
        spec: the accelerator.
        first_input: index of the first input in the synapse memory, a multiple of the lanes.
        codes: uint8 [inputs, neurons], stored weights for all neurons of the spec.
    """
    header = _header(WeightsHeader, Operation.WEIGHTS, input=first_input)
    return np.concatenate([header, _packed(codes, spec.weight_bits).reshape(-1)])


def neurons_packet(
    *, theta: NDArray[np.uint32], bias: NDArray[np.int32], zero: NDArray[np.uint8], first_neuron: int = 0
) -> Words:
    """A NEURONS packet: constants [neurons] of the neurons from ``first_neuron`` on."""
    header = _header(NeuronsHeader, Operation.NEURONS, neuron=first_neuron)
    parameters = np.stack([theta, bias.astype(np.int32).view(np.uint32), zero.astype(np.uint32)], axis=1)
    return np.concatenate([header, parameters.astype(np.uint32).reshape(-1)])


@dataclass(frozen=True)
class TokenTile:
    """One token's activations for one tile of inputs.

    Attributes:
        value: uint8 [inputs], normal codes q, or salient codes c5 where ``salient``.
        salient: bool [inputs].
        zero: zero point z of the normal codes.
        shift: power of two m of the salient codes.
        offset: smallest salient code c0.
        merged: salient and normal levels fit the charge together.
    """

    value: NDArray[np.uint8]
    salient: NDArray[np.bool_]
    zero: int
    shift: int
    offset: int
    merged: bool


def codes_packet(tile: TokenTile, *, buffer: int, address: int = 0) -> Words:
    """A CODES packet: one tile of a token, padded to a whole word with silent codes."""
    header = _header(
        CodesHeader,
        Operation.CODES,
        buffer=buffer,
        address=address,
        merged=int(tile.merged),
        shift=tile.shift,
        zero=tile.zero,
        offset=tile.offset,
    )
    salient_place = Code.as_shape()["salient"].offset
    codes = tile.value.astype(np.uint32) | (tile.salient.astype(np.uint32) << salient_place)
    padding = np.full(-len(codes) % CODES_PER_WORD, tile.zero, np.uint32)
    return np.concatenate([header, _packed(np.concatenate([codes, padding]), CODE_BITS)])


def run_packet(
    *,
    buffer: int,
    address: int = 0,
    shift: int,
    first_input: int,
    slot: int,
    first: bool,
    last: bool,
    half: Half,
    brief: bool = False,
) -> Words:
    """A RUN packet: a score on the weights from ``first_input`` on; a ``brief`` result has codes and flags alone."""
    return _header(
        RunHeader,
        Operation.RUN,
        first=int(first),
        last=int(last),
        half=half,
        shift=shift,
        slot=slot,
        buffer=buffer,
        address=address,
        input=first_input,
        brief=int(brief),
    )


@dataclass(frozen=True)
class TileResult:
    """Contents of a RESULT packet.

    Attributes:
        slot: slot of the membranes.
        membrane: int64 [neurons], V' with the bias; None if brief.
        code: int32 [neurons], output codes.
        saturated: bool [neurons], membranes that left their range.
        beats: beats since reset, spikeless ones included.
        spikes: spikes since reset.
    """

    slot: int
    membrane: NDArray[np.int64] | None
    code: NDArray[np.int32]
    saturated: NDArray[np.bool_]
    beats: int
    spikes: int


def _field(words: NDArray[np.uint64], name: str) -> NDArray[np.int64]:
    """A field of ``Result`` from 64-bit results, sign-extended as its shape says."""
    place = Result.as_shape()[name]
    shape = data.Layout.cast(Result)[name].shape
    width = shape.width if hasattr(shape, "width") else int(shape)
    low = (words >> np.uint64(place.offset)) & np.uint64(2**width - 1)
    value = low.astype(np.int64)
    if getattr(shape, "signed", False):
        value -= (value >> (width - 1)) << width
    return value


def _figures(body: Words) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.bool_]]:
    """Membranes, codes and flags from whole results."""
    pairs = body.astype(np.uint64).reshape(-1, WORDS_PER_RESULT)
    results = pairs[:, 0] | pairs[:, 1] << np.uint64(WORD_BITS)
    code = _field(results, "code").astype(np.int32)
    return _field(results, "membrane"), code, _field(results, "saturated").astype(np.bool_)


def _brief_figures(spec: Spec, body: Words) -> tuple[None, NDArray[np.int32], NDArray[np.bool_]]:
    """Codes and flags from a brief body."""
    codes, flags = np.split(body, [spec.neurons // codes_per_word(spec)])
    kind = {8: np.int8, 16: np.int16}[brief_code_bits(spec)]
    code = codes.astype("<u4").view(np.dtype(kind).newbyteorder("<")).astype(np.int32)
    saturated = np.unpackbits(flags.astype("<u4").view(np.uint8), bitorder="little")[: spec.neurons]
    return None, code, saturated.astype(np.bool_)


def operation_of(packet: Words) -> int:
    """Operation field of the packet's first word, which need not be the value of any ``Operation``."""
    return int(packet[0]) % 2 ** Operation.as_shape().width


def parse_result(spec: Spec, words: Words) -> TileResult:
    """Parse a RESULT packet.

    Raises:
        PacketError: a wrong length or operation.
        RefusedPacketError: the accelerator refused a packet before this one.
        CorruptedWeightsError: it read weights with a wrong parity.
    """
    brief = bool(len(words)) and bool(ResultHeader.from_bits(int(words[0])).brief)
    expected = result_words(spec, brief=brief)
    if len(words) != expected:
        raise PacketError(f"result of {len(words)} words, expected {expected}")
    header = ResultHeader.from_bits(int(words[0]))
    operation = operation_of(words)
    if operation != Operation.RESULT.value:
        raise PacketError(f"packet with operation {operation}, expected {Operation.RESULT.value}")
    if header.malformed:
        raise RefusedPacketError("the accelerator refused a packet")
    if header.corrupted:
        raise CorruptedWeightsError("the accelerator read weights with a wrong parity; reset it and load them again")
    body = words[HEADER_WORDS[Operation.RESULT] : -WORDS_PER_TRAILER]
    beats, spikes = (int(word) for word in words[-WORDS_PER_TRAILER:])
    membrane, code, saturated = _brief_figures(spec, body) if brief else _figures(body)
    return TileResult(
        slot=int(header.slot), membrane=membrane, code=code, saturated=saturated, beats=beats, spikes=spikes
    )
