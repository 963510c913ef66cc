"""Short program that uses every function of the accelerator, and violates every rule for packets."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from spikequant.cosim.random.edges import edge_programs, overflow_program
from spikequant.cosim.random.interruptions import interruptions
from spikequant.cosim.random.programs import reserved_bits
from spikequant.cosim.random.queues import queue_programs
from spikequant.golden.layer.random_layers import random_vectors
from spikequant.golden.layer.spec import WORD_BITS, Spec
from spikequant.rtl.driver.packets import (
    TokenTile,
    Words,
    codes_packet,
    neurons_packet,
    operation_of,
    run_packet,
    weights_packet,
)
from spikequant.rtl.driver.program import layer_program
from spikequant.rtl.packet_sizes import CODE_BITS
from spikequant.rtl.shapes import Half, Operation

SPEC = Spec(
    neurons=16,
    clusters=2,
    lanes=2,
    depth=14,
    max_salient_shift=3,
    population_bits=8,
    membrane_bits=18,
    membrane_slots=3,
    theta_fraction_bits=4,
    score_words=32,
)
"""Small accelerator with two clusters, a depth that is no power of two, and a membrane that saturates."""


@dataclass(frozen=True)
class Scene:
    """Packets between two resets.

    Attributes:
        packets: packets in order.
        pauses: percent of cycles in which the sender and the receiver pause.
        results: number of RESULT packets; 0 if it is unspecified.
        cut: number of words to send before a reset interrupts the packets; None sends all.
        later: cycles from the last word to the reset that follows.
        reset: cycles of the reset before the packets.
    """

    packets: list[Words]
    pauses: tuple[int, int]
    results: int
    cut: int | None = None
    later: int = 0
    reset: int = 4


def _layer(
    spec: Spec,
    seed: int,
    *,
    pauses: tuple[int, int],
    outputs: int = 20,
    inputs: int = 24,
    tokens: int = 4,
    wide: int = 0,
    salient_fraction: float = 0.3,
    extremes: bool = True,
    keep_scores: bool = True,
    brief: bool = False,
) -> Scene:
    """Return a random layer in tiles of inputs and outputs."""
    vectors = random_vectors(
        spec,
        outputs=outputs,
        inputs=inputs,
        tokens=tokens,
        wide=wide,
        salient_fraction=salient_fraction,
        extremes=extremes,
        seed=seed,
    )
    program = layer_program(spec, vectors, keep_scores=keep_scores, brief=brief)
    return Scene(program.packets, pauses, len(program.places))


def _noisy(rng: np.random.Generator, packets: list[Words]) -> list[Words]:
    """Return the packets with random reserved bits."""
    noisy = []
    for packet in packets:
        other = packet.copy()
        operation = Operation(operation_of(packet))
        for place, mask in enumerate(reserved_bits(operation)):
            if mask:
                other[place] |= np.uint32(int(rng.integers(2**32)) & mask)
        if operation == Operation.NEURONS:
            # after the header: theta, bias and zero point of each neuron
            other[3::3] |= rng.integers(2**28, size=len(other[3::3])).astype(np.uint32) << 4
        noisy.append(other)
    return noisy


def _constants(spec: Spec, rng: np.random.Generator) -> list[Words]:
    neurons = spec.neurons
    return [
        neurons_packet(
            theta=rng.integers(1, 2**12, neurons).astype(np.uint32),
            bias=rng.integers(-(2**20), 2**20, neurons).astype(np.int32),
            zero=rng.integers(0, 16, neurons).astype(np.uint8),
        ),
        weights_packet(spec, first_input=0, codes=rng.integers(0, 16, (spec.depth, neurons)).astype(np.uint8)),
    ]


def _tile(rng: np.random.Generator, *, merged: bool, shift: int, count: int) -> TokenTile:
    salient = rng.random(count) < 0.5
    value = np.where(salient, rng.integers(0, 32, count), rng.integers(0, 16, count)).astype(np.uint8)
    return TokenTile(value=value, salient=salient, zero=7, shift=shift, offset=-15, merged=merged)


def _runs(
    spec: Spec, rng: np.random.Generator, tiles: list[TokenTile], *, address: int = 0, first_input: int = 0
) -> list[Words]:
    """Return packets that make a score of each tile and run it as a complete membrane."""
    packets = []
    for number, tile in enumerate(tiles):
        packets.append(codes_packet(tile, buffer=number % 2, address=address))
        packets.append(
            run_packet(
                buffer=number % 2,
                address=address,
                shift=tile.shift,
                first_input=first_input,
                slot=int(rng.integers(spec.membrane_slots)),
                first=True,
                last=True,
                half=Half(int(rng.integers(3))),
                brief=bool(number & 1),
            )
        )
    return packets


def _broken(spec: Spec, rng: np.random.Generator) -> Iterator[list[Words]]:
    """Yield groups of packets that violate the rules; a token after each must be correct but for its flag."""
    good = _tile(rng, merged=False, shift=1, count=10)
    many = _tile(rng, merged=False, shift=3, count=spec.depth)
    constants = _constants(spec, rng)
    run = run_packet(buffer=0, shift=0, first_input=0, slot=0, first=True, last=True, half=Half(Half.WHOLE))
    # unknown operations, and packets that are too short or too long
    yield [np.array([15, 1, 2], np.uint32), np.array([0], np.uint32), np.array([1], np.uint32)]
    yield [constants[0][:-1], constants[1][:-1], constants[1][:2], run[:1], np.append(run, run[:1])]
    yield [np.concatenate([constants[1], constants[1][1:9]]), np.concatenate([constants[0], constants[0][1:4]])]
    # headers with values out of range
    for word, bits in (
        (0, 1 << 16),
        (0, 1 << 31),
        (0, 0xF << 8),
        (0, 3 << 6),
        (1, 1 << 7),
        (1, 1 << 16),
        (1, 1 << 31),
        (1, 63 << 16),
    ):
        wrong = run.copy()
        wrong[word] |= bits
        yield [wrong]
    codes = codes_packet(good, buffer=1)
    for word, bits in ((0, 0xF << 8), (0, 1 << 24), (1, 0xF0), (1, 0x4000)):
        wrong = codes.copy()
        wrong[word] |= bits
        yield [
            wrong,
            run_packet(buffer=1, shift=1, first_input=0, slot=1, first=True, last=True, half=Half(Half.WHOLE)),
        ]
    for header, bits in (
        (constants[1], 1 << 16),
        (constants[1], 15 << 16),
        (constants[0], 16 << 16),
        (constants[0], 15 << 16),
    ):
        wrong = header.copy()
        wrong[0] |= np.uint32(bits)
        yield [wrong]
    # codes with too many bits, too many codes, levels out of range, and a score that does not fit
    wide = codes.copy()
    wide[2:] |= np.uint32(0x10401020)
    yield [wide]
    yield [codes_packet(_tile(rng, merged=True, shift=3, count=spec.depth + 9), buffer=0)]
    far = TokenTile(value=good.value, salient=good.salient, zero=good.zero, shift=1, offset=8, merged=False)
    yield _runs(spec, rng, [far, far])
    yield _runs(spec, rng, [many, good], address=spec.score_words - 3)
    # weights beyond the memory; levels that a charge cannot hold
    yield _runs(spec, rng, [many, many], first_input=spec.depth - 4)
    everything = np.ones(spec.depth, np.bool_)
    merged = TokenTile(np.full(spec.depth, 31, np.uint8), everything, zero=7, shift=3, offset=0, merged=True)
    yield _runs(spec, rng, [merged, merged])
    # sums beyond the bound of a charge, each with one of the bits that show it
    sums = [2**bit >> merged.shift for bit in range(spec.population_bits, spec.charge_bits)]
    values = [np.clip(total - 31 * np.arange(spec.depth), 0, 31).astype(np.uint8) for total in sums]
    yield _runs(spec, rng, [replace(merged, value=value) for value in values])


def regression(spec: Spec = SPEC) -> list[Scene]:
    """Return all scenes, which are the same in every call."""
    rng = np.random.default_rng(7)
    scenes = [
        _layer(spec, 1, pauses=(0, 0)),
        _layer(spec, 2, pauses=(30, 40), brief=True),
        _layer(spec, 3, pauses=(0, 70), wide=5, salient_fraction=0.6),
        _layer(spec, 4, pauses=(50, 0), keep_scores=False, brief=True, salient_fraction=0.05, inputs=40),
        _layer(spec, 5, pauses=(0, 0), salient_fraction=1.0, inputs=14, outputs=16, tokens=6),
        _layer(spec, 6, pauses=(10, 10), salient_fraction=0.0, inputs=3, outputs=16, tokens=6),
        _layer(spec, 7, pauses=(0, 85), brief=True, inputs=5, outputs=16, tokens=12, extremes=False),
    ]
    for seed in range(8, 24):
        scene = _layer(
            spec,
            seed,
            inputs=int(rng.integers(1, 45)),
            outputs=int(rng.integers(9, 33)),
            tokens=int(rng.integers(1, 8)),
            salient_fraction=float(rng.choice([0.0, 0.1, 0.5])),
            brief=bool(rng.integers(2)),
            keep_scores=bool(rng.integers(2)),
            pauses=(int(rng.choice([0, 20, 60])), int(rng.choice([0, 30, 90]))),
        )
        scenes.append(replace(scene, packets=_noisy(rng, scene.packets)))
    # a receiver that is rarely ready: all queues are full
    scenes.append(_layer(spec, 24, pauses=(0, 98), brief=True, inputs=2, outputs=16, tokens=40, extremes=False))
    scenes.append(_layer(spec, 25, pauses=(0, 97), inputs=2, outputs=16, tokens=24, extremes=False))
    # the same with long scores, so that beats are prefetched as far as possible
    scenes.append(_layer(spec, 26, pauses=(0, 99), inputs=14, outputs=16, tokens=10, salient_fraction=1.0, brief=True))
    scenes += [Scene(packets, (0, (0, 60)[number % 2]), n) for number, (packets, n) in enumerate(edge_programs(spec))]
    scenes += [Scene(scenes[0].packets, (20, 20), 0, cut=cut) for cut in (37, 200, 333, 411, 508)]
    scenes.append(Scene(scenes[0].packets, (0, 0), scenes[0].results))
    tiles = [
        _tile(
            rng,
            merged=bool(number & 1),
            shift=number % (spec.max_salient_shift + 1),
            count=1 + number % spec.depth,
        )
        for number in range(24)
    ]
    # some of these have more levels than a charge holds
    scenes.append(Scene([*_constants(spec, rng), *_runs(spec, rng, tiles)], (0, 0), 0))
    scenes.append(Scene([*_constants(spec, rng), *_runs(spec, rng, tiles, address=9, first_input=2)], (5, 50), 0))
    for broken in _broken(spec, rng):
        token = _runs(spec, rng, [_tile(rng, merged=False, shift=1, count=9)])
        scenes.append(Scene([*_constants(spec, rng), *broken, *token], (0, 0), 0))
    scenes.append(Scene(overflow_program(spec), (0, 0), 0))
    # single words for an idle design
    scenes.append(_layer(spec, 27, pauses=(95, 0), inputs=16, outputs=16, tokens=2))
    scenes.append(_layer(spec, 28, pauses=(97, 50), inputs=3, outputs=16, tokens=3, brief=True, salient_fraction=0.5))
    programs = queue_programs(spec, _constants(spec, rng))
    scenes += [Scene(packets, (0, (30, 0, 90)[number % 3]), n) for number, (packets, n) in enumerate(programs)]
    # a score that does not fit its buffer, with no other fault
    small = TokenTile(np.full(9, 3, np.uint8), np.zeros(9, np.bool_), 0, 0, 0, merged=False)
    for less in (1, 2):
        over = codes_packet(small, buffer=1, address=spec.score_words - less)
        scenes.append(Scene([*_constants(spec, rng), over, *_runs(spec, rng, [small])], (0, 0), 0))
    # one code with a level at and beyond either end of the range, at each place of a word, among silent ones
    for place in range(WORD_BITS // CODE_BITS):
        for value, offset in ((0, -128), (0, -64), (0, -40), (0, -33), (0, -32), (0, -31), (31, 0), (31, 1), (31, 127)):
            salient = np.arange(5) == place
            extreme = TokenTile(np.where(salient, value, 0).astype(np.uint8), salient, 0, 0, offset, merged=False)
            token = _runs(spec, rng, [small])
            scenes.append(Scene([codes_packet(extreme, buffer=1), *token], (0, 0), 0))
    begun = [*_constants(spec, rng), *_runs(spec, rng, [_tile(rng, merged=False, shift=2, count=spec.depth)])]
    probe = _runs(spec, rng, [_tile(rng, merged=False, shift=1, count=spec.depth)])
    for packets, cut, later, reset in interruptions(begun, probe):
        scenes.append(Scene(packets, (0, 0), 0, cut=cut, later=later, reset=reset))
    return scenes


PLAIN, FINAL, RESET, PAUSES, SETTLE, WAIT = range(6)
"""Kinds of entries in the input of ``bench.cpp``: a word, the last word of a packet, a reset for some cycles, pauses, a
wait until the accelerator is idle, a wait for some cycles."""


def bench_words(scenes: Sequence[Scene]) -> bytes:
    """Encode scenes for ``bench.cpp``: pairs of words, the kind of an entry and its value."""
    entries: list[tuple[int, int]] = []
    for scene in scenes:
        words = [
            (FINAL if index == len(packet) - 1 else PLAIN, int(word))
            for packet in scene.packets
            for index, word in enumerate(packet)
        ]
        entries += [(RESET, scene.reset), (PAUSES, scene.pauses[0] << 8 | scene.pauses[1]), *words[: scene.cut]]
        entries.append((SETTLE, 0) if scene.cut is None else (WAIT, scene.later))
    return np.array(entries, "<u4").tobytes()
