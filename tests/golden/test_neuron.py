"""The time domain against the integers, and both read-outs against the formula."""

import ast
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import golden.neuron
from golden.integer import run_layer
from golden.neuron import event_program, halving_readout, ramp_readout, simulate
from golden.samples import random_vectors
from golden.spec import PRESETS, Spec
from golden.vectors import LayerVectors, check_vectors

TINY = PRESETS["tiny"]


@st.composite
def specs(draw: st.DrawFn) -> Spec:
    activation_bits = draw(st.integers(2, 7))
    return Spec(
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
        for number, phase in enumerate(program):
            assert phase.row.size
            assert (np.diff(phase.tick) >= 0).all()
            assert phase.tick[0] == 0
            assert phase.tick[-1] < phase.ticks <= spec.max_level
            assert set(phase.sign.tolist()) <= {-1, 1}
            assert phase.shift >= 0
            # the doublings still to come, less what makes a wide weight's high half
            shift = sum(following.shift for following in program[number:])
            shift -= spec.weight_bits if vectors.wide.size and not phase.low else 0
            assert shift == (int(vectors.shift[token]) if phase.salient else 0)
            (low if phase.low else whole)[phase.row] += phase.sign * (phase.ticks - phase.tick) << shift
        assert whole.tolist() == vectors.level[token].tolist()
        assert low[vectors.wide].tolist() == vectors.level[token][vectors.wide].tolist()
        assert np.count_nonzero(low) == np.count_nonzero(low[vectors.wide])


def test_trace_of_two_spikes() -> None:
    # weights 10 - 8 = 2 and 3 - 8 = -5 with the offset of the array, 3 and -4 with the neuron's own zero point 7
    vectors = one_token([3, -1], w_code=[[10, 3]], w_zero=[7], bias=[100])
    run = simulate(vectors, 0, TINY, neurons=[0])
    assert run.trace.current.tolist() == [[2], [2], [7]]
    assert run.trace.charge.tolist() == [[2], [4], [11]]
    assert run.trace.membrane.tolist() == [[3], [6], [13]]
    assert run.membrane.tolist() == [3 * 3 + 4 + 100]
    assert (run.spikes, run.ticks) == (2, 3)


def test_salient_phase_runs_first_and_doubles_the_membrane() -> None:
    vectors = one_token(
        [-8, 2], w_code=[[9, 10]], w_zero=[8], salient=np.array([[True, False]]), shift=[2], offset=[-3]
    )
    run = simulate(vectors, 0, TINY, neurons=[0])
    first, second = run.program
    assert (first.salient, first.ticks, first.shift) == (True, 2, 2)
    assert (second.salient, second.ticks, second.shift) == (False, 2, 0)
    assert run.trace.phase.tolist() == [0, 0, 1, 1]
    assert run.trace.membrane[:, 0].tolist() == [-1, -2, -8 + 2, -8 + 4]


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


def test_phases_of_equal_shift_need_no_doubling() -> None:
    # salient low halves and normal high halves both stand for 16 sixteenths when m is the bits of a weight
    vectors = one_token(
        [16, 1], w_code=[[9, 9]], w_zero=[8], salient=np.array([[True, False]]), shift=[4], wide=[0, 1], w_low=[[1, 2]]
    )
    assert [phase.shift for phase in event_program(vectors, 0, TINY)] == [4, 0, 4, 0]
    assert simulate(vectors, 0, TINY).membrane.tolist() == [17 * 16 + 18]


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
    # a membrane at, or right beside, a point where the code changes: a multiple of half a theta
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
    tree = ast.parse(Path(golden.neuron.__file__).read_text(encoding="utf-8"))
    operators = {type(node.op) for node in ast.walk(tree) if isinstance(node, ast.BinOp | ast.AugAssign)}
    forbidden = {ast.Mult, ast.MatMult, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow}
    assert ast.Add in operators
    assert not operators & forbidden
