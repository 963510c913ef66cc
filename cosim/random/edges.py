"""Programs at the ends of ranges, which random programs rarely reach; all but one are valid."""

from collections.abc import Iterator, Sequence

import numpy as np

from spikequant.golden.layer.score import score_cost
from spikequant.golden.layer.spec import BIAS_BITS, THETA_BITS, Spec
from spikequant.rtl.driver.packets import TokenTile, Words, codes_packet, neurons_packet, run_packet, weights_packet
from spikequant.rtl.shapes import Half

STEPS = (1, -1, 15, -15, 0, 8, -8, 3)
"""Weights minus zero points by neuron, equal for all inputs."""


def _constants(spec: Spec, theta: Sequence[int], bias: Sequence[int]) -> list[Words]:
    steps = np.resize(STEPS, spec.neurons)
    zero = np.where(steps < 0, spec.max_weight_code, 0)
    codes = np.broadcast_to(zero + steps, (spec.depth, spec.neurons))
    return [
        neurons_packet(
            theta=np.resize(np.array(theta, np.uint32), spec.neurons),
            bias=np.resize(np.array(bias, np.int64), spec.neurons).astype(np.int32),
            zero=zero.astype(np.uint8),
        ),
        weights_packet(spec, first_input=0, codes=codes.astype(np.uint8)),
    ]


def _tile(spec: Spec, total: int, *, shift: int, negative: bool = False) -> TokenTile:
    """Return a tile of salient inputs in falling order whose levels before the shift sum to ``total``."""
    most = spec.max_salient_code
    value = np.clip(total - most * np.arange(spec.depth), 0, most)
    level = (-value if negative else value).astype(np.int64)
    assert abs(level.sum()) == total
    salient = np.ones(spec.depth, np.bool_)
    cost = score_cost(spec, level << shift, salient, shift)
    offset = -most if negative else 0
    return TokenTile((level - offset).astype(np.uint8), salient, 0, shift, offset, merged=cost.merged)


def _membrane(
    spec: Spec, parts: Sequence[tuple[int, int, Half]], *, negative: bool = False, brief: bool = False, slot: int = 0
) -> list[Words]:
    """Return the runs of a membrane, each given by a sum of levels, a shift and a half of the weights."""
    packets = []
    for number, (total, shift, half) in enumerate(parts):
        tile = _tile(spec, total, shift=shift, negative=negative)
        level = (tile.value.astype(np.int64) + tile.offset) << shift
        # the score ends in the last word of its buffer
        buffer, address = number % 2, spec.score_words - score_cost(spec, level, tile.salient, shift).words
        packets.append(codes_packet(tile, buffer=buffer, address=address))
        packets.append(
            run_packet(
                buffer=buffer,
                address=address,
                shift=shift,
                first_input=0,
                slot=slot,
                first=number == 0,
                last=number == len(parts) - 1,
                half=half,
                brief=brief,
            )
        )
    return packets


def _parts(spec: Spec, target: int) -> list[tuple[int, int, Half]]:
    """Split ``target`` into runs whose levels add up to it for a weight of 1, the largest scales first."""
    whole, high, shift = Half(Half.WHOLE), Half(Half.HIGH), spec.max_salient_shift
    parts = []
    for scale, kind in (
        (spec.weight_bits + shift, (shift, high)),
        (spec.weight_bits, (0, high)),
        (shift, (shift, whole)),
        (0, (0, whole)),
    ):
        while target >> scale:
            total = min(target >> scale, spec.max_population)
            parts.append((total, *kind))
            target -= total << scale
    return parts


def overflow_program(spec: Spec) -> list[Words]:
    """Return sums that wrap around into the membrane's range again, so that only the flag shows the overflow."""
    most = (spec.max_population, spec.max_salient_shift, Half(Half.HIGH))
    packets = _constants(spec, (2**9, 2**14 + 1), (0, 1, -1))
    for number, runs in enumerate((8, 9, 17, 18)):
        for negative in (False, True):
            packets += _membrane(spec, [most] * runs, negative=negative, slot=number % spec.membrane_slots)
    return packets


def edge_programs(spec: Spec) -> Iterator[tuple[list[Words], int]]:
    """Yield packets and the number of results: sums at their bound, membranes at their limits, extreme constants."""
    slots = spec.membrane_slots
    top, limit = 2**THETA_BITS, 2 ** (spec.membrane_bits - 1)
    end = 2 ** (BIAS_BITS - 1)
    # sums of levels at the bound and next to it, with every shift, in phases of their own and in place
    bound = spec.max_population
    packets = _constants(spec, (1, 100, 2**12, 2**16 - 1), (0,))
    sums = [
        (total, shift, negative)
        for shift in range(spec.max_salient_shift + 1)
        for total in (bound, bound - 1, bound >> shift, max(0, (bound >> shift) - 1))
        for negative in (False, True)
    ]
    for number, (total, shift, negative) in enumerate(sums):
        whole = [(total, shift, Half(Half.WHOLE))]
        packets += _membrane(spec, whole, negative=negative, brief=bool(number & 1), slot=number % slots)
    yield packets, len(sums)
    # membranes at their limits and next to them, on both sides
    packets = _constants(spec, (2**9, 2**14 + 1, 2**17 - 1, 2**20), (0, 1, -1))
    targets = [(limit + near, negative) for near in (-2, -1, 0, 1) for negative in (False, True)]
    for number, (target, negative) in enumerate(targets):
        packets += _membrane(spec, _parts(spec, target), negative=negative, slot=number % slots)
    yield packets, len(targets)
    # powers of two and one less, so that each bit of a membrane is set alone and together with all lower ones
    packets = _constants(spec, (1, 2, 3, 5), (0,))
    powers = [(1 << bit) - less for bit in range(1, spec.membrane_bits) for less in (0, 1)]
    for number, target in enumerate(powers):
        packets += _membrane(spec, _parts(spec, target), negative=bool(number & 2), slot=number % slots)
    yield packets, len(powers)
    # extreme thresholds and biases
    thetas = (top - 1, top - 2, top // 2, top // 2 - 1, top // 2 + 1, top // 4, 1, 2, 3, top // 3)
    biases = (end - 1, -end, 0, 1 - end, end // 2, -end // 2, 1, -1)
    for start in range(len(biases)):
        packets = _constants(spec, thetas[start:] + thetas[:start], biases[start:] + biases[:start])
        packets += _membrane(spec, [(bound, 0, Half(Half.WHOLE))], brief=bool(start & 1))
        packets += _membrane(spec, [(0, 0, Half(Half.LOW))], brief=not start & 1)
        yield packets, 2
