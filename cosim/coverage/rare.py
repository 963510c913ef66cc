"""Programs that random ones rarely resemble, such as a very long one, and one of single runs."""

import numpy as np

from spikequant.golden.layer.score import score_cost
from spikequant.golden.layer.spec import Spec
from spikequant.rtl.driver.packets import TokenTile, Words, codes_packet, neurons_packet, run_packet, weights_packet
from spikequant.rtl.result_queue import packets_waiting
from spikequant.rtl.shapes import Half

PASSED = 2**17
"""Least number of beats and of spikes of the long program, in which bit 16 of the totals rises and falls."""


def _level(spec: Spec) -> np.ndarray:
    """Return levels of 1, except for the first one, which takes as many ticks as possible."""
    level = np.ones(spec.depth, np.int64)
    level[0] = min(spec.ramp, spec.max_activation_code)
    return level


def _score(spec: Spec) -> list[Words]:
    """Return packets with constants, weights, and a score in buffer 0."""
    nothing = np.zeros(spec.depth, np.bool_)
    return [
        neurons_packet(
            theta=np.ones(spec.neurons, np.uint32),
            bias=np.zeros(spec.neurons, np.int32),
            zero=np.zeros(spec.neurons, np.uint8),
        ),
        weights_packet(spec, first_input=0, codes=np.zeros((spec.depth, spec.neurons), np.uint8)),
        codes_packet(TokenTile(_level(spec).astype(np.uint8), nothing, 0, 0, 0, merged=False), buffer=0),
    ]


def _run(*, buffer: int = 0, shift: int = 0, first_input: int = 0, first: bool = True, last: bool = True) -> Words:
    half = Half(Half.WHOLE)
    return run_packet(buffer=buffer, shift=shift, first_input=first_input, slot=0, first=first, last=last, half=half)


def totals_program(spec: Spec) -> list[Words]:
    """Return many runs of one score, with which the totals exceed 16 bits, and a result at the end."""
    cost = score_cost(spec, _level(spec), np.zeros(spec.depth, np.bool_), 0)
    # a beat or a tick takes a cycle each
    runs = -(-PASSED // min(spec.depth, cost.cycles))
    return [*_score(spec), *(_run(first=number == 0, last=number == runs - 1) for number in range(runs))]


def _small_score(spec: Spec) -> list[Words]:
    """Return packets with constants, weights, and a score of one spike in buffer 0."""
    small = codes_packet(TokenTile(np.ones(1, np.uint8), np.zeros(1, np.bool_), 0, 0, 0, merged=False), buffer=0)
    return [*_score(spec)[:2], small]


def single_runs(spec: Spec) -> list[Words]:
    """Return runs with one result each, from the first rows of weights on, whose queue starts empty."""
    return [*_small_score(spec), *(_run(first_input=row) for row in range(0, spec.depth, spec.lanes))]


def waiting_results(spec: Spec) -> list[Words]:
    """Return more short runs than can have results in flight, for a receiver that is rarely ready."""
    return [*_small_score(spec), *(_run() for _ in range(2 * packets_waiting(spec)))]


def overflowing_sums(spec: Spec) -> list[Words]:
    """Return sums of levels beyond a charge, each with one of the bits that show it, and the largest possible sum.

    The driver never sends such scores: their results are flagged, and their values unspecified.
    """
    salient = np.full(spec.depth, bool(spec.salient_bits))
    shift = spec.max_salient_shift if spec.salient_bits else 0
    most = spec.max_salient_code if spec.salient_bits else spec.max_activation_code
    sums = [2**bit >> shift for bit in range(spec.population_bits, spec.charge_bits)] + [most * spec.depth]
    packets = _score(spec)[:1]
    for fill in (0, spec.max_weight_code):
        packets.append(weights_packet(spec, first_input=0, codes=np.full((spec.depth, spec.neurons), fill, np.uint8)))
        for number, total in enumerate(sums):
            level = np.clip(total - most * np.arange(spec.depth), 0, most)
            for negative in (False, True):
                base = most if negative else 0
                value = (base - level if negative else level).astype(np.uint8)
                zero, offset = (0, -base) if spec.salient_bits else (base, 0)
                tile = TokenTile(value, salient, zero, shift, offset, merged=bool(spec.salient_bits))
                buffer = number % 2
                packets.append(codes_packet(tile, buffer=buffer))
                packets.append(_run(buffer=buffer, shift=shift))
    return packets
