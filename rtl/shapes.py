"""Every packet and payload layout, defined once for hardware, test bench and host.

A packet is a run of 32-bit words on an AXI4-Stream, the last one marked. Its first word says what it is:

=========  ====================================================================================
WEIGHTS    ``WeightsHeader``, then ``words_per_row`` words of packed weights for each input
NEURONS    ``NeuronsHeader``, then theta, bias and zero point, a word each, for each neuron
RUN        ``RunHeader`` (two words), then activation codes, four ``Code`` bytes a word
RESULT     from the accelerator: ``ResultHeader``, two words of ``Result`` a neuron, then the
           totals of beats and of spikes since reset, a word each
=========  ====================================================================================

Words fill up from the least significant bits: input k before k + 1, neuron n before n + 1.
"""

from amaranth.hdl import ShapeCastable, signed, unsigned
from amaranth.lib import data, enum

from golden.spec import BIAS_BITS, THETA_BITS, WORD_BITS, Spec

CODE_BITS = 8
"""Width of an activation code on the stream."""

CODES_PER_WORD = WORD_BITS // CODE_BITS
"""Activation codes in one stream word."""

WORDS_PER_NEURON = 3
"""Words of one neuron in a NEURONS packet: theta, bias, zero point."""

WORDS_PER_RESULT = 2
"""Words of one neuron in a RESULT packet."""

WORDS_PER_TRAILER = 2
"""Words behind the neurons of a RESULT packet: beats, spikes."""


class Operation(enum.Enum, shape=4):
    """What a packet is."""

    WEIGHTS = 1
    NEURONS = 2
    RUN = 3
    RESULT = 4


class Half(enum.Enum, shape=2):
    """Which half of the weights a RUN packet adds.

    WHOLE weights go to the membrane as they are. A layer with wide columns runs HIGH halves, shifted up
    by the bits of a weight, and LOW halves, which have no zero point.
    """

    WHOLE = 0
    HIGH = 1
    LOW = 2


class WeightsHeader(data.Struct):
    """Opens a WEIGHTS packet.

    ``input``: index of the first input, a multiple of the lanes.
    """

    operation: Operation
    reserved: unsigned(12)
    input: unsigned(16)


class NeuronsHeader(data.Struct):
    """Opens a NEURONS packet, ``neuron`` being the first one."""

    operation: Operation
    reserved: unsigned(12)
    neuron: unsigned(16)


class RunHeader(data.Struct):
    """Opens a RUN packet: one token's activations for one tile of inputs.

    ``first``: the membrane starts from zero; ``last``: the membrane is complete, and is read out.
    ``shift``: power of two m on the salient codes; ``slot``: which kept membrane it adds to.
    ``zero``: zero point z of the normal codes; ``offset``: smallest salient code c0.
    ``input``: index of the first input's weights, a multiple of the lanes.
    """

    operation: Operation
    first: unsigned(1)
    last: unsigned(1)
    half: Half
    shift: unsigned(4)
    reserved: unsigned(4)
    slot: unsigned(8)
    zero: unsigned(8)
    input: unsigned(16)
    offset: signed(8)
    reserved_high: unsigned(8)


class Code(data.Struct):
    """One activation: a normal code q, or a salient code c5 counted from the token's c0."""

    value: unsigned(7)
    salient: unsigned(1)


class ResultHeader(data.Struct):
    """Opens a RESULT packet.

    ``malformed``: some packet since reset broke these rules, and was dropped or cut.
    """

    operation: Operation
    malformed: unsigned(1)
    reserved: unsigned(11)
    slot: unsigned(8)
    reserved_high: unsigned(8)


class Result(data.Struct):
    """One neuron's result: V' with its bias, output code, and whether the membrane left its range."""

    membrane: signed(40)
    code: signed(16)
    reserved: unsigned(7)
    saturated: unsigned(1)


HEADER_WORDS = {
    Operation.WEIGHTS: WeightsHeader.as_shape().size // WORD_BITS,
    Operation.NEURONS: NeuronsHeader.as_shape().size // WORD_BITS,
    Operation.RUN: RunHeader.as_shape().size // WORD_BITS,
    Operation.RESULT: ResultHeader.as_shape().size // WORD_BITS,
}
"""Words of each packet's header."""


def bits_for_index(count: int) -> int:
    """Width of an index below ``count``; at least one bit."""
    return max(1, (count - 1).bit_length())


def beat_layout(spec: Spec) -> data.StructLayout:
    """One cycle of the event program.

    ``fire``, ``sign``, ``row``: per lane, a spike of the input in that row, subtracting where ``sign``.
    ``tick``: the current is added to the charge behind this beat's spikes.
    ``end``: no spikes; the phase is over and its charges go to the neurons as ``phase`` says.
    """
    return data.StructLayout(
        {
            "fire": unsigned(spec.lanes),
            "sign": unsigned(spec.lanes),
            "row": data.ArrayLayout(bits_for_index(spec.rows), spec.lanes),
            "tick": 1,
            "end": 1,
            "phase": phase_layout(spec),
        }
    )


def phase_layout(spec: Spec) -> data.StructLayout:
    """What becomes of one phase's charges: added to the membrane in ``slot``, shifted up by ``shift``.

    ``first`` starts the membrane from zero, ``last`` reads it out, ``low`` weights have no zero point.
    """
    return data.StructLayout(
        {
            "shift": bits_for_index(spec.max_shift + 1),
            "slot": bits_for_index(spec.membrane_slots),
            "first": 1,
            "last": 1,
            "low": 1,
        }
    )


def codes_layout() -> data.StructLayout:
    """A word of activation codes with the header of its packet; ``final`` marks the packet's last word."""
    return data.StructLayout({"header": RunHeader, "codes": data.ArrayLayout(Code, CODES_PER_WORD), "final": 1})


def parameters_layout(spec: Spec) -> data.StructLayout:
    """The constants of one neuron."""
    return data.StructLayout({"theta": THETA_BITS, "bias": signed(BIAS_BITS), "zero": spec.weight_bits})


def membrane_layout(spec: Spec) -> data.StructLayout:
    """A membrane on its way to completion, and whether it ever left the range that is kept."""
    return data.StructLayout({"value": signed(spec.kept_bits), "saturated": 1})


def ready_layout(spec: Spec) -> data.StructLayout:
    """A complete membrane on its way to the read-out; ``final`` marks the last neuron."""
    return data.StructLayout(
        {
            "membrane": signed(spec.biased_bits),
            "theta": THETA_BITS,
            "saturated": 1,
            "slot": bits_for_index(spec.membrane_slots),
            "final": 1,
        }
    )


def code_layout(spec: Spec) -> data.StructLayout:
    """A complete membrane with its output code; ``final`` marks the last neuron."""
    return data.StructLayout(
        {
            "membrane": signed(spec.biased_bits),
            "code": signed(spec.output_bits),
            "saturated": 1,
            "slot": bits_for_index(spec.membrane_slots),
            "final": 1,
        }
    )


def word_layout() -> data.StructLayout:
    """A stream word with its end-of-packet mark, as AXI4-Stream's TDATA and TLAST."""
    return data.StructLayout({"data": WORD_BITS, "last": 1})


def size_of(layout: ShapeCastable) -> int:
    """Width of a layout in bits."""
    return data.Layout.cast(layout).size
