"""Layouts of packets and payloads, defined once for hardware, test bench and host.

A packet is a sequence of 32-bit words on an AXI4-Stream, the last one marked. Its first word holds its operation:

=========  ====================================================================================
WEIGHTS    ``WeightsHeader``, then ``words_per_row`` words of packed weights for each input
NEURONS    ``NeuronsHeader``, then theta, bias and zero point, a word each, for each neuron
CODES      ``CodesHeader`` (two words), then activation codes, four ``Code`` bytes a word
RUN        ``RunHeader`` (two words)
RESULT     from the accelerator: ``ResultHeader``, two words of ``Result`` a neuron, then the
           totals of beats and of spikes since reset, a word each; or, if brief, the header,
           ``codes_per_word`` output codes a word, 32 flags of saturated membranes a word, and
           the totals
=========  ====================================================================================

Words fill up from the least significant bits: input k before k + 1, neuron n before n + 1.
"""

from amaranth.hdl import ShapeCastable, signed, unsigned
from amaranth.lib import data, enum

from spikequant.golden.layer.spec import BIAS_BITS, GATHERED, THETA_BITS, WORD_BITS, Spec
from spikequant.rtl.packet_sizes import CODES_PER_WORD, MOST_CODES_PER_WORD

PacketWord = data.StructLayout({"data": WORD_BITS, "last": 1})
"""A stream word with its end-of-packet mark, AXI4-Stream's TDATA and TLAST."""


class Operation(enum.Enum, shape=4):
    """Operation of a packet."""

    WEIGHTS = 1
    NEURONS = 2
    CODES = 3
    RUN = 4
    RESULT = 5


class Half(enum.Enum, shape=2):
    """Half of the weights that a RUN packet adds.

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


class CodesHeader(data.Struct):
    """Opens a CODES packet: one token's activations for one tile of inputs, to be sorted into a score.

    ``buffer``, ``address``: where the score begins. A buffer takes no new score while a run of one of its scores is
    waiting or under way.
    ``shift``: power of two m on the salient codes; ``offset``: smallest salient code c0.
    ``zero``: zero point z of the normal codes.
    ``merged``: the charge has room for the shifted salient levels and the normal ones, so it is doubled in place.
    """

    operation: Operation
    buffer: unsigned(1)
    merged: unsigned(1)
    reserved: unsigned(2)
    shift: unsigned(4)
    reserved_high: unsigned(4)
    address: unsigned(16)
    zero: unsigned(8)
    offset: signed(8)
    reserved_top: unsigned(16)


class RunHeader(data.Struct):
    """A whole RUN packet: a score runs on the weights of one tile.

    ``first``: the membrane starts from zero; ``last``: the membrane is complete, and is read out.
    ``half``: half of the weights.
    ``shift``: as in the score's CODES packet; ``slot``: index of the membranes that it adds to.
    ``buffer``, ``address``: where the score begins.
    ``input``: index of the first input's weights, a multiple of the lanes.
    ``brief``: with ``last``, the result has codes and flags alone.
    """

    operation: Operation
    first: unsigned(1)
    last: unsigned(1)
    half: Half
    shift: unsigned(4)
    buffer: unsigned(1)
    brief: unsigned(1)
    reserved: unsigned(2)
    slot: unsigned(8)
    reserved_high: unsigned(8)
    address: unsigned(16)
    input: unsigned(16)


class Code(data.Struct):
    """One activation: a normal code q, or a salient code c5 counted from the token's c0."""

    value: unsigned(7)
    salient: unsigned(1)


class ResultHeader(data.Struct):
    """Opens a RESULT packet.

    ``malformed``: some packet since reset broke these rules, and was dropped or cut.
    ``brief``: codes and flags follow instead of whole results.
    ``corrupted``: with ``weight_parity``, some row of weights that was read since reset has a wrong parity; results
    since then are unspecified.
    """

    operation: Operation
    malformed: unsigned(1)
    brief: unsigned(1)
    corrupted: unsigned(1)
    reserved: unsigned(9)
    slot: unsigned(8)
    reserved_high: unsigned(8)


class Result(data.Struct):
    """One neuron's result: V' with its bias, output code, and whether the membrane left its range."""

    membrane: signed(40)
    code: signed(16)
    reserved: unsigned(7)
    saturated: unsigned(1)


HEADERS = {
    Operation.WEIGHTS: WeightsHeader,
    Operation.NEURONS: NeuronsHeader,
    Operation.CODES: CodesHeader,
    Operation.RUN: RunHeader,
    Operation.RESULT: ResultHeader,
}
"""Layout of each packet's header."""

HEADER_WORDS = {operation: header.as_shape().size // WORD_BITS for operation, header in HEADERS.items()}
"""Words of each packet's header."""


def bits_for_index(count: int) -> int:
    """Width of an index below ``count``; at least one bit."""
    return max(1, (count - 1).bit_length())


def step_layout() -> data.StructLayout:
    """Operation of all currents and charges in one cycle.

    ``keep_current``: the spikes are added to the current.
    ``keep_charge``: a tick, which adds the current to the charge; with ``double`` the charge is doubled instead.
    ``clear``: the current becomes zero after the tick.
    ``finish``: with this tick, the charge is that of a whole phase; it becomes zero in the next cycle.
    """
    return data.StructLayout(dict.fromkeys(("keep_current", "keep_charge", "double", "clear", "finish"), 1))


def cycle_layout(spec: Spec) -> data.StructLayout:
    """Operation of the array in one cycle.

    ``fire``, ``sign``, ``row``: per lane, a spike of the input in that row of the pair's memory, negative where
    ``sign``; a lane without a spike has sign and row 0.
    """
    return data.StructLayout(
        {
            "fire": unsigned(spec.lanes),
            "sign": unsigned(spec.lanes),
            "row": data.ArrayLayout(bits_for_index(spec.memory_rows), spec.lanes),
            "step": step_layout(),
        }
    )


class Behind(enum.Enum, shape=2):
    """What follows the ticks of a beat.

    NEXT: the next beat of the same phase. DOUBLE: the current is cleared, and a beat that doubles the charge follows.
    END: the phase is over; one more tick finishes the charge. SHIFTED: the same, and the charge is still to be shifted
    up by the token's shift.
    """

    NEXT = 0
    DOUBLE = 1
    END = 2
    SHIFTED = 3


def beat_layout(spec: Spec) -> data.StructLayout:
    """One word of a score, which is a token's spikes in time order.

    ``spikes``: per lane, the input's place among its pair's inputs, or ``IDLE``, and the sign of its level.
    ``double``: no spikes, and no current; each tick doubles the charge, and there is at least one.
    ``ticks``: cycles after the spikes in which the current is added to the charge; the last one may be the cycle of the
    next beat.
    ``behind``: what follows the ticks.
    """
    spike = data.StructLayout({"place": bits_for_index(spec.memory_rows), "sign": 1})
    return data.StructLayout(
        {"spikes": data.ArrayLayout(spike, spec.lanes), "double": 1, "ticks": spec.ramp.bit_length(), "behind": Behind}
    )


def idle_place(spec: Spec) -> int:
    """The place in a beat that means no spike."""
    return 2 ** bits_for_index(spec.memory_rows) - 1


def score_address_bits(spec: Spec) -> int:
    """Width of a beat's address: the buffer above the word in it."""
    return 1 + bits_for_index(spec.score_words)


def run_layout(spec: Spec) -> data.StructLayout:
    """A checked RUN packet: where the score begins, the row of its weights, and where its charges go.

    ``first_row``: row of the synapse memories in which the first input's weights are.
    """
    return data.StructLayout(
        {
            "address": score_address_bits(spec),
            "first_row": bits_for_index(spec.memory_rows),
            "first": 1,
            "last": 1,
            "half": Half,
            "shift": bits_for_index(spec.max_salient_shift + 1),
            "slot": bits_for_index(spec.membrane_slots),
            "brief": 1,
        }
    )


def phase_layout(spec: Spec) -> data.StructLayout:
    """Destination of one phase's charges: the membrane in ``slot``, after a shift up by ``shift``.

    ``first`` starts the membrane from zero, ``last`` reads it out, ``low`` weights have no zero point; ``brief``
    results have codes and flags alone.
    """
    return data.StructLayout(
        {
            "shift": bits_for_index(spec.max_shift + 1),
            "slot": bits_for_index(spec.membrane_slots),
            "first": 1,
            "last": 1,
            "low": 1,
            "brief": 1,
        }
    )


def charged_layout(spec: Spec) -> data.StructLayout:
    """A neuron's charge of a finished phase, with what all charges of the phase share.

    ``reference``: charges of neurons with weights ``weight_offset`` and one more. ``exceeded``: the levels of the
    phase sum up to more than ``max_population``, so its charges may be wrong.
    """
    return data.StructLayout(
        {
            "charge": spec.charge_bits,
            "reference": data.ArrayLayout(spec.charge_bits, 2),
            "exceeded": 1,
            "phase": phase_layout(spec),
        }
    )


def gathered_layout(spec: Spec) -> data.StructLayout:
    """Charges that leave the array in one cycle, each from its own part of the neurons; else as ``charged_layout``."""
    charged = charged_layout(spec)
    common = {name: charged[name].shape for name in ("reference", "exceeded", "phase")}
    return data.StructLayout({"charges": data.ArrayLayout(spec.charge_bits, GATHERED)} | common)


def codes_layout() -> data.StructLayout:
    """A word of activation codes with the header of its packet; ``final`` marks the packet's last word."""
    return data.StructLayout({"header": CodesHeader, "codes": data.ArrayLayout(Code, CODES_PER_WORD), "final": 1})


def parameters_layout(spec: Spec) -> data.StructLayout:
    """The constants of one neuron."""
    return data.StructLayout({"theta": THETA_BITS, "bias": signed(BIAS_BITS), "zero": spec.weight_bits})


def membrane_layout(spec: Spec) -> data.StructLayout:
    """An incomplete membrane, and whether it ever left the range that is kept."""
    return data.StructLayout({"value": signed(spec.kept_bits), "saturated": 1})


def complete_layout(spec: Spec) -> data.StructLayout:
    """A complete membrane without its bias. If ``saturated``, only the sign of the value is valid."""
    return data.StructLayout({"value": signed(spec.membrane_bits), "saturated": 1, "brief": 1})


def ready_layout(spec: Spec) -> data.StructLayout:
    """A complete membrane with its bias and threshold, as the read-out takes it."""
    return data.StructLayout({"membrane": signed(spec.biased_bits), "theta": THETA_BITS, "saturated": 1, "brief": 1})


def code_layout(spec: Spec) -> data.StructLayout:
    """A complete membrane with its output code."""
    return data.StructLayout(
        {"membrane": signed(spec.biased_bits), "code": signed(spec.output_bits), "saturated": 1, "brief": 1}
    )


def packet_layout(spec: Spec) -> data.StructLayout:
    """Contents of a RESULT packet's header."""
    return data.StructLayout({"slot": bits_for_index(spec.membrane_slots), "brief": 1})


def result_word_layout() -> data.StructLayout:
    """A word of results; if brief, with the flags of the codes in it."""
    return data.StructLayout({"data": WORD_BITS, "flags": MOST_CODES_PER_WORD})


def size_of(layout: ShapeCastable) -> int:
    """Width of a layout in bits."""
    return data.Layout.cast(layout).size
