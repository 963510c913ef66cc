"""The spec: what it refuses, what it loads, and that derived widths are just wide enough."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from spikequant.golden.layer.integer import run_layer
from spikequant.golden.layer.neuron import simulate
from spikequant.golden.layer.random_layers import random_vectors
from spikequant.golden.layer.spec import PRESETS, Spec, load_spec, make_spec, signed_bits
from spikequant.golden.layer.vectors import LayerVectors
from spikequant.golden.support.errors import InputError


def fits(value: int, bits: int) -> bool:
    return -(2 ** (bits - 1)) <= value < 2 ** (bits - 1)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("neurons", 0),
        ("neurons", 12),
        ("neurons", 4104),
        ("lanes", 0),
        ("lanes", 3),
        ("lanes", 32),
        ("clusters", 0),
        ("clusters", 3),
        ("clusters", 16),  # fewer than eight neurons each
        ("clusters", 65),
        ("depth", 1),
        ("depth", 2),
        ("depth", 4),  # one row a lane
        ("depth", 2050),
        ("depth", 65540),
        ("weight_bits", 3),
        ("weight_bits", 16),
        ("activation_bits", 1),
        ("activation_bits", 8),
        ("salient_bits", -1),
        ("salient_bits", 3),  # fewer than a normal code's
        ("salient_bits", 8),
        ("max_salient_shift", -1),
        ("max_salient_shift", 16),
        ("population_bits", 5),
        ("population_bits", 25),
        ("membrane_bits", 7),
        ("membrane_bits", 40),
        ("membrane_slots", 0),
        ("membrane_slots", 257),
        ("theta_fraction_bits", -1),
        ("theta_fraction_bits", 25),
        ("output_bits", 1),
        ("output_bits", 17),
        ("ramp", 2),
        ("ramp", 12),
        ("score_words", 8),
        ("score_words", 16),  # fewer than an input a lane may need
        ("score_words", 1000),
        ("score_words", 16384),
        ("readout", "staircase"),
        ("weight_parity", 2),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(ValidationError):
        Spec.model_validate({field: value})
    with pytest.raises(InputError) as refusal:
        make_spec({field: value}, source="here")
    message = str(refusal.value)
    assert message.startswith(f"here: {field}: ")
    assert repr(value) in message or str(value) in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (field, value)
        for field in Spec.model_fields
        for value in (1.5, True, None, [8])
        if (field, value) != ("weight_parity", True)
    ],
)
def test_a_value_of_the_wrong_kind_is_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(InputError, match=f"^here: {field}: "):
        make_spec({field: value}, source="here")


def test_every_field_is_covered_by_a_bad_value() -> None:
    cases = test_a_value_out_of_range_is_refused_by_name.pytestmark[0].args[1]
    assert {field for field, _ in cases} == set(Spec.model_fields)


def test_the_ramp_takes_at_most_five_bits() -> None:
    assert make_spec({"readout": "ramp", "output_bits": 5}, source="here").readout == "ramp"
    with pytest.raises(InputError, match="output_bits: 6 is too wide for the ramp"):
        make_spec({"readout": "ramp", "output_bits": 6}, source="here")


def test_more_weights_in_a_word_need_more_neurons() -> None:
    assert make_spec({"neurons": 16, "weight_bits": 2}, source="here").words_per_row == 1
    with pytest.raises(InputError, match="neurons: 24 is not a multiple of 16"):
        make_spec({"neurons": 24, "weight_bits": 2}, source="here")


def test_clusters_are_equal_and_not_too_small() -> None:
    spec = make_spec({"neurons": 96, "clusters": 4}, source="here")
    assert (spec.cluster.neurons, spec.cluster.clusters, spec.drain_cycles) == (24, 1, 12)
    assert spec.cluster == Spec(neurons=24)
    assert spec.cluster.widths == spec.widths
    assert Spec().cluster == Spec()
    with pytest.raises(
        InputError, match=r"clusters: 2 do not divide 24 neurons into equal multiples of 8, .* at least"
    ):
        make_spec({"neurons": 24, "clusters": 2}, source="here")
    with pytest.raises(InputError, match=r"clusters: 2 do not divide 12 neurons into .* at least 8 each"):
        make_spec({"neurons": 12, "clusters": 2, "weight_bits": 8}, source="here")


def test_an_unknown_key_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"^here: unknown key 'neuron', expected one of neurons, .*, preset$"):
        make_spec({"neuron": 64}, source="here")


def test_a_spec_is_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        PRESETS["tiny"].neurons = 16


def test_presets() -> None:
    sizes = {name: (spec.neurons, spec.lanes) for name, spec in PRESETS.items()}
    assert sizes["tiny"] == (8, 2)
    assert sizes["base"] == (64, 4)
    assert sizes["max45"] == (160, 4)
    assert sizes["max85"] == (384, 4)
    assert {"tiny", "base", "max45", "max85"} <= set(sizes)
    assert all(spec.membrane_bits >= 24 for spec in PRESETS.values())
    for name, spec in PRESETS.items():
        assert load_spec(name) is spec


def test_a_file_starts_from_its_preset(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('preset = "tiny"\nlanes = 4\n')
    assert load_spec(str(path)) == PRESETS["tiny"].model_copy(update={"lanes": 4})
    path.write_text("lanes = 2\n")
    assert load_spec(str(path)) == Spec(lanes=2)
    path.write_text("")
    assert load_spec(str(path)) == PRESETS["base"]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b'preset = "huge"', "unknown preset 'huge', expected one of tiny, base, max45, max85"),
        (b"preset = 3", "unknown preset 3"),
        (b"preset = [1]", "unknown preset"),
        (b"lanes = 3", "lanes: 3 is not a power of two"),
        (b"lanes = ", "not valid TOML"),
        (b"lanes = 4\nlanes = 4", "not valid TOML"),
        (b"\xff\xfe", "not UTF-8 at byte 0"),
        (b'lanes = "4"', "lanes: "),
        (b"[array]\nlanes = 4", "unknown key 'array'"),
    ],
)
def test_a_bad_file_is_refused_in_one_line(tmp_path: Path, content: bytes, expected: str) -> None:
    path = tmp_path / "bad.toml"
    path.write_bytes(content)
    with pytest.raises(InputError) as refusal:
        load_spec(str(path))
    message = str(refusal.value)
    assert message.startswith(f"config {path}: ")
    assert expected in message
    assert "\n" not in message


def test_a_missing_file_or_preset_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read the file"):
        load_spec(str(tmp_path / "none.toml"))
    (tmp_path / "folder.toml").mkdir()
    with pytest.raises(InputError, match="cannot read the file"):
        load_spec(str(tmp_path / "folder.toml"))
    with pytest.raises(
        InputError, match=r"'medium': unknown preset, expected one of tiny, base, max45, max85 or a \.toml file"
    ):
        load_spec("medium")


@given(st.integers(0, 2**40))
def test_signed_bits_is_the_least_width(magnitude: int) -> None:
    bits = signed_bits(magnitude)
    assert fits(magnitude, bits)
    assert fits(-magnitude, bits)
    assert magnitude == 0 or not fits(magnitude, bits - 1)


def full_layer(spec: Spec, *, code: int, zero: int, level: int, inputs: int, wide: bool = False) -> LayerVectors:
    """One output and one token, every weight and every level the same; levels beyond the normal ones are salient."""
    salient = abs(level) > spec.max_activation_code
    shift = spec.max_salient_shift if salient else 0
    return replace(
        random_vectors(spec, outputs=1, inputs=inputs, tokens=1, wide=inputs if wide else 0, extremes=False, seed=0),
        w_code=np.full((1, inputs), code, np.uint8),
        w_zero=np.full(1, zero, np.uint8),
        level=np.full((1, inputs), level << shift, np.int32),
        salient=np.full((1, inputs), salient),
        shift=np.full(1, shift, np.uint8),
        bias=np.zeros(1, np.int32),
        w_low=np.full((1, inputs if wide else 0), spec.max_weight_code, np.uint8),
    )


@settings(max_examples=60)
@given(
    weight_bits=st.sampled_from([2, 4, 8]),
    activation_bits=st.integers(2, 7),
    extra_bits=st.integers(0, 5),
    depth=st.integers(1, 20),
)
def test_the_worst_layer_reaches_the_derived_widths_but_never_exceeds_them(
    weight_bits: int, activation_bits: int, extra_bits: int, depth: int
) -> None:
    values: dict[str, Any] = {"weight_bits": weight_bits, "activation_bits": activation_bits, "depth": 2 * depth}
    salient_bits = min(activation_bits + extra_bits, 7) if extra_bits else 0
    roomy = Spec(**values, neurons=16, lanes=1, salient_bits=salient_bits, membrane_bits=39)
    # the narrowest charge that takes all inputs in one tile
    spec = roomy.model_copy(update={"population_bits": (roomy.depth * roomy.max_level).bit_length()})
    most = (0, 0)
    widths = (spec.charge_bits, spec.corrected_bits)
    for code in (0, spec.max_weight_code):
        for zero in (0, spec.max_weight_code):
            for level in (-spec.max_level, spec.max_level):
                vectors = full_layer(spec, code=code, zero=zero, level=level, inputs=spec.depth)
                run = simulate(vectors, 0, spec, neurons=[0])
                phase_sum = run.membrane[0] >> (spec.max_salient_shift if vectors.salient.any() else 0)
                reached = (int(run.trace.charge[-1, 0]), int(phase_sum))
                assert fits(int(run.trace.current[-1, 0]), spec.charge_bits)
                assert all(fits(value, bits) for value, bits in zip(reached, widths, strict=True))
                most = tuple(max(old, value) for old, value in zip(most, reached, strict=True))
    # the population is less than a power of two, and the corrected charge is taken as twice the charge
    assert not fits(most[0], widths[0] - 1)
    assert not fits(most[1], widths[1] - 2)


@settings(max_examples=60)
@given(population_bits=st.integers(6, 24), weight_bits=st.sampled_from([2, 4, 8]))
def test_the_charge_holds_the_largest_population_and_no_bit_more(population_bits: int, weight_bits: int) -> None:
    spec = Spec(neurons=16, lanes=1, population_bits=population_bits, weight_bits=weight_bits)
    assert fits(spec.weight_offset * spec.max_population, spec.charge_bits)
    assert not fits(spec.weight_offset * (spec.max_population + 1), spec.charge_bits)


@settings(max_examples=60)
@given(
    membrane_bits=st.integers(12, 24),
    salient_bits=st.sampled_from([0, 5, 7]),
    max_salient_shift=st.integers(0, 3),
    wide=st.booleans(),
)
def test_overflow_free_inputs_is_the_last_safe_size(
    membrane_bits: int, salient_bits: int, max_salient_shift: int, wide: bool
) -> None:
    spec = Spec(membrane_bits=membrane_bits, salient_bits=salient_bits, max_salient_shift=max_salient_shift)
    safe = spec.overflow_free_inputs(wide=wide)
    for inputs in (safe, safe + 1):
        if inputs == 0 or inputs > 100_000:
            continue
        vectors = full_layer(spec, code=spec.max_weight_code, zero=0, level=spec.max_level, inputs=inputs, wide=wide)
        output = run_layer(vectors, spec)
        assert bool(output.saturated[0, 0]) == (inputs > safe)
        assert fits(int(output.membrane[0, 0]), membrane_bits) == (inputs <= safe)


def test_an_overflow_free_layer_of_each_preset() -> None:
    # the bound in plain numbers: 2**31 - 1 over 15 * 31 * 2**11, and over 255 * 31 * 2**11 with wide columns
    base = PRESETS["base"]
    assert base.overflow_free_inputs() == 2255
    assert base.overflow_free_inputs(wide=True) == 132


def test_derived_widths_of_the_base_preset() -> None:
    # 8 * 4095, twice that, the membrane with its guard bits, and the membrane or the bias with one bit more
    assert PRESETS["base"].widths == {
        "charge_bits": 16,
        "corrected_bits": 17,
        "kept_bits": 37,
        "biased_bits": 33,
    }


def test_memory_shape_of_the_base_preset() -> None:
    base = PRESETS["base"]
    assert (base.lane_rows, base.pairs, base.pair_lanes, base.pair_rows) == (511, 2, 2, 1022)
    # with the row of zeros, half of what two adjacent block RAMs hold
    assert base.memory_rows == 1023
    assert (base.weights_per_word, base.words_per_row, base.max_shift) == (8, 8, 15)
    assert (base.max_weight_code, base.max_activation_code, base.max_salient_code) == (15, 15, 31)
    assert base.max_output_code == 127
