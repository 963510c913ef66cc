"""The time domain against the integers, and both read-outs against the formula."""

import ast
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import spikequant.golden.layer.neuron
from spikequant.golden.layer.integer import run_layer
from spikequant.golden.layer.neuron import event_program, halving_readout, ramp_readout, simulate
from spikequant.golden.layer.random_layers import random_vectors
from spikequant.golden.layer.spec import PRESETS, Spec
from spikequant.golden.layer.vectors import LayerVectors, check_vectors

TINY = PRESETS["tiny"]


@st.composite
def specs(draw: st.DrawFn) -> Spec:
    activation_bits = draw(st.integers(2, 7))
    lanes = draw(st.sampled_from([1, 2, 4, 8]))
    return Spec(
        lanes=lanes,
        depth=lanes * draw(st.integers(2, 16)),
        ramp=draw(st.sampled_from([4, 8, 16])),
        score_words=draw(st.sampled_from([128, 1024])),
        weight_bits=draw(st.sampled_from([2, 4, 8])),
        activation_bits=activation_bits,
        salient_bits=draw(st.just(0) | st.integers(activation_bits, 7)),
        max_salient_shift=draw(st.integers(0, 15)),
        membrane_bits=39,
        theta_fraction_bits=draw(st.integers(0, 24)),
        output_bits=draw(st.integers(2, 10)),
    )


@st.composite
def layers(draw: st.DrawFn, spec: Spec) -> LayerVectors:
    inputs = draw(st.integers(1, 12))
    return random_vectors(
        spec,
        outputs=draw(st.integers(1, 8)),
        inputs=inputs,
        tokens=draw(st.integers(1, 8)),
        wide=draw(st.integers(0, inputs)),
        salient_fraction=draw(st.sampled_from([0.0, 0.2, 1.0])),
        seed=draw(st.integers(0, 2**32 - 1)),
    )


def one_token(level: list[int], *, w_code: list[list[int]], w_zero: list[int], **others: object) -> LayerVectors:
    """A layer of one token with unit thresholds; salient values, shift, wide columns and so on by name."""
    arrays = {
        "w_code": w_code,
        "w_zero": w_zero,
        "level": [level],
        "salient": np.zeros((1, len(level)), bool),
        "zero": [8],
        "shift": [0],
        "offset": [0],
        "theta": [1] * len(w_zero),
        "bias": [0] * len(w_zero),
    }
    return check_vectors({name: np.array(value) for name, value in (arrays | others).items()}, TINY, source="layer")


@settings(max_examples=120)
@given(data=st.data(), spec=specs())
def test_time_domain_equals_integers(data: st.DataObject, spec: Spec) -> None:
    vectors = data.draw(layers(spec))
    output = run_layer(vectors, spec)
    exact = ~output.saturated
    for token in range(vectors.tokens):
        run = simulate(vectors, token, spec)
        assert run.membrane.tolist() == output.membrane[token].tolist()
        form = {"theta_fraction_bits": spec.theta_fraction_bits, "output_bits": spec.output_bits}
        here = exact[token]
        expected = output.code[token][here].tolist()
        assert halving_readout(run.membrane, vectors.theta, **form)[here].tolist() == expected
        assert ramp_readout(run.membrane, vectors.theta, **form).code[here].tolist() == expected


@settings(max_examples=60)
@given(data=st.data(), spec=specs())
def test_program_holds_every_level_once_and_in_order(data: st.DataObject, spec: Spec) -> None:
    vectors = data.draw(layers(spec))
    for token in range(vectors.tokens):
        program = event_program(vectors, token, spec)
        whole = np.zeros(vectors.inputs, np.int64)
        low = np.zeros(vectors.inputs, np.int64)
        for phase in program:
            assert phase.row.size
            assert (np.diff(phase.tick) >= 0).all()
            assert phase.tick[0] == 0
            assert phase.tick[-1] < phase.ticks <= min(spec.max_level, spec.ramp)
            assert set(phase.sign.tolist()) <= {-1, 1}
            shift = phase.shift - (spec.weight_bits if vectors.wide.size and not phase.low else 0)
            assert shift == (int(vectors.shift[token]) if phase.salient else 0)
            np.add.at(low if phase.low else whole, phase.row, phase.sign * (phase.ticks - phase.tick) << shift)
        assert whole.tolist() == vectors.level[token].tolist()
        assert low[vectors.wide].tolist() == vectors.level[token][vectors.wide].tolist()
        assert np.count_nonzero(low) == np.count_nonzero(low[vectors.wide])
        # as few as the ramp allows: bursts at its top alone
        for phase in program:
            single = phase.row[phase.ticks - phase.tick < spec.ramp]
            assert len(single) == len(set(single.tolist()))


def test_trace_of_two_spikes() -> None:
    # weights 10 - 8 = 2 and 3 - 8 = -5 with the offset of the array, 3 and -4 with the neuron's own zero point 7
    vectors = one_token([3, -1], w_code=[[10, 3]], w_zero=[7], bias=[100])
    run = simulate(vectors, 0, TINY, neurons=[0])
    assert run.trace.current.tolist() == [[2], [2], [7]]
    assert run.trace.charge.tolist() == [[2], [4], [11]]
    assert run.trace.membrane.tolist() == [[3], [6], [13]]
    assert run.membrane.tolist() == [3 * 3 + 4 + 100]
    assert (run.spikes, run.ticks) == (2, 3)


def test_a_level_above_the_ramp_fires_a_burst_at_its_top_and_a_rest() -> None:
    assert TINY.ramp == 8
    vectors = one_token(
        [-31, 8, 3, 0],
        w_code=[[9] * 4],
        w_zero=[8],
        salient=np.array([[True, False, False, False]]),
        zero=[7],
        offset=[-31],
    )
    run = simulate(vectors, 0, TINY, neurons=[0])
    # without a shift the salient level runs with the normal ones
    (phase,) = run.program
    assert (phase.salient, phase.ticks) == (False, 8)
    assert phase.row.tolist() == [0, 0, 0, 1, 0, 2]
    assert phase.tick.tolist() == [0, 0, 0, 0, 1, 5]
    assert run.trace.current[:, 0].tolist() == [-2, -3, -3, -3, -3, -2, -2, -2]
    # a beat takes a spike of each of two lanes: two for three and one, one for each rest; two ticks share the cycle of
    # a later beat
    assert (run.spikes, run.ticks, run.cycles) == (6, 8, 4 + 8 - 2)


def test_salient_phase_runs_first_and_its_charge_is_shifted() -> None:
    vectors = one_token(
        [-8, 2], w_code=[[9, 10]], w_zero=[8], salient=np.array([[True, False]]), shift=[2], offset=[-3]
    )
    run = simulate(vectors, 0, TINY, neurons=[0])
    first, second = run.program
    assert (first.salient, first.ticks, first.shift, first.merged) == (True, 2, 2, True)
    assert (second.salient, second.ticks, second.shift, second.merged) == (False, 2, 0, False)
    assert run.trace.phase.tolist() == [0, 0, 1, 1]
    assert run.trace.charge[:, 0].tolist() == [-1, -2, 2, 4]
    assert run.trace.membrane[:, 0].tolist() == [-4, -8, -8 + 2, -8 + 4]


def test_a_silent_token_fires_nothing() -> None:
    run = simulate(one_token([0, 0], w_code=[[15, 15]], w_zero=[0], bias=[-7]), 0, TINY, neurons=[0])
    assert (run.program, run.spikes, run.ticks) == ((), 0, 0)
    assert run.membrane.tolist() == [-7]
    assert run.trace.membrane.shape == (0, 1)


def test_a_wide_column_fires_twice_and_its_low_half_has_no_zero_point() -> None:
    # 16 * (4 - 6) + 5 = -27 sixteenths
    vectors = one_token([3], w_code=[[4]], w_zero=[6], wide=[0], w_low=[[5]])
    run = simulate(vectors, 0, TINY)
    assert run.membrane.tolist() == [3 * -27]
    assert run.spikes == 2
    assert [(phase.low, phase.shift) for phase in run.program] == [(False, 4), (True, 0)]


def test_high_halves_run_before_low_ones() -> None:
    vectors = one_token(
        [16, 1], w_code=[[9, 9]], w_zero=[8], salient=np.array([[True, False]]), shift=[4], wide=[0, 1], w_low=[[1, 2]]
    )
    assert [(phase.low, phase.salient, phase.shift) for phase in event_program(vectors, 0, TINY)] == [
        *((False, True, 8), (False, False, 4)),
        *((True, True, 4), (True, False, 0)),
    ]
    assert simulate(vectors, 0, TINY).membrane.tolist() == [17 * 16 + 18]


def test_a_charge_without_room_for_the_shift_goes_to_the_membrane_by_itself() -> None:
    spec = TINY.model_copy(update={"population_bits": 6})
    free = (spec.max_population - 1) // 4
    assert 0 < free < spec.depth - 1
    for salients, merged in ((free, True), (free + 1, False)):
        level = [4] * salients + [1]
        vectors = one_token(
            level,
            w_code=[[9] * len(level)],
            w_zero=[8],
            salient=np.array([[True] * salients + [False]]),
            shift=[2],
        )
        assert [phase.merged for phase in event_program(vectors, 0, spec)] == [merged, False]
        assert simulate(vectors, 0, spec).membrane.tolist() == [salients * 4 + 1]


def test_deep_layers_run_in_tiles() -> None:
    inputs = TINY.depth + 5
    vectors = one_token([1] * inputs, w_code=[[9] * inputs], w_zero=[8])
    program = event_program(vectors, 0, TINY)
    assert [phase.row.tolist() for phase in program] == [[*range(TINY.depth)], [*range(TINY.depth, inputs)]]
    assert simulate(vectors, 0, TINY).membrane.tolist() == [inputs]


def test_a_score_too_long_for_its_buffer_is_cut_in_two() -> None:
    spec = TINY.model_copy(update={"score_words": 32})
    # a beat for two inputs, or four where each fires three times and a rest
    for level, parts in ((7, [64]), (31, [16 * 4] * 4)):
        vectors = one_token(
            [level] * 64, w_code=[[9] * 64], w_zero=[8], salient=np.full((1, 64), level > 7), offset=[0]
        )
        program = event_program(vectors, 0, spec)
        assert [phase.row.size for phase in program] == parts
        assert [int(phase.row.min()) for phase in program] == list(range(0, 64, 64 // len(parts)))
        assert simulate(vectors, 0, spec).membrane.tolist() == [64 * level]


def reference_code(membrane: int, theta: int, *, theta_fraction_bits: int, output_bits: int) -> int:
    """``V' * 2**F / theta`` rounded half away from zero and limited, in exact rational numbers."""
    magnitude = int(Fraction(abs(membrane) * 2**theta_fraction_bits, theta) + Fraction(1, 2))
    limited = min(magnitude, 2 ** (output_bits - 1) - 1)
    return limited if membrane >= 0 else -limited


thetas = st.sampled_from([1, 2, 3, 2**31, 2**32 - 2, 2**32 - 1]) | st.integers(1, 2**32 - 1)


@settings(max_examples=400)
@given(
    theta=thetas,
    steps=st.integers(-600, 600),
    nudge=st.integers(-2, 2),
    theta_fraction_bits=st.integers(0, 24),
    output_bits=st.integers(2, 8),
)
@example(theta=2**13, steps=3, nudge=0, theta_fraction_bits=12, output_bits=8)  # 1.5 exactly
@example(theta=2**13, steps=-3, nudge=0, theta_fraction_bits=12, output_bits=8)
@example(theta=1, steps=0, nudge=0, theta_fraction_bits=24, output_bits=8)
@example(theta=2**32 - 1, steps=1, nudge=0, theta_fraction_bits=0, output_bits=2)
def test_readouts_round_like_exact_arithmetic(
    theta: int, steps: int, nudge: int, theta_fraction_bits: int, output_bits: int
) -> None:
    # a membrane at, or next to, a point where the code changes: a multiple of half a theta
    membrane = ((steps * theta) >> (theta_fraction_bits + 1)) + nudge
    expected = reference_code(membrane, theta, theta_fraction_bits=theta_fraction_bits, output_bits=output_bits)
    form = {"theta_fraction_bits": theta_fraction_bits, "output_bits": output_bits}
    arguments = (np.array([membrane]), np.array([theta], np.uint32))
    assert halving_readout(*arguments, **form).tolist() == [expected]
    ramp = ramp_readout(*arguments, **form)
    assert ramp.code.tolist() == [expected]
    assert ramp.tick.tolist() == [2 ** (output_bits - 1) - 1 - abs(expected)]


@pytest.mark.parametrize("theta", [1, 2**32 - 1])
@pytest.mark.parametrize("sign", [1, -1])
def test_readouts_at_the_largest_membrane(theta: int, sign: int) -> None:
    membrane = sign * (2**38 + 2**31)
    expected = reference_code(membrane, theta, theta_fraction_bits=24, output_bits=16)
    assert halving_readout(
        np.array([membrane]), np.array([theta], np.uint32), theta_fraction_bits=24, output_bits=16
    ).tolist() == [expected]


def test_a_larger_membrane_fires_earlier() -> None:
    spikes = ramp_readout(
        np.array([0, 9, 10, 29, 30, 1000]), np.full(6, 20, np.uint32), theta_fraction_bits=0, output_bits=4
    )
    assert spikes.tick.tolist() == [7, 7, 6, 6, 5, 0]
    assert spikes.code.tolist() == [0, 0, 1, 1, 2, 7]


def test_the_time_domain_neither_multiplies_nor_divides() -> None:
    tree = ast.parse(Path(spikequant.golden.layer.neuron.__file__).read_text(encoding="utf-8"))
    operators = {type(node.op) for node in ast.walk(tree) if isinstance(node, ast.BinOp | ast.AugAssign)}
    forbidden = {ast.Mult, ast.MatMult, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow}
    assert ast.Add in operators
    assert not operators & forbidden
