"""Layers as packets: a plain reading of the packets, by their documentation alone, gives the layer's output."""

from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from spikequant.golden.layer.integer import output_code, run_layer
from spikequant.golden.layer.random_layers import random_vectors
from spikequant.golden.layer.score import score_cost
from spikequant.golden.layer.spec import Spec
from spikequant.golden.layer.vectors import LayerVectors
from spikequant.rtl.driver.packets import TileResult, Words, operation_of
from spikequant.rtl.driver.program import gather, gather_codes, layer_program
from spikequant.rtl.shapes import CodesHeader, Half, NeuronsHeader, Operation, RunHeader, WeightsHeader


def fields(words: Words, bits: int) -> NDArray[np.int64]:
    places = np.arange(0, 32, bits)
    return (words.astype(np.int64)[:, None] >> places & (2**bits - 1)).reshape(-1)


@dataclass(frozen=True)
class Score:
    """A sorted token: int64 [inputs], salient levels without their shift; bool [inputs], which of them are salient."""

    level: NDArray[np.int64]
    salient: NDArray[np.bool_]
    shift: int

    def levels(self) -> NDArray[np.int64]:
        return np.where(self.salient, self.level << self.shift, self.level)


@dataclass
class PacketMachine:
    """An accelerator in plain integers: takes packets, gives results, and minds every rule of the packets."""

    spec: Spec
    weights: NDArray[np.int64] = field(init=False)
    parameters: NDArray[np.int64] = field(init=False)
    scores: dict[tuple[int, int], tuple[Score, int]] = field(default_factory=dict)
    sorted: int = 0
    membranes: dict[int, NDArray[np.int64]] = field(default_factory=dict)
    results: list[TileResult] = field(default_factory=list)

    def __post_init__(self) -> None:
        # what was never loaded must not matter: a value that no sum survives
        self.weights = np.full((self.spec.depth, self.spec.neurons), 10**9, np.int64)
        self.parameters = np.zeros((self.spec.neurons, 3), np.int64)

    def take(self, packet: Words) -> None:
        operation = Operation(operation_of(packet))
        {
            Operation.WEIGHTS: self._load,
            Operation.NEURONS: self._set,
            Operation.CODES: self._sort,
            Operation.RUN: self._run,
        }[operation](packet)

    def _load(self, packet: Words) -> None:
        start = WeightsHeader.from_bits(int(packet[0])).input
        rows = fields(packet[1:], self.spec.weight_bits).reshape(-1, self.spec.neurons)
        assert start % self.spec.lanes == 0
        assert start + len(rows) <= self.spec.depth
        self.weights[start : start + len(rows)] = rows

    def _set(self, packet: Words) -> None:
        start = NeuronsHeader.from_bits(int(packet[0])).neuron
        rows = packet[1:].reshape(-1, 3)
        self.parameters[start : start + len(rows)] = rows

    def _sort(self, packet: Words) -> None:
        header = CodesHeader.from_bits(int(packet[0]) | int(packet[1]) << 32)
        codes = fields(packet[2:], 8)
        salient, value = codes >> 7 > 0, codes & 127
        score = Score(np.where(salient, value + header.offset, value - header.zero), salient, header.shift)
        assert header.shift <= self.spec.max_salient_shift
        assert self.spec.salient_bits or not salient.any()
        assert np.abs(score.level).max() <= self.spec.max_level
        words = score_cost(self.spec, score.levels(), salient, header.shift).words
        assert header.address + words <= self.spec.score_words
        place = range(header.address, header.address + words)
        # what it writes over is gone
        self.scores = {
            (buffer, address): (kept, length)
            for (buffer, address), (kept, length) in self.scores.items()
            if buffer != header.buffer or address >= place.stop or address + length <= place.start
        } | {(header.buffer, header.address): (score, words)}
        self.sorted += 1

    def _run(self, packet: Words) -> None:
        header = RunHeader.from_bits(int(packet[0]) | int(packet[1]) << 32)
        score, _ = self.scores[header.buffer, header.address]
        level = score.levels()
        # the padding may reach beyond the memory, silently
        reach = min(len(level), self.spec.depth - header.input)
        assert len(packet) == 2
        assert header.input % self.spec.lanes == 0
        assert not level[reach:].any()
        assert header.slot < self.spec.membrane_slots
        assert header.shift == score.shift
        theta, bias, zero = self.parameters.T
        weights = self.weights[header.input : header.input + reach]
        if header.half != Half.LOW:
            weights = weights - zero
        if header.half == Half.HIGH:
            weights = weights << self.spec.weight_bits
        old = np.zeros(self.spec.neurons, np.int64) if header.first else self.membranes[header.slot]
        self.membranes[header.slot] = old + level[:reach] @ weights
        if header.last:
            self._read_out(header.slot, theta, bias.astype(np.uint32).view(np.int32))

    def _read_out(self, slot: int, theta: NDArray[np.int64], bias: NDArray[np.int32]) -> None:
        membrane = self.membranes.pop(slot) + bias
        form = {"theta_fraction_bits": self.spec.theta_fraction_bits, "output_bits": self.spec.output_bits}
        code = output_code(membrane[None], theta, **form)[0]
        self.results.append(TileResult(slot=slot, membrane=membrane, code=code, saturated=code > 0, beats=0, spikes=0))


@st.composite
def layers(draw: st.DrawFn) -> tuple[Spec, LayerVectors]:
    lanes = draw(st.sampled_from([1, 2, 4, 8]))
    activation_bits = draw(st.integers(2, 7))
    form = Spec(
        neurons=draw(st.sampled_from([16, 32])),
        lanes=lanes,
        depth=lanes * draw(st.integers(2, 20)),
        weight_bits=draw(st.sampled_from([2, 4, 8])),
        activation_bits=activation_bits,
        salient_bits=draw(st.just(0) | st.integers(activation_bits, 7)),
        max_salient_shift=draw(st.integers(0, 15)),
        membrane_bits=39,
        membrane_slots=draw(st.integers(1, 4)),
        ramp=draw(st.sampled_from([4, 8, 16])),
    )
    # the shortest buffer that the spec allows, in which many a token must be cut, and others
    shortest = max(16, 1 << (form.shortest_buffer - 1).bit_length())
    spec = form.model_copy(update={"score_words": shortest * draw(st.sampled_from([1, 2, 8]))})
    assert Spec(**spec.model_dump()) == spec
    inputs = draw(st.integers(1, 2 * spec.depth + spec.lanes))
    return spec, random_vectors(
        spec,
        outputs=draw(st.integers(1, 40)),
        inputs=inputs,
        tokens=draw(st.integers(1, 9)),
        wide=draw(st.just(0) | st.integers(0, inputs)),
        salient_fraction=draw(st.sampled_from([0.0, 0.2, 1.0])),
        seed=draw(st.integers(0, 2**32 - 1)),
    )


@settings(max_examples=100)
@given(case=layers(), blocks=st.booleans())
def test_packets_hold_the_whole_layer(case: tuple[Spec, LayerVectors], blocks: bool) -> None:
    spec, vectors = case
    program = layer_program(spec, vectors, blocks=blocks)
    machine = PacketMachine(spec)
    for packet in program.packets:
        machine.take(packet)
    assert not machine.membranes
    output = gather(vectors, program.places, machine.results)
    golden = run_layer(vectors, spec)
    assert output.membrane.tolist() == golden.membrane.tolist()
    assert output.code.tolist() == golden.code.tolist()
    assert output.saturated.tolist() == (golden.code > 0).tolist()


@pytest.mark.parametrize(("score_words", "once"), [(32, False), (64, True), (1024, True)])
def test_tokens_whose_scores_fit_the_buffers_are_sorted_once(score_words: int, *, once: bool) -> None:
    spec = Spec(neurons=8, lanes=2, depth=64, membrane_slots=2, score_words=score_words, max_salient_shift=0)
    tokens, tiles = 5, 3
    vectors = random_vectors(spec, outputs=8 * tiles, inputs=24, tokens=tokens, salient_fraction=0.0, seed=1)
    program = layer_program(spec, vectors)
    machine = PacketMachine(spec)
    for packet in program.packets:
        machine.take(packet)
    assert machine.sorted == tokens * (1 if once else tiles)
    again = layer_program(spec, vectors, keep_scores=False)
    assert len(again.packets) == len(program.packets) + (tokens * (tiles - 1) if once else 0)


@pytest.mark.parametrize(("clusters", "tokens", "loads"), [(1, 3, 3), (2, 9, 6), (1, 20, 9)])
def test_blocks_of_tokens_are_sorted_once_and_load_the_weights_again(clusters: int, tokens: int, loads: int) -> None:
    spec = Spec(
        neurons=8 * clusters,
        clusters=clusters,
        lanes=2,
        depth=64,
        membrane_slots=2,
        score_words=64,
        max_salient_shift=0,
    )
    tiles = 3
    vectors = random_vectors(spec, outputs=spec.neurons * tiles, inputs=20, tokens=tokens, salient_fraction=0.0, seed=1)
    program = layer_program(spec, vectors, blocks=True)
    machine = PacketMachine(spec)
    for packet in program.packets:
        machine.take(packet)
    assert machine.sorted == tokens
    operations = [operation_of(packet) for packet in program.packets]
    assert operations.count(Operation.WEIGHTS.value) == operations.count(Operation.NEURONS.value) == loads
    output = gather(vectors, program.places, machine.results)
    assert output.membrane.tolist() == run_layer(vectors, spec).membrane.tolist()


def test_weights_that_do_not_fit_run_without_blocks() -> None:
    spec = Spec(neurons=8, lanes=2, depth=16, membrane_slots=2)
    vectors = random_vectors(spec, outputs=20, inputs=40, tokens=5, wide=3, seed=1)
    programs = [layer_program(spec, vectors, blocks=blocks).packets for blocks in (False, True)]
    assert [packet.tolist() for packet in programs[0]] == [packet.tolist() for packet in programs[1]]


@pytest.mark.parametrize(("lanes", "cut"), [(1, True), (2, True), (8, False)])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_token_that_does_not_fit_a_buffer_comes_in_parts(lanes: int, cut: bool, sign: int) -> None:
    spec = Spec(neurons=8, lanes=lanes, depth=64, score_words=64, membrane_slots=2)
    loudest = {
        "level": np.full((1, 64), (sign * spec.max_salient_code) << 3, np.int32),
        "salient": np.ones((1, 64), np.bool_),
        "shift": np.array([3], np.uint8),
        "offset": np.array([min(0, sign * spec.max_salient_code)], np.int8),
    }
    vectors = LayerVectors(**{**vars(random_vectors(spec, outputs=8, inputs=64, tokens=1, seed=1)), **loudest})
    packets = layer_program(spec, vectors).packets
    starts = [int(packet[1]) >> 16 for packet in packets if operation_of(packet) == Operation.RUN.value]
    assert (len(starts) > 1) == cut
    assert starts == sorted(set(starts))
    machine = PacketMachine(spec)
    for packet in packets:
        machine.take(packet)
    assert machine.results[0].membrane.tolist() == run_layer(vectors, spec).membrane[0].tolist()


SMALL = Spec(neurons=8, lanes=2, depth=16, membrane_slots=2)


@pytest.mark.parametrize(
    ("inputs", "wide", "loads"),
    [
        (16, 0, 1),  # resident: once for all blocks of tokens
        (13, 2, 2),  # both halves side by side, the first padded to whole rows of lanes
        (14, 3, 2 * 3),  # one row too many: each half once for each block
        (17, 0, 2 * 3),
    ],
)
def test_weights_that_fit_are_loaded_once(inputs: int, wide: int, loads: int) -> None:
    vectors = random_vectors(SMALL, outputs=8, inputs=inputs, tokens=5, wide=wide, seed=1)
    packets = layer_program(SMALL, vectors).packets
    assert sum(operation_of(packet) == Operation.WEIGHTS.value for packet in packets) == loads
    assert sum(operation_of(packet) == Operation.NEURONS.value for packet in packets) == 1


@given(outputs=st.integers(1, 20), tokens=st.integers(1, 7))
@example(outputs=8, tokens=2)
def test_every_output_of_every_token_has_one_place(outputs: int, tokens: int) -> None:
    vectors = random_vectors(SMALL, outputs=outputs, inputs=3, tokens=tokens, seed=1)
    covered = np.zeros((tokens, outputs), int)
    for place in layer_program(SMALL, vectors).places:
        covered[place.token, place.outputs] += 1
    assert (covered == 1).all()


def test_too_few_or_too_many_results_are_refused() -> None:
    vectors = random_vectors(SMALL, outputs=8, inputs=3, tokens=3, seed=1)
    program = layer_program(SMALL, vectors)
    machine = PacketMachine(SMALL)
    for packet in program.packets:
        machine.take(packet)
    for results in (machine.results[:-1], machine.results * 2):
        with pytest.raises(ValueError, match=r"shorter|longer"):
            gather(vectors, program.places, results)


def test_results_in_brief_have_codes_and_flags_alone() -> None:
    vectors = random_vectors(SMALL, outputs=11, inputs=20, tokens=3, wide=2, seed=1)
    program = layer_program(SMALL, vectors, brief=True)
    whole = layer_program(SMALL, vectors)
    machine = PacketMachine(SMALL)
    for packet, other in zip(program.packets, whole.packets, strict=True):
        machine.take(packet)
        if operation_of(packet) == Operation.RUN.value:
            assert RunHeader.from_bits(int(packet[0]) | int(packet[1]) << 32).brief
            assert not RunHeader.from_bits(int(other[0]) | int(other[1]) << 32).brief
        else:
            assert packet.tolist() == other.tolist()
    golden = run_layer(vectors, SMALL)
    results = [replace(result, membrane=None) for result in machine.results]
    code, saturated = gather_codes(vectors, program.places, results)
    assert code.tolist() == golden.code.tolist()
    assert saturated.tolist() == (golden.code > 0).tolist()
    with pytest.raises(ValueError, match="have no membranes"):
        gather(vectors, program.places, results)
