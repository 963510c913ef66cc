"""Specs by the name of their shape."""

import pytest

from spikequant.benchmarks.shapes import parse_shape
from spikequant.golden.layer.spec import PRESETS
from spikequant.golden.support.errors import InputError
from spikequant.rtl.fabric.memory import WIDE_ROWS, block_rams


def test_the_default_spec_has_a_name() -> None:
    assert parse_shape("64x4") == parse_shape("64x4x1") == PRESETS["base"]


def test_the_large_presets_have_names() -> None:
    assert parse_shape("160x4x2") == PRESETS["max45"]
    assert parse_shape("384x4x4") == PRESETS["max85"]


def test_clusters_share_the_memories() -> None:
    spec = parse_shape("384x2x4")
    assert (spec.neurons, spec.lanes, spec.clusters, spec.membrane_slots) == (384, 2, 4, 4)


@pytest.mark.parametrize(("name", "slots"), [("8x2", 8), ("64x8", 8), ("96x4", 4), ("192x2", 2), ("768x2", 1)])
def test_memories_are_full_and_no_larger(name: str, slots: int) -> None:
    spec = parse_shape(name)
    assert f"{spec.neurons}x{spec.lanes}" == name
    assert spec.membrane_slots == slots
    assert spec.membrane_slots * spec.neurons <= max(WIDE_ROWS, spec.neurons)
    assert block_rams(1, spec.memory_rows, dual=True) == 1
    assert spec.memory_rows == 1023


@pytest.mark.parametrize("name", ["base", "64", "64x", "64x4x2x2", "64x4x", "x4", "-8x2", "8.0x2", ""])
def test_other_names_are_bad_input(name: str) -> None:
    with pytest.raises(InputError, match=r"^shape '.*': unknown, expected NEURONSx"):
        parse_shape(name)


@pytest.mark.parametrize(("name", "expected"), [("8x3", "lanes: 3 is not a power of two"), ("7x2", "neurons")])
def test_a_shape_that_no_array_has_says_why(name: str, expected: str) -> None:
    with pytest.raises(InputError, match=expected):
        parse_shape(name)
