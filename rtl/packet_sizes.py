"""Sizes of packets: how codes and results fill stream words."""

from spikequant.golden.layer.spec import WORD_BITS, Spec

PACKET_FORMAT = 1
"""Version of the packets' format; higher after a change that an earlier host or accelerator does not understand."""

CODE_BITS = 8
"""Width of an activation code on the stream."""

CODES_PER_WORD = WORD_BITS // CODE_BITS
"""Activation codes in one stream word."""

WORDS_PER_NEURON = 3
"""Words of one neuron in a NEURONS packet: theta, bias, zero point."""

WORDS_PER_RESULT_HEADER = 1
"""Words before the neurons of a RESULT packet."""

WORDS_PER_RESULT = 2
"""Words of one neuron in a whole RESULT packet."""

BRIEF_CODE_BITS = (8, 16)
"""Widths of an output code in a brief RESULT packet; the first one that is wide enough is used."""

MOST_CODES_PER_WORD = WORD_BITS // BRIEF_CODE_BITS[0]
"""Most output codes in one word of a brief RESULT packet."""

WORDS_PER_TRAILER = 2
"""Words after the neurons of a RESULT packet: beats, spikes."""


def brief_code_bits(spec: Spec) -> int:
    """Width of an output code in a brief RESULT packet."""
    return next(bits for bits in BRIEF_CODE_BITS if spec.output_bits <= bits)


def codes_per_word(spec: Spec) -> int:
    """Output codes in one word of a brief RESULT packet."""
    return WORD_BITS // brief_code_bits(spec)


def code_words(spec: Spec, *, brief: bool) -> int:
    """Words of all neurons in a RESULT packet; of a brief one, the words of codes without those of flags."""
    return spec.neurons // codes_per_word(spec) if brief else spec.neurons * WORDS_PER_RESULT


def result_words(spec: Spec, *, brief: bool = False) -> int:
    """Length of a RESULT packet in words."""
    flags = -(-spec.neurons // WORD_BITS) if brief else 0
    return WORDS_PER_RESULT_HEADER + code_words(spec, brief=brief) + flags + WORDS_PER_TRAILER
