"""Whole layers on the real simulator, against the golden model."""

from pathlib import Path

import numpy as np
import pytest

import spikequant.cosim.layer
from spikequant.cosim.layer import LayerReport, cosimulate
from spikequant.golden.layer.integer import LayerOutput, run_layer
from spikequant.golden.layer.neuron import simulate
from spikequant.golden.layer.random_layers import random_vectors
from spikequant.golden.layer.spec import Spec
from spikequant.golden.layer.tiling import token_tiles
from spikequant.golden.layer.vectors import LayerVectors

NARROW = Spec(
    neurons=16,
    lanes=4,
    depth=64,
    weight_bits=2,
    salient_bits=7,
    membrane_bits=12,
    membrane_slots=2,
    theta_fraction_bits=3,
    output_bits=5,
    score_words=64,
    readout="ramp",
)
"""Another of everything: weights, levels, read-out; a membrane that large layers overflow, and short score buffers."""


def assert_right(report: LayerReport, vectors: LayerVectors, spec: Spec) -> None:
    golden = run_layer(vectors, spec)
    assert report.verdict.mismatches == 0, report.verdict.first
    exact = ~report.output.saturated
    assert report.output.membrane[exact].tolist() == golden.membrane[exact].tolist()
    assert report.output.code[exact].tolist() == golden.code[exact].tolist()
    runs = [simulate(vectors, token, spec) for token in range(vectors.tokens)]
    tiles = -(-vectors.outputs // spec.neurons)
    assert report.spikes == report.expected_spikes == tiles * sum(run.spikes for run in runs)
    assert report.beats == report.expected_beats == tiles * sum(run.cycles for run in runs)
    assert 0 < report.lane_utilisation <= 1
    assert report.beats < report.cycles


@pytest.mark.parametrize(
    ("outputs", "inputs", "tokens", "wide", "stall"),
    [
        (1, 1, 1, 0, 0.0),
        (19, 16, 8, 0, 0.3),  # exactly the memory, and tiles of outputs
        (8, 53, 8, 0, 0.6),  # tiles of inputs, tokens in blocks of slots
        (9, 13, 8, 3, 0.3),  # wide columns beside the others in the memory
        (11, 40, 9, 17, 0.6),  # everything tiled, the wide columns too
    ],
)
def test_layers(
    cache: Path, small: Spec, sources: dict[str, str], outputs: int, inputs: int, tokens: int, wide: int, stall: float
) -> None:
    vectors = random_vectors(
        small, outputs=outputs, inputs=inputs, tokens=tokens, wide=wide, salient_fraction=0.1, seed=inputs
    )
    report = cosimulate(small, vectors, sources=sources, stall_probability=stall, seed=inputs, cache=cache)
    assert_right(report, vectors, small)
    assert report.verdict.ok(allow_saturation=False)


def test_every_shift(cache: Path, small: Spec, sources: dict[str, str]) -> None:
    shifts = np.arange(small.max_salient_shift + 1)
    base = random_vectors(small, outputs=8, inputs=16, tokens=len(shifts), salient_fraction=0.3, max_shift=0, seed=5)
    level = np.where(base.salient, base.level << shifts[:, None], base.level).astype(np.int32)
    vectors = LayerVectors(**vars(base) | {"level": level, "shift": shifts.astype(np.uint8)})
    assert_right(cosimulate(small, vectors, sources=sources, cache=cache), vectors, small)


def test_both_ends_of_theta_and_bias_are_in_the_random_layers(small: Spec) -> None:
    vectors = random_vectors(small, outputs=8, inputs=16, tokens=8, seed=16)
    assert {1, 2**32 - 1} <= set(vectors.theta.tolist())
    assert {-(2**31), 2**31 - 1} <= set(vectors.bias.tolist())


def test_narrow_membranes_are_exact_or_flagged(cache: Path) -> None:
    vectors = random_vectors(
        NARROW, outputs=24, inputs=70, tokens=8, wide=20, salient_fraction=0.1, max_shift=4, seed=8
    )
    golden = run_layer(vectors, NARROW)
    report = cosimulate(NARROW, vectors, stall_probability=0.3, seed=1, cache=cache)
    assert_right(report, vectors, NARROW)
    # a token of nothing but salient codes does not fit a score buffer
    tiles = -(-vectors.inputs // NARROW.depth) + -(-vectors.wide.size // NARROW.depth)
    assert max(len(token_tiles(vectors, token, NARROW)) for token in range(vectors.tokens)) > tiles
    saturated = report.output.saturated
    outside = golden.membrane - vectors.bias.astype(np.int64)
    assert saturated[(outside < -(2**11)) | (outside >= 2**11)].all()
    assert saturated.any()
    assert not saturated.all()
    assert not report.verdict.ok(allow_saturation=False)
    assert report.verdict.ok(allow_saturation=True)
    assert report.verdict.saturated == saturated.sum()


def test_a_wrong_expectation_is_a_mismatch(
    cache: Path, small: Spec, sources: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # one output of the golden side is off by one, as if the hardware were
    def off_by_one(vectors: LayerVectors, spec: Spec) -> LayerOutput:
        golden = run_layer(vectors, spec)
        golden.membrane[1, 2] += 1
        return golden

    monkeypatch.setattr(spikequant.cosim.layer, "run_layer", off_by_one)
    vectors = random_vectors(small, outputs=8, inputs=16, tokens=3, seed=1)
    report = cosimulate(small, vectors, sources=sources, cache=cache)
    assert report.verdict.mismatches == 1
    assert report.verdict.first.startswith("token 1, neuron 2: membrane ")
    figures = report.figures(allow_saturation=True)
    assert (figures.ok, figures.mismatches, figures.first_mismatch) == (False, 1, report.verdict.first)


def test_figures_and_progress(cache: Path, small: Spec, sources: dict[str, str]) -> None:
    vectors = random_vectors(small, outputs=8, inputs=16, tokens=5, seed=1)
    told: list[tuple[int, int]] = []
    report = cosimulate(
        small, vectors, sources=sources, cache=cache, progress=lambda done, total: told.append((done, total))
    )
    assert told[0] == (0, 5)
    assert {total for _, total in told} == {5}
    figures = report.figures(allow_saturation=False).model_dump()
    assert figures["ok"] is True
    assert (figures["output_bits"], figures["theta_fraction_bits"]) == (8, 12)
    assert (figures["mismatches"], figures["saturated"], figures["outputs"]) == (0, 0, 40)
    assert figures["lane_utilisation"] == figures["spikes"] / (figures["beats"] * 2)
    assert figures["sim_cycles_per_second"] > 0
    assert figures["seconds"] > 0
    assert isinstance(figures["cycles"], int)
