"""Vectors for test benches outside of this package: packets of a random layer, and results by the reference model.

A file has one stream word a line, as nine hexadecimal digits: a digit of ``Mark`` bits, then the 32 bits of the word.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntFlag

from spikequant.cosim.layer import expected_activity
from spikequant.golden.layer.integer import run_layer
from spikequant.golden.layer.random_layers import random_vectors
from spikequant.golden.layer.spec import WORD_BITS, Spec
from spikequant.golden.layer.vectors import LayerVectors
from spikequant.rtl.driver.packet_model import Completed, PacketModel
from spikequant.rtl.driver.packets import Words
from spikequant.rtl.driver.program import layer_program
from spikequant.rtl.packet_sizes import WORDS_PER_RESULT, WORDS_PER_RESULT_HEADER
from spikequant.rtl.shapes import Operation, Result, ResultHeader

INPUTS, TOKENS, WIDE = 48, 8, 3
"""Inputs, tokens and wide columns of the layer."""

MORE_OUTPUTS = 3
"""Outputs of the layer beyond the neurons of the array, so that it takes two tiles of outputs."""

SALIENT_FRACTION = 0.1


class Mark(IntFlag):
    """Marks of a word.

    Attributes:
        LAST: the last word of its packet.
        ANY: unspecified, so not to be compared.
        OUTPUT: the last word of a neuron's result.
    """

    LAST = 1
    ANY = 2
    OUTPUT = 4


@dataclass(frozen=True)
class BenchVectors:
    """Vectors of a bench.

    Attributes:
        packets: lines of the words to send.
        results: lines of the words to expect.
        outputs: neurons' results in them.
    """

    packets: list[str]
    results: list[str]
    outputs: int


def bench_layer(spec: Spec, *, seed: int) -> LayerVectors:
    """A random layer with extreme values; its shifts are so small that no membrane leaves its range, if possible."""

    def layer(max_shift: int) -> LayerVectors:
        return random_vectors(
            spec,
            outputs=spec.neurons + MORE_OUTPUTS,
            inputs=INPUTS,
            tokens=TOKENS,
            wide=WIDE,
            salient_fraction=SALIENT_FRACTION,
            max_shift=max_shift,
            seed=seed,
        )

    layers = (layer(max_shift) for max_shift in range(spec.max_salient_shift, -1, -1))
    return next((one for one in layers if not run_layer(one, spec).saturated.any()), layer(0))


def _line(word: int, mark: int) -> str:
    return f"{mark:x}{word % 2**WORD_BITS:08x}"


def _packet_lines(packet: Words) -> Iterator[str]:
    for place, word in enumerate(packet, start=1):
        yield _line(int(word), Mark.LAST if place == len(packet) else 0)


def _result_lines(result: Completed, totals: Sequence[int] | None) -> Iterator[str]:
    """Words of a whole RESULT packet; totals of beats and spikes are known for the last one alone."""
    header = ResultHeader.const({"operation": Operation.RESULT, "slot": result.slot}).as_bits()
    for place in range(WORDS_PER_RESULT_HEADER):
        yield _line(header >> WORD_BITS * place, 0)
    for membrane, code, saturated in zip(result.membrane, result.code, result.saturated, strict=True):
        bits = Result.const({"membrane": int(membrane), "code": int(code)}).as_bits()
        for place in range(WORDS_PER_RESULT):
            ends = Mark.OUTPUT if place == WORDS_PER_RESULT - 1 else 0
            yield _line(bits >> WORD_BITS * place, ends | (Mark.ANY if saturated else 0))
    beats, spikes = totals or (0, 0)
    unknown = 0 if totals else Mark.ANY
    yield _line(beats, unknown)
    yield _line(spikes, unknown | Mark.LAST)


def bench_vectors(spec: Spec, *, seed: int = 1) -> BenchVectors:
    """Make the vectors of a layer of two tiles of outputs with wide columns, salient values and extremes.

    Args:
        spec: the accelerator.
        seed: of the layer.
    """
    layer = bench_layer(spec, seed=seed)
    program = layer_program(spec, layer)
    model = PacketModel(spec)
    completed = [result for packet in program.packets if (result := model.take(packet)) is not None]
    spikes, beats = expected_activity(spec, layer)
    totals = [None] * (len(completed) - 1) + [(beats, spikes)]
    return BenchVectors(
        packets=[line for packet in program.packets for line in _packet_lines(packet)],
        results=[
            line for result, known in zip(completed, totals, strict=True) for line in _result_lines(result, known)
        ],
        outputs=len(completed) * spec.neurons,
    )
