"""How codes and results fill stream words: what packets are made of, and what they cost in cycles."""

from spikequant.golden.layer.spec import WORD_BITS, Spec

CODE_BITS = 8
"""Width of an activation code on the stream."""

CODES_PER_WORD = WORD_BITS // CODE_BITS
"""Activation codes in one stream word."""

WORDS_PER_NEURON = 3
"""Words of one neuron in a NEURONS packet: theta, bias, zero point."""

WORDS_PER_RESULT_HEADER = 1
"""Words before the neurons of a RESULT packet."""

WORDS_PER_RESULT = 2
"""Words of one neuron in a RESULT packet with all figures."""

BRIEF_CODE_BITS = (8, 16)
"""Widths of an output code in a RESULT packet in brief: the first that holds it."""

MOST_CODES_PER_WORD = WORD_BITS // BRIEF_CODE_BITS[0]
"""Output codes in one word of a RESULT packet in brief at most."""

WORDS_PER_TRAILER = 2
"""Words behind the neurons of a RESULT packet: beats, spikes."""


def brief_code_bits(spec: Spec) -> int:
    """Width of an output code in a RESULT packet in brief."""
    return next(bits for bits in BRIEF_CODE_BITS if spec.output_bits <= bits)


def codes_per_word(spec: Spec) -> int:
    """Output codes in one word of a RESULT packet in brief."""
    return WORD_BITS // brief_code_bits(spec)


def code_words(spec: Spec, *, brief: bool) -> int:
    """Words of all neurons in a RESULT packet; in brief, those of their codes, without the flags."""
    return spec.neurons // codes_per_word(spec) if brief else spec.neurons * WORDS_PER_RESULT


def result_words(spec: Spec, *, brief: bool = False) -> int:
    """Length of a RESULT packet in words."""
    flags = -(-spec.neurons // WORD_BITS) if brief else 0
    return WORDS_PER_RESULT_HEADER + code_words(spec, brief=brief) + flags + WORDS_PER_TRAILER
