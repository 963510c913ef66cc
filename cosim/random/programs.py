"""Random accelerators, and random packets for them beyond those of the driver; all are valid unless marked as broken.

Fields of packets are often at an end of their range, and reserved bits are random.
"""

from dataclasses import dataclass, field
from random import Random
from typing import Any

import numpy as np
from amaranth.lib import data
from numpy.typing import NDArray

from spikequant.golden.layer.score import score_cost
from spikequant.golden.layer.spec import BIAS_BITS, THETA_BITS, WORD_BITS, Spec
from spikequant.rtl.driver.packets import (
    TokenTile,
    Words,
    codes_packet,
    neurons_packet,
    operation_of,
    run_packet,
    weights_packet,
)
from spikequant.rtl.shapes import HEADER_WORDS, CodesHeader, Half, NeuronsHeader, Operation, RunHeader, WeightsHeader

HEADERS = {
    Operation.WEIGHTS: WeightsHeader,
    Operation.NEURONS: NeuronsHeader,
    Operation.CODES: CodesHeader,
    Operation.RUN: RunHeader,
}


def reserved_bits(operation: Operation) -> tuple[int, ...]:
    """Return the reserved bits of a packet's header, as a mask for each word."""
    layout = data.Layout.cast(HEADERS[operation])
    fields = [part for name, part in layout if str(name).startswith("reserved")]
    mask = sum(((1 << part.width) - 1) << part.offset for part in fields)
    return tuple(mask >> (WORD_BITS * word) & (2**WORD_BITS - 1) for word in range(HEADER_WORDS[operation]))


def random_spec(random: Random) -> Spec:
    """Choose an accelerator with random sizes, widths and read-out, small enough to simulate fast."""
    lanes = random.choice((1, 2, 2, 4, 8))
    weight_bits = random.choice((2, 4, 4, 8))
    neurons = random.choice((16, 32)) if weight_bits == 2 else random.choice((8, 16, 24, 32))
    activation_bits = random.randint(2, 7)
    readout = random.choice(("halving", "ramp"))
    values: dict[str, Any] = {
        "neurons": neurons,
        "lanes": lanes,
        "clusters": random.choice([count for count in (1, 2, 4) if neurons % (count * max(8, 32 // weight_bits)) == 0]),
        "depth": lanes * random.randint(2, 12),
        "weight_bits": weight_bits,
        "activation_bits": activation_bits,
        "salient_bits": random.choice((0, random.randint(activation_bits, 7), 7)),
        "max_salient_shift": random.randint(0, 15),
        "population_bits": random.choice((11, 12, 16, 24)),
        "membrane_bits": random.randint(8, 39),
        "membrane_slots": random.choice((1, 2, 3, 8)),
        "theta_fraction_bits": random.choice((0, random.randint(1, 23), 24)),
        "output_bits": random.randint(2, 5 if readout == "ramp" else 16),
        "ramp": random.choice((4, 8, 16)),
        "readout": readout,
    }
    shortest = max(16, 1 << (Spec(**values, score_words=8192).shortest_buffer - 1).bit_length())
    score_words = min(8192, shortest * random.choice((1, 2, 8)))
    return Spec(**values, score_words=score_words, weight_parity=random.random() < 0.5)


def _edgy(random: Random, low: int, high: int) -> int:
    """Choose a number in a range, often one of its ends."""
    return random.choice((low, high, random.randint(low, high), random.randint(low, high)))


@dataclass
class _Kept:
    """A score in a buffer.

    Attributes:
        buffer, address, words: place and length.
        inputs: number of inputs, 1 or more.
        shift: shift of its CODES packet.
    """

    buffer: int
    address: int
    words: int
    inputs: int
    shift: int


@dataclass
class ProgramMaker:
    """Generator of packets that tracks the accelerator's state.

    Attributes:
        spec: the accelerator.
        random: source of all choices.
        packets: packets made so far.
    """

    spec: Spec
    random: Random
    packets: list[Words] = field(default_factory=list)
    _scores: list[_Kept] = field(default_factory=list)
    _begun: set[int] = field(default_factory=set)

    def _send(self, packet: Words) -> None:
        packet = packet.copy()
        for place, mask in enumerate(reserved_bits(Operation(operation_of(packet)))):
            packet[place] |= np.uint32(self.random.getrandbits(32) & mask)
        self.packets.append(packet)

    def load_weights(self, first: int, count: int) -> None:
        """Load random weights of ``count`` inputs from ``first`` on, a multiple of the lanes."""
        shape = (count, self.spec.neurons)
        top = self.spec.max_weight_code
        rng = np.random.default_rng(self.random.getrandbits(32))
        fill = self.random.choice((0, top, None, None))
        codes = rng.integers(0, top + 1, shape) if fill is None else np.full(shape, fill)
        self._send(weights_packet(self.spec, first_input=first, codes=codes.astype(np.uint8)))

    def load_neurons(self, first: int, count: int) -> None:
        """Load random constants of ``count`` neurons from ``first`` on."""
        random, bias = self.random, 2 ** (BIAS_BITS - 1)

        def drawn(low: int, high: int) -> list[int]:
            return [_edgy(random, low, high) for _ in range(count)]

        # small thresholds give large codes, and vice versa
        most = 2 ** random.randint(1, THETA_BITS) - 1
        self._send(
            neurons_packet(
                theta=np.array(drawn(1, most), np.uint32),
                bias=np.array(drawn(-bias, bias - 1) if random.random() < 0.3 else [0] * count, np.int32),
                zero=np.array(drawn(0, self.spec.max_weight_code), np.uint8),
                first_neuron=first,
            )
        )

    def reload(self) -> None:
        """Load some weights or constants again, while tokens are processed."""
        spec, random = self.spec, self.random
        if random.random() < 0.5:
            first = _edgy(random, 0, spec.depth // spec.lanes - 1) * spec.lanes
            self.load_weights(first, _edgy(random, 1, spec.depth - first))
        else:
            first = _edgy(random, 0, spec.neurons - 1)
            self.load_neurons(first, _edgy(random, 1, spec.neurons - first))

    def _activations(self) -> tuple[TokenTile, NDArray[np.int64]]:
        spec, random = self.spec, self.random
        rng = np.random.default_rng(random.getrandbits(32))
        inputs = _edgy(random, 1, spec.depth)
        share = random.choice((0.0, 0.1, 0.5, 1.0)) if spec.salient_bits else 0.0
        salient = rng.random(inputs) < share
        zero = _edgy(random, 0, spec.max_activation_code)
        offset = -_edgy(random, 0, spec.max_salient_code)
        shift = _edgy(random, 0, spec.max_salient_shift)
        silent = rng.random(inputs) < random.choice((0.0, 0.3, 0.9, 1.0))
        normal = np.where(silent, zero, rng.integers(0, spec.max_activation_code + 1, inputs))
        extreme = rng.random(inputs) < random.choice((0.0, 0.2, 1.0))
        codes = np.where(extreme, spec.max_salient_code * rng.integers(0, 2, inputs), 0)
        codes = np.where(extreme, codes, rng.integers(0, spec.max_salient_code + 1, inputs))
        value = np.where(salient, codes, normal)
        level = np.where(salient, (codes + offset) << shift, normal - zero)
        tile = TokenTile(value.astype(np.uint8), salient, zero, shift, offset, merged=False)
        return tile, level

    def sort(self) -> None:
        """Make a new score that replaces those that it overlaps; drop activations that do not fit."""
        spec, random = self.spec, self.random
        tile, level = self._activations()
        inputs = len(level)
        while True:
            cost = score_cost(spec, level[:inputs], tile.salient[:inputs], tile.shift)
            if cost.fits and cost.words <= spec.score_words:
                break
            inputs = max(1, inputs // 2)
        # a salient phase that could be merged may remain separate if its levels fit a charge by themselves
        magnitude, apart = np.abs(level[:inputs]), tile.salient[:inputs] & (tile.shift > 0)
        alone = max(int(magnitude[apart].sum()) >> tile.shift, int(magnitude[~apart].sum())) <= spec.max_population
        merged = cost.merged and not (alone and random.random() < 0.3)
        part = TokenTile(tile.value[:inputs], tile.salient[:inputs], tile.zero, tile.shift, tile.offset, merged=merged)
        buffer, address = random.randrange(2), _edgy(random, 0, spec.score_words - cost.words)
        self._scores = [
            kept
            for kept in self._scores
            if kept.buffer != buffer or kept.address >= address + cost.words or address >= kept.address + kept.words
        ]
        self._scores.append(_Kept(buffer, address, cost.words, inputs, tile.shift))
        self._send(codes_packet(part, buffer=buffer, address=address))

    def run(self) -> None:
        """Run any score on any weights."""
        spec, random = self.spec, self.random
        if not self._scores:
            self.sort()
        score = random.choice(self._scores)
        slot = _edgy(random, 0, spec.membrane_slots - 1)
        first = slot not in self._begun or random.random() < 0.5
        self._begun.add(slot)
        rows = (spec.depth - score.inputs) // spec.lanes
        self._send(
            run_packet(
                buffer=score.buffer,
                address=score.address,
                shift=score.shift if random.random() < 0.7 else _edgy(random, 0, spec.max_salient_shift),
                first_input=_edgy(random, 0, rows) * spec.lanes,
                slot=slot,
                first=first,
                last=random.random() < 0.5,
                half=Half(random.randrange(3)),
                brief=random.random() < 0.3,
            )
        )


def random_program(spec: Spec, random: Random, *, steps: int) -> list[Words]:
    """Make the packets of a program: all weights and constants, and then any valid packets.

    Args:
        spec: the accelerator.
        random: source of all choices.
        steps: packets after those that load weights and constants.
    """
    maker = ProgramMaker(spec, random)
    cut = random.randrange(spec.depth // spec.lanes) * spec.lanes
    for first, end in ((0, cut), (cut, spec.depth)):
        if end > first:
            maker.load_weights(first, end - first)
    maker.load_neurons(0, spec.neurons)
    for _ in range(steps):
        choice = random.random()
        if choice < 0.08:
            maker.reload()
        elif choice < 0.45:
            maker.sort()
        else:
            maker.run()
    return maker.packets


def broken_program(spec: Spec, random: Random, *, steps: int) -> list[Words]:
    """Make a random program with some invalid packets: changed bits, cut, or too long.

    Its results are unspecified up to the next reset.
    """
    found = []
    for packet in random_program(spec, random, steps=steps):
        broken = packet.copy()
        if random.random() < 0.2:
            for _ in range(random.randint(1, 4)):
                broken[random.randrange(min(4, len(broken)))] ^= np.uint32(1 << random.randrange(WORD_BITS))
        if random.random() < 0.05:
            broken = broken[: random.randint(1, len(broken))]
        if random.random() < 0.05:
            broken = np.append(broken, broken[: random.randint(1, 4)])
        found.append(broken)
    return found
