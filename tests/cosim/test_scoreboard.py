"""Comparison of outputs: every mismatch is found, and nothing else."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikequant.cosim.scoreboard import compare
from spikequant.golden.layer.integer import LayerOutput

SHAPE = (3, 4)


def output() -> LayerOutput:
    rng = np.random.default_rng(1)
    return LayerOutput(
        membrane=rng.integers(-1000, 1000, SHAPE),
        code=rng.integers(-127, 128, SHAPE).astype(np.int32),
        saturated=np.zeros(SHAPE, np.bool_),
    )


def flags(*places: tuple[int, int]) -> np.ndarray:
    found = np.zeros(SHAPE, np.bool_)
    for place in places:
        found[place] = True
    return found


def changed(array: np.ndarray, place: tuple[int, int]) -> np.ndarray:
    array = array.copy()
    array[place] += 1
    return array


def test_equal_outputs() -> None:
    verdict = compare(output(), output())
    assert (verdict.outputs, verdict.mismatches, verdict.saturated, verdict.first) == (12, 0, 0, "")
    assert verdict.ok(allow_saturation=False)


@given(token=st.integers(0, 2), neuron=st.integers(0, 3), name=st.sampled_from(["membrane", "code"]))
def test_any_single_difference_is_found_and_named(token: int, neuron: int, name: str) -> None:
    golden = output()
    hardware = replace(golden, **{name: changed(getattr(golden, name), (token, neuron))})
    verdict = compare(golden, hardware)
    assert verdict.mismatches == 1
    assert not verdict.ok(allow_saturation=True)
    assert verdict.first == (
        f"token {token}, neuron {neuron}: membrane {hardware.membrane[token, neuron]}, "
        f"code {hardware.code[token, neuron]}, "
        f"expected {golden.membrane[token, neuron]}, {golden.code[token, neuron]}"
    )


def test_the_first_of_many_differences_is_named() -> None:
    golden = output()
    hardware = replace(golden, code=changed(changed(golden.code, (2, 0)), (1, 3)))
    verdict = compare(golden, hardware)
    assert verdict.mismatches == 2
    assert verdict.first.startswith("token 1, neuron 3: ")


def test_flagged_values_are_free_where_flags_have_a_cause() -> None:
    golden = replace(output(), saturated=flags((1, 2), (0, 0)))
    hardware = replace(golden, membrane=changed(golden.membrane, (1, 2)), saturated=flags((1, 2)))
    verdict = compare(golden, hardware)
    assert (verdict.mismatches, verdict.saturated, verdict.first) == (0, 1, "")
    assert verdict.ok(allow_saturation=True)
    assert not verdict.ok(allow_saturation=False)


def test_a_cause_without_a_flag_frees_nothing() -> None:
    golden = replace(output(), saturated=flags((1, 2)))
    hardware = replace(output(), membrane=changed(golden.membrane, (1, 2)))
    assert compare(golden, hardware).mismatches == 1


@pytest.mark.parametrize("right", [True, False])
def test_a_flag_without_cause_is_a_mismatch_whatever_the_value(right: bool) -> None:
    golden = output()
    membrane = golden.membrane if right else changed(golden.membrane, (2, 1))
    verdict = compare(golden, replace(golden, membrane=membrane, saturated=flags((2, 1))))
    assert (verdict.mismatches, verdict.saturated) == (1, 1)
    assert verdict.first == "token 2, neuron 1: saturation flag, expected none"
    assert not verdict.ok(allow_saturation=True)


def test_brief_results_are_compared_by_their_codes() -> None:
    golden = output()
    brief = replace(golden, membrane=np.zeros((SHAPE[0], 0), np.int64))
    assert (golden.brief, brief.brief) == (False, True)
    assert not compare(golden, brief).mismatches
    verdict = compare(golden, replace(brief, code=changed(golden.code, (1, 2))))
    assert verdict.mismatches == 1
    assert verdict.first == f"token 1, neuron 2: code {golden.code[1, 2] + 1}, expected {golden.code[1, 2]}"
