"""A program so long that the totals of beats and spikes pass 16 bits, which short ones leave at their beginning."""

import numpy as np

from golden.score import score_cost
from golden.spec import Spec
from rtl.packets import TokenTile, Words, codes_packet, neurons_packet, run_packet, weights_packet
from rtl.shapes import Half

PASSED = 2**17
"""Beats, and spikes, at the least: bit 16 of the totals has risen and fallen."""


def totals_program(spec: Spec) -> list[Words]:
    """One score, on and on, and a result at the end."""
    level = np.ones(spec.depth, np.int64)
    level[0] = min(spec.ramp, spec.max_activation_code)
    nothing = np.zeros(spec.depth, np.bool_)
    cost = score_cost(spec, level, nothing, 0)
    # a beat or a tick takes a cycle each
    runs = -(-PASSED // min(spec.depth, cost.cycles))
    packets = [
        neurons_packet(
            theta=np.ones(spec.neurons, np.uint32),
            bias=np.zeros(spec.neurons, np.int32),
            zero=np.zeros(spec.neurons, np.uint8),
        ),
        weights_packet(spec, first_input=0, codes=np.zeros((spec.depth, spec.neurons), np.uint8)),
        codes_packet(TokenTile(level.astype(np.uint8), nothing, 0, 0, 0, merged=False), buffer=0),
    ]
    for number in range(runs):
        packets.append(
            run_packet(
                buffer=0,
                shift=0,
                first_input=0,
                slot=0,
                first=number == 0,
                last=number == runs - 1,
                half=Half(Half.WHOLE),
            )
        )
    return packets
