"""Reference model of the packets: computes the results of any packets from their words alone.

It has no notion of layers or tiles, so it checks drivers independently, and applies to packets that no driver sends.
"""

from dataclasses import dataclass, field

import numpy as np
from amaranth.lib import data
from numpy.typing import NDArray

from spikequant.golden.layer.integer import Integers, output_code
from spikequant.golden.layer.score import score_cost
from spikequant.golden.layer.spec import WORD_BITS, Spec
from spikequant.golden.support.errors import SpikeQuantError
from spikequant.rtl.driver.packets import Words, operation_of
from spikequant.rtl.packet_sizes import CODE_BITS, WORDS_PER_NEURON
from spikequant.rtl.shapes import (
    HEADER_WORDS,
    Code,
    CodesHeader,
    Half,
    NeuronsHeader,
    Operation,
    RunHeader,
    WeightsHeader,
)


@dataclass(frozen=True)
class Score:
    """A token's activations for some inputs, from a CODES packet.

    Attributes:
        packet: index of the packet, from 0.
        level: int64 [n], signed levels, shifted where they are salient.
        salient: bool [n].
        header: header of the packet.
        words: size in its buffer, in beats.
    """

    packet: int
    level: Integers
    salient: NDArray[np.bool_]
    header: data.Const
    words: int


@dataclass(frozen=True)
class Run:
    """A score that runs on weights.

    Attributes:
        packet: index of the RUN packet.
        score: the score.
        header: header of the packet.
        weights: int64 [n, neurons], stored weights of the score's inputs.
    """

    packet: int
    score: Score
    header: data.Const
    weights: Integers


@dataclass(frozen=True)
class Completed:
    """Expected contents of a RESULT packet.

    Attributes:
        slot: slot of the membranes.
        brief: the packet has no membranes.
        runs: runs that made it, in order.
        membrane: int64 [neurons], V' with the bias.
        code: int32 [neurons].
        saturated: bool [neurons], where the hardware may set its flag.
        theta, bias, zero: int64 [neurons], constants.
    """

    slot: int
    brief: bool
    runs: tuple[Run, ...]
    membrane: Integers
    code: NDArray[np.int32]
    saturated: NDArray[np.bool_]
    theta: Integers
    bias: Integers
    zero: Integers


@dataclass
class _Membranes:
    value: Integers
    reach: Integers
    runs: list[Run] = field(default_factory=list)


class UnspecifiedError(SpikeQuantError):
    """A packet breaks the rules of ``spikequant.rtl.shapes``, or asks for what they leave undefined."""


HALF = data.Layout.cast(RunHeader)["half"]


def _demand(holds: bool, number: int, problem: str) -> None:
    if not holds:
        raise UnspecifiedError(f"packet {number}: {problem}")


class PacketModel:
    """Model of an accelerator after reset; using undefined weights, constants, scores or membranes is an error.

    Args:
        spec: the accelerator.
    """

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        self._count = 0
        self._weights = np.full((spec.depth, spec.neurons), -1, np.int64)
        self._theta = np.zeros(spec.neurons, np.int64)
        self._bias = np.zeros(spec.neurons, np.int64)
        self._zero = np.zeros(spec.neurons, np.int64)
        self._scores: dict[tuple[int, int], Score] = {}
        self._membranes: dict[int, _Membranes] = {}

    def take(self, packet: Words) -> Completed | None:
        """The result that a packet completes, or None.

        Raises:
            UnspecifiedError: the packet breaks a rule.
        """
        number = self._count
        self._count += 1
        _demand(len(packet) > 0, number, "no words")
        operation = operation_of(packet)
        _demand(operation in range(1, len(HEADER_WORDS) + 1), number, f"operation {operation}")
        words = HEADER_WORDS[Operation(operation)]
        _demand(len(packet) >= words, number, f"{len(packet)} words, expected a header of {words}")
        header = sum(int(word) << (WORD_BITS * place) for place, word in enumerate(packet[:words]))
        body = packet[words:]
        match Operation(operation):
            case Operation.WEIGHTS:
                self._take_weights(number, WeightsHeader.from_bits(header), body)
            case Operation.NEURONS:
                self._take_neurons(number, NeuronsHeader.from_bits(header), body)
            case Operation.CODES:
                self._take_codes(number, CodesHeader.from_bits(header), body)
            case Operation.RUN:
                _demand(not len(body), number, f"{len(packet)} words, expected {words}")
                return self._take_run(number, RunHeader.from_bits(header))
            case _:
                raise UnspecifiedError(f"packet {number}: operation {operation}")
        return None

    def _take_weights(self, number: int, header: data.Const, body: Words) -> None:
        spec, first = self._spec, int(header.input)
        count, rest = divmod(len(body), spec.words_per_row)
        _demand(count > 0 and not rest, number, f"{len(body)} words of weights, expected whole rows")
        _demand(first % spec.lanes == 0, number, f"input {first}, expected a multiple of the lanes")
        _demand(first + count <= spec.depth, number, f"inputs {first}..{first + count - 1}, beyond the memory")
        rows = body.reshape(-1, spec.words_per_row)
        places = np.arange(0, WORD_BITS, spec.weight_bits, dtype=np.uint32)
        codes = (rows[:, :, None] >> places) & np.uint32(spec.max_weight_code)
        self._weights[first : first + len(rows)] = codes.reshape(len(rows), spec.neurons)

    def _take_neurons(self, number: int, header: data.Const, body: Words) -> None:
        count, rest = divmod(len(body), WORDS_PER_NEURON)
        _demand(count > 0 and not rest, number, f"{len(body)} words of constants, expected whole neurons")
        _demand(int(header.neuron) + count <= self._spec.neurons, number, "constants beyond the neurons")
        constants = body.reshape(-1, WORDS_PER_NEURON)
        part = slice(int(header.neuron), int(header.neuron) + len(constants))
        self._theta[part] = constants[:, 0]
        self._bias[part] = constants[:, 1].view(np.int32)
        self._zero[part] = constants[:, 2] & np.uint32(self._spec.max_weight_code)

    def _take_codes(self, number: int, header: data.Const, body: Words) -> None:
        places = np.arange(0, WORD_BITS, CODE_BITS, dtype=np.uint32)
        codes = ((body[:, None] >> places) & np.uint32(2**CODE_BITS - 1)).reshape(-1).astype(np.int64)
        salient_place = Code.as_shape()["salient"].offset
        salient = (codes >> salient_place).astype(np.bool_)
        value = codes & (2**salient_place - 1)
        shift = int(header.shift)
        level = np.where(salient, (value + int(header.offset)) << shift, value - int(header.zero))
        self._check_codes(number, header, level, salient)
        cost = score_cost(self._spec, level, salient, shift)
        _demand(int(header.address) + cost.words <= self._spec.score_words, number, "a score beyond its buffer")
        score = Score(packet=number, level=level, salient=salient, header=header, words=cost.words)
        buffer, start = int(header.buffer), int(header.address)
        for place, other in list(self._scores.items()):
            if place[0] == buffer and start < place[1] + other.words and place[1] < start + score.words:
                del self._scores[place]
        self._scores[buffer, start] = score

    def _check_codes(self, number: int, header: data.Const, level: Integers, salient: NDArray[np.bool_]) -> None:
        spec, shift = self._spec, int(header.shift)
        _demand(len(level) > 0, number, "no codes")
        _demand(shift <= spec.max_salient_shift, number, f"shift {shift}")
        _demand(bool(spec.salient_bits) or not salient.any(), number, "salient codes")
        apart = salient & (shift > 0)
        magnitude = np.abs(level) >> np.where(apart, shift, 0)
        _demand(bool((magnitude <= spec.max_level).all()), number, "a level beyond the largest")
        sums = (int(magnitude[apart].sum()), int(magnitude[~apart].sum()))
        largest = (sums[0] << shift) + sums[1] if header.merged else max(sums)
        _demand(largest <= spec.max_population, number, "levels that no charge holds")

    def _take_run(self, number: int, header: data.Const) -> Completed | None:
        spec = self._spec
        _demand(int(header.slot) < spec.membrane_slots, number, f"slot {header.slot}")
        _demand(int(header.shift) <= spec.max_salient_shift, number, f"shift {header.shift}")
        _demand(int(header.input) % spec.lanes == 0, number, f"input {header.input}, expected a multiple of the lanes")
        _demand(int(header.as_bits()) >> HALF.offset & 3 != 3, number, "half 3")
        score = self._scores.get((int(header.buffer), int(header.address)))
        if score is None:
            raise UnspecifiedError(f"packet {number}: no score in buffer {header.buffer} at {header.address}")
        first = int(header.input)
        # silent codes beyond the memory fill the last word
        count = min(len(score.level), spec.depth - first)
        _demand(not score.level[count:].any(), number, "inputs beyond the weights")
        level = score.level[:count]
        weights = np.where((level != 0)[:, None], self._weights[first : first + count], 0)
        _demand(not (weights < 0).any(), number, "weights that were never loaded")
        half, slot = Half(header.half), int(header.slot)
        steps = weights - np.where(half == Half.LOW, 0, self._zero)
        steps[level == 0] = 0
        # the shift of a charge that is doubled in place is the score's, else that of the run
        shifted = score.salient[:count] & (int(score.header.shift) > 0)
        if shifted.any() and not score.header.merged:
            level = np.where(shifted, (level >> int(score.header.shift)) << int(header.shift), level)
        scale = spec.weight_bits if half == Half.HIGH else 0
        if header.first:
            none = np.zeros(spec.neurons, np.int64)
            self._membranes[slot] = _Membranes(value=none, reach=none)
        _demand(slot in self._membranes, number, f"slot {slot} was never begun")
        membranes = self._membranes[slot]
        run = Run(packet=number, score=score, header=header, weights=weights)
        membranes.runs.append(run)
        membranes.value = membranes.value + (level @ steps << scale)
        membranes.reach = membranes.reach + (np.abs(level) @ np.abs(steps) << scale)
        if not header.last:
            return None
        _demand(bool(self._theta.all()), number, "a threshold of 0")
        return self._complete(slot, brief=bool(header.brief))

    def _complete(self, slot: int, *, brief: bool) -> Completed:
        spec, membranes = self._spec, self._membranes[slot]
        membrane = membranes.value + self._bias
        return Completed(
            slot=slot,
            brief=brief,
            runs=tuple(membranes.runs),
            membrane=membrane,
            code=output_code(
                membrane,
                self._theta,
                theta_fraction_bits=spec.theta_fraction_bits,
                output_bits=spec.output_bits,
            ),
            saturated=membranes.reach >= 2 ** (spec.membrane_bits - 1),
            theta=self._theta.copy(),
            bias=self._bias.copy(),
            zero=self._zero.copy(),
        )
