"""Machine-readable description of an accelerator's packets, derived from the layouts of ``spikequant.rtl.shapes``."""

import inspect
from collections.abc import Mapping
from typing import Any, NamedTuple

from amaranth.hdl import Shape, signed, unsigned
from amaranth.lib import data, enum

from spikequant.golden.layer.spec import THETA_BITS, WORD_BITS, Spec
from spikequant.golden.support.figures import Figures
from spikequant.rtl.packet_sizes import (
    CODE_BITS,
    CODES_PER_WORD,
    PACKET_FORMAT,
    WORDS_PER_NEURON,
    WORDS_PER_RESULT,
    WORDS_PER_TRAILER,
    brief_code_bits,
    codes_per_word,
)
from spikequant.rtl.shapes import (
    HEADER_WORDS,
    HEADERS,
    Code,
    CodesHeader,
    Half,
    NeuronsHeader,
    Operation,
    Result,
    ResultHeader,
    RunHeader,
    WeightsHeader,
    parameters_layout,
)


class Field(Figures):
    """A field of a part, or an array of equal ones.

    Attributes:
        name: unique within the part.
        offset: place of its least significant bit (in an array, of the first element), in bits from the least
            significant bit of the part's first word.
        width: bits of one element.
        signed: two's complement.
        count: elements; 1 for a plain field.
        stride: bits from one element to the next.
        minimum, maximum: range of valid values. Reserved fields have the range 0..0; readers ignore them.
        multiple_of: divisor of every valid value.
        enumeration: name of the enumeration that lists the values, or None.
    """

    name: str
    offset: int
    width: int
    signed: bool
    count: int
    stride: int
    minimum: int
    maximum: int
    multiple_of: int
    enumeration: str | None


class Part(Figures):
    """Consecutive words of a packet, which may repeat.

    Attributes:
        name: header, or what one repetition holds.
        brief: the part is in brief results only (True), in whole ones only (False), or in every packet (None).
        words: words of one repetition.
        repeats_minimum, repeats_maximum: bounds of the repetitions; the packet's length determines their number.
        fields: in order of their offsets.
    """

    name: str
    brief: bool | None
    words: int
    repeats_minimum: int
    repeats_maximum: int
    fields: list[Field]


class Packet(Figures):
    """A kind of packet.

    Attributes:
        name: of the operation.
        operation: value of the field ``operation`` in the first word.
        stream: prefix of the stream's ports.
        description: meaning of the header's fields.
        parts: in order.
    """

    name: str
    operation: int
    stream: str
    description: str
    parts: list[Part]


class PacketDescription(Figures):
    """All packets of one accelerator.

    Attributes:
        format: version of the packets' format, as in the manifest.
        word_bits: width of a stream word; TLAST marks the last word of a packet.
        enumerations: values by name, for each enumeration.
        packets: all kinds of packets.
    """

    format: int
    word_bits: int
    enumerations: dict[str, dict[str, int]]
    packets: list[Packet]


class _Range(NamedTuple):
    low: int
    high: int
    step: int = 1


def _members(kind: Any) -> dict[str, int]:
    return {member.name: member.value for member in kind}


def _range_of(name: str, shape: Any) -> _Range:
    """Range of a field by its layout alone."""
    if name.startswith("reserved"):
        return _Range(0, 0)
    if isinstance(shape, type) and issubclass(shape, enum.Enum):
        values = _members(shape).values()
        return _Range(min(values), max(values))
    cast = Shape.cast(shape)
    half = 1 << cast.width - 1
    return _Range(-half, half - 1) if cast.signed else _Range(0, 2 * half - 1)


def _part(
    name: str,
    layout: Any,
    ranges: Mapping[str, _Range] | None = None,
    *,
    words: int = 1,
    array: int = 1,
    stride: int = 0,
    repeats: tuple[int, int] = (1, 1),
    brief: bool | None = None,
) -> Part:
    """A part from its layout.

    Args:
        name: of the part.
        layout: of one element.
        ranges: of fields that the spec limits further than their layout.
        words: words of one repetition.
        array: elements in one repetition.
        stride: bits from one element to the next.
        repeats: bounds of the repetitions.
        brief: as in ``Part``.
    """
    fields = []
    for key, field in data.Layout.cast(layout):
        label = str(key)
        low, high, step = (ranges or {}).get(label, _range_of(label, field.shape))
        is_enumeration = isinstance(field.shape, type) and issubclass(field.shape, enum.Enum)
        fields.append(
            Field(
                name=label,
                offset=field.offset,
                width=field.width,
                signed=Shape.cast(field.shape).signed,
                count=array,
                stride=stride or field.width,
                minimum=low,
                maximum=high,
                multiple_of=step,
                enumeration=field.shape.__name__ if is_enumeration else None,
            )
        )
    return Part(
        name=name,
        brief=brief,
        words=words,
        repeats_minimum=repeats[0],
        repeats_maximum=repeats[1],
        fields=fields,
    )


def _header_ranges(spec: Spec) -> dict[type[data.Struct], dict[str, _Range]]:
    """Ranges of header fields that the spec limits."""
    row = _Range(0, spec.depth - spec.lanes, spec.lanes)
    shift = _Range(0, spec.max_salient_shift)
    address = _Range(0, spec.score_words - 1)
    slot = _Range(0, spec.membrane_slots - 1)
    return {
        WeightsHeader: {"input": row},
        NeuronsHeader: {"neuron": _Range(0, spec.neurons - 1)},
        CodesHeader: {
            "shift": shift,
            "address": address,
            "zero": _Range(0, spec.max_activation_code),
            "offset": _Range(-spec.max_salient_code, 0),
        },
        RunHeader: {"shift": shift, "slot": slot, "address": address, "input": row},
        ResultHeader: {"slot": slot},
    }


def _bodies(spec: Spec) -> dict[type[data.Struct], list[Part]]:
    """Parts of each packet after its header."""
    output = {"code": _Range(-spec.max_output_code, spec.max_output_code)}
    reach = 1 << spec.biased_bits - 1
    brief_bits = brief_code_bits(spec)
    brief_words = spec.neurons // codes_per_word(spec)
    flag_words = -(-spec.neurons // WORD_BITS)
    return {
        WeightsHeader: [
            _part(
                "input",
                data.StructLayout({"weight": unsigned(spec.weight_bits)}),
                words=spec.words_per_row,
                array=spec.neurons,
                repeats=(1, spec.depth),
            )
        ],
        NeuronsHeader: [
            _part(
                "neuron",
                parameters_layout(spec),
                {"theta": _Range(1, 2**THETA_BITS - 1)},
                words=WORDS_PER_NEURON,
                repeats=(1, spec.neurons),
            )
        ],
        CodesHeader: [
            _part(
                "codes",
                Code,
                {"value": _Range(0, spec.max_level), "salient": _Range(0, min(1, spec.salient_bits))},
                array=CODES_PER_WORD,
                stride=CODE_BITS,
                repeats=(1, -(-spec.depth // CODES_PER_WORD)),
            )
        ],
        RunHeader: [],
        ResultHeader: [
            _part(
                "neuron",
                Result,
                {"membrane": _Range(-reach, reach - 1), **output},
                words=WORDS_PER_RESULT,
                repeats=(spec.neurons, spec.neurons),
                brief=False,
            ),
            _part(
                "codes",
                data.StructLayout({"code": signed(brief_bits)}),
                output,
                array=codes_per_word(spec),
                repeats=(brief_words, brief_words),
                brief=True,
            ),
            _part(
                "flags",
                data.StructLayout({"saturated": unsigned(1)}),
                array=WORD_BITS,
                repeats=(flag_words, flag_words),
                brief=True,
            ),
            _part(
                "totals",
                data.StructLayout({"beats": unsigned(WORD_BITS), "spikes": unsigned(WORD_BITS)}),
                words=WORDS_PER_TRAILER,
            ),
        ],
    }


def describe_packets(spec: Spec) -> PacketDescription:
    """Describe all packets of an accelerator: fields, places, widths, values, and their limits by the spec."""
    ranges, bodies = _header_ranges(spec), _bodies(spec)
    packets = []
    for operation, layout in HEADERS.items():
        own = {"operation": _Range(operation.value, operation.value)}
        header = _part("header", layout, ranges[layout] | own, words=HEADER_WORDS[operation])
        packets.append(
            Packet(
                name=operation.name,
                operation=operation.value,
                stream="m_axis" if layout is ResultHeader else "s_axis",
                description=inspect.cleandoc(layout.__doc__ or "").replace("``", ""),
                parts=[header, *bodies[layout]],
            )
        )
    return PacketDescription(
        format=PACKET_FORMAT,
        word_bits=WORD_BITS,
        enumerations={"Operation": _members(Operation), "Half": _members(Half)},
        packets=packets,
    )
