"""The layer format: every refusal names the array and its first offender; what is right goes through unchanged."""

import zipfile
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikequant.golden.layer.random_layers import random_vectors
from spikequant.golden.layer.spec import PRESETS, Spec
from spikequant.golden.layer.vectors import (
    PER_OUTPUT,
    PER_TOKEN,
    LayerVectors,
    check_vectors,
    load_vectors,
    save_arrays,
    save_vectors,
)
from spikequant.golden.support.errors import InputError

TINY = PRESETS["tiny"]
N, K, T, M = 3, 4, 2, 2
Arrays = dict[str, Any]


def good() -> Arrays:
    """A layer of 3 outputs, 4 inputs, 2 tokens and 2 wide columns; salient at [1, 2] with a window of (-4..27) * 4."""
    return {
        "w_code": np.array([[0, 5, 9, 15]] * N, np.uint8),
        "w_zero": np.array([0, 8, 15], np.uint8),
        "level": np.array([[-7, 0, 8, 1], [-15, -1, 108, 0]], np.int32),
        "salient": np.array([[False] * 4, [False, False, True, False]]),
        "zero": np.array([7, 15], np.uint8),
        "shift": np.array([0, 2], np.uint8),
        "offset": np.array([0, -4], np.int8),
        "theta": np.array([1, 4096, 2**32 - 1], np.uint32),
        "bias": np.array([-(2**31), 0, 2**31 - 1], np.int32),
        "wide": np.array([0, 2], np.int32),
        "w_low": np.array([[0, 15]] * N, np.uint8),
    }


def refusal(arrays: Arrays, spec: Spec = TINY) -> str:
    with pytest.raises(InputError) as caught:
        check_vectors(arrays, spec, source="layer.npz")
    message = str(caught.value)
    assert message.startswith("layer.npz: ")
    assert "\n" not in message
    return message.removeprefix("layer.npz: ")


def put(name: str, index: tuple[int, ...], value: float, dtype: type | None = None) -> Arrays:
    """The good layer with one value changed, in a wider type where it needs one."""
    arrays = good()
    array = arrays[name].astype(dtype or arrays[name].dtype)
    array[index] = value
    return arrays | {name: array}


def test_the_good_layer_is_good() -> None:
    vectors = check_vectors(good(), TINY, source="layer.npz")
    assert (vectors.outputs, vectors.inputs, vectors.tokens) == (N, K, T)
    for name, array in good().items():
        assert getattr(vectors, name).dtype == array.dtype
        assert getattr(vectors, name).tolist() == array.tolist()


@pytest.mark.parametrize(
    ("name", "index", "low", "high"),
    [
        ("w_code", (1, 2), 0, 15),
        ("w_zero", (1,), 0, 15),
        ("level", (1, 0), -(31 << 11), 31 << 11),
        ("zero", (1,), 0, 15),
        ("shift", (1,), 0, 11),
        ("offset", (1,), -31, 0),
        ("theta", (1,), 1, 2**32 - 1),
        ("bias", (1,), -(2**31), 2**31 - 1),
        ("wide", (1,), 0, 2**31 - 1),
        ("w_low", (2, 0), 0, 15),
    ],
)
@pytest.mark.parametrize("beyond", [1, 2**40])
def test_a_value_out_of_range_is_refused_with_its_index(
    name: str, index: tuple[int, ...], low: int, high: int, beyond: int
) -> None:
    place = "[" + ", ".join(map(str, index)) + "]"
    for value in (low - beyond, high + beyond):
        assert refusal(put(name, index, value, np.int64)) == f"{name}{place} is {value}, expected {low}..{high}"


def test_the_first_of_several_offenders_is_named() -> None:
    arrays = put("w_code", (0, 3), 16)
    arrays["w_code"][2, 0] = 99
    arrays["bias"] = arrays["bias"].astype(np.float32)
    assert refusal(arrays) == "w_code[0, 3] is 16, expected 0..15"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda: put("w_zero", (1,), 16), "w_zero[1] is 16, expected 0..15"),
        (lambda: put("theta", (2,), 0), f"theta[2] is 0, expected 1..{2**32 - 1}"),
        # normal levels
        (lambda: put("level", (0, 1), 9), "level[0, 1] is 9, expected a normal level in -z..15-z with z = 7"),
        (lambda: put("level", (0, 3), -8), "level[0, 3] is -8, expected a normal level in -z..15-z with z = 7"),
        (lambda: put("level", (1, 0), 1), "level[1, 0] is 1, expected a normal level in -z..15-z with z = 15"),
        # salient levels, which have a window of -16, -12 .. 108
        (lambda: put("level", (1, 2), 107), "level[1, 2] is 107, expected a salient level that is a multiple of 2^2"),
        (lambda: put("level", (1, 2), -2), "level[1, 2] is -2, expected a salient level that is a multiple of 2^2"),
        (
            lambda: put("level", (1, 2), 112),
            "level[1, 2] is 112, expected a salient level in its window, (c0..c0+31) * 2^2 with c0 = -4",
        ),
        (
            lambda: put("level", (1, 2), -20),
            "level[1, 2] is -20, expected a salient level in its window, (c0..c0+31) * 2^2 with c0 = -4",
        ),
        # a normal level whose salient mark is lost
        (
            lambda: put("salient", (1, 2), False),
            "level[1, 2] is 108, expected a normal level in -z..15-z with z = 15",
        ),
        # wide columns
        (lambda: put("wide", (1,), 4), "wide[1] is 4, expected 0..3"),
        (lambda: put("wide", (0,), 2), "wide[1] is 2, expected ascending indices"),
        (lambda: put("wide", (0,), 3), "wide[1] is 2, expected ascending indices"),
    ],
)
def test_integers_that_the_format_cannot_hold_are_refused(change: Callable[[], Arrays], message: str) -> None:
    assert refusal(change()) == message


@pytest.mark.parametrize("level", [-16, -12, 0, 4, 108])
def test_the_ends_of_the_salient_window_are_good(level: int) -> None:
    assert check_vectors(put("level", (1, 2), level), TINY, source="layer").level[1, 2] == level


@pytest.mark.parametrize("name", [name for name in good() if name != "salient"])
def test_floats_are_refused_with_the_first_unusable_value(name: str) -> None:
    index = (1,) * good()[name].ndim
    place = "[" + ", ".join(map(str, index)) + "]"
    first = "[" + ", ".join("0" for _ in index) + "]"
    # half a step is named; so is a NaN; floats that happen to be whole are refused as well
    assert refusal(put(name, index, 0.5, float)).startswith(f"{name} is float64 (0.5 at {place}), expected integers (")
    assert refusal(put(name, index, np.nan, float)).startswith(f"{name} is float64 (nan at {place}), expected integers")
    assert refusal(put(name, index, np.inf, float)).startswith(f"{name} is float64 (inf at {place}), expected integers")
    whole = good()[name].astype(np.float32)
    assert refusal(good() | {name: whole}).startswith(f"{name} is float32 ({whole.flat[0]} at {first}), expected integ")


def test_empty_floats_are_refused() -> None:
    message = refusal(good() | {"wide": np.zeros(0), "w_low": np.zeros((N, 0), np.uint8)})
    assert message == "wide is float64, expected integers (int32)"


@pytest.mark.parametrize("dtype", [bool, complex, str, object])
@pytest.mark.parametrize("name", [name for name in good() if name != "salient"])
def test_other_kinds_are_refused(name: str, dtype: type) -> None:
    assert refusal(good() | {name: good()[name].astype(dtype)}).startswith(f"{name} is ")


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, float])
def test_salient_must_be_bool(dtype: type) -> None:
    message = refusal(good() | {"salient": good()["salient"].astype(dtype)})
    assert message == f"salient is {np.dtype(dtype)}, expected bool"


@pytest.mark.parametrize("dtype", [np.int64, np.uint64, np.int16])
def test_other_integer_types_are_taken_where_the_values_fit(dtype: type) -> None:
    vectors = check_vectors(good() | {"w_code": good()["w_code"].astype(dtype)}, TINY, source="layer")
    assert vectors.w_code.dtype == np.uint8


@pytest.mark.parametrize("name", [name for name in good() if name not in ("wide", "w_low")])
def test_a_missing_array_is_refused(name: str) -> None:
    arrays = good()
    del arrays[name]
    assert refusal(arrays).startswith(f"array {name!r} is missing, expected w_code, w_zero, level")


@pytest.mark.parametrize("name", ["wide", "w_low"])
def test_one_half_of_the_wide_columns_is_refused(name: str) -> None:
    arrays = good()
    del arrays[name]
    assert refusal(arrays) == "wide and w_low go together, expected both or neither"


def test_an_unknown_array_is_refused() -> None:
    assert refusal(good() | {"weights": np.zeros(1)}).startswith("unknown array 'weights', expected w_code, ")


@pytest.mark.parametrize(
    ("name", "shape", "expected"),
    [
        ("w_code", (N,), "[N, K]"),
        ("w_code", (N, K, 1), "[N, K]"),
        ("w_zero", (N + 1,), "[N=3]"),
        ("w_zero", (), "[N=3]"),
        ("level", (T, K + 1), "[T, K=4]"),
        ("level", (K,), "[T, K=4]"),
        ("salient", (K, T), "[T=2, K=4]"),
        ("zero", (1,), "[T=2]"),
        ("shift", (T, 1), "[T=2]"),
        ("offset", (N,), "[T=2]"),
        ("theta", (N - 1,), "[N=3]"),
        ("bias", (1, N), "[N=3]"),
        ("wide", (1, M), "[M]"),
        ("w_low", (M, N), "[N=3, M=2]"),
        ("w_low", (N, 0), "[N=3, M=2]"),
    ],
)
def test_a_wrong_shape_is_refused(name: str, shape: tuple[int, ...], expected: str) -> None:
    arrays = good() | {name: np.ones(shape, good()[name].dtype)}
    assert refusal(arrays) == f"{name} has shape {list(shape)}, expected {expected}"


@pytest.mark.parametrize(("name", "shape", "letter"), [("w_code", (0, K), "N"), ("w_code", (N, 0), "K")])
def test_an_empty_layer_is_refused(name: str, shape: tuple[int, ...], letter: str) -> None:
    arrays = good() | {name: np.ones(shape, np.uint8)}
    assert refusal(arrays) == f"{name} has shape {list(shape)}, expected {letter} of at least 1"


def test_no_token_is_refused() -> None:
    arrays = good() | {"level": np.zeros((0, K), np.int32)}
    assert refusal(arrays) == "level has shape [0, 4], expected T of at least 1"


def test_without_a_salient_phase_no_value_may_be_salient() -> None:
    spec = TINY.model_copy(update={"salient_bits": 0})
    arrays = good() | {"offset": np.zeros(T, np.int8), "level": np.clip(good()["level"], -15, 15)}
    assert refusal(arrays, spec) == "salient[1, 2] is set, but the spec has no salient phase"
    arrays |= {"salient": np.zeros((T, K), bool), "level": np.minimum(arrays["level"], 0)}
    check_vectors(arrays, spec, source="layer")


@pytest.mark.parametrize("wide", [False, True])
def test_a_file_gives_back_what_was_written(tmp_path: Path, wide: bool) -> None:
    path = tmp_path / "layer.npz"
    vectors = random_vectors(TINY, outputs=5, inputs=7, tokens=9, wide=3 if wide else 0, seed=4)
    save_vectors(path, vectors)
    loaded = load_vectors(path, TINY)
    assert [item.name for item in path.parent.iterdir()] == ["layer.npz"]
    for item in fields(LayerVectors):
        before, after = getattr(vectors, item.name), getattr(loaded, item.name)
        assert (before.dtype, before.shape, before.tolist()) == (after.dtype, after.shape, after.tolist())


def test_wide_columns_are_optional(tmp_path: Path) -> None:
    arrays = good()
    del arrays["wide"], arrays["w_low"]
    save_arrays(tmp_path / "layer.npz", arrays)
    vectors = load_vectors(tmp_path / "layer.npz", TINY)
    assert vectors.wide.shape == (0,)
    assert vectors.w_low.shape == (N, 0)


def test_a_refusal_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "layer.npz"
    save_arrays(path, put("w_zero", (0,), 16))
    with pytest.raises(InputError) as caught:
        load_vectors(path, TINY)
    assert str(caught.value) == f"{path}: w_zero[0] is 16, expected 0..15"


def _cut(path: Path) -> None:
    save_arrays(path, good())
    path.write_bytes(path.read_bytes()[:-200])


def _single(path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, np.zeros(3))


def _pickled(path: Path) -> None:
    save_arrays(path, good() | {"w_code": np.array([1, None], dtype=object)})


def _text(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("w_code.npy", "not an array")


def _header(header: str) -> Callable[[Path], None]:
    """An archive of one array with that header, and no data."""

    def write(path: Path) -> None:
        text = header.encode().ljust(117) + b"\n"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("w_code.npy", b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text)

    return write


@pytest.mark.parametrize(
    "write",
    [
        # found by fuzzing: NumPy's second reader of headers, that of Python 2, raises errors of its own
        _header("{'descr': '|u1', 'fortran_order': False, 'shape': (, 2), "),
        _header("{'descr': '|u1', 'fortran_order': False, 'shape': , 2), }"),
        _header("{'descr': '|u1', 'fortran_order': False, 'shape': (10000000000000, 2), }"),
        _header("{'descr': '|u1', 'fortran_order': False, 'shape': (2, 99999999999999999999999), }"),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"PK"),
        lambda path: path.write_text("w_code"),
        _cut,
        _single,
        _pickled,
        _text,
    ],
)
def test_a_file_that_is_no_archive_of_arrays_is_refused(tmp_path: Path, write: Callable[[Path], Any]) -> None:
    path = tmp_path / "layer.npz"
    write(path)
    with pytest.raises(InputError) as caught:
        load_vectors(path, TINY)
    assert str(caught.value).startswith(f"{path}: not an .npz file of plain arrays: ")
    assert "\n" not in str(caught.value)


def test_damaged_data_is_refused_or_still_whole(tmp_path: Path) -> None:
    path = tmp_path / "layer.npz"
    save_arrays(path, good())
    content = path.read_bytes()
    directory = content.index(b"PK\x01\x02")
    refusals = []
    for place in range(0, directory, 3):
        path.write_bytes(content[:place] + bytes([content[place] ^ 0x55]) + content[place + 1 :])
        try:
            vectors = load_vectors(path, TINY)
        except InputError as error:
            refusals.append(str(error))
        else:
            # a time stamp, say
            assert all(getattr(vectors, name).tolist() == array.tolist() for name, array in good().items())
    assert len(refusals) > directory // 6
    assert not any("\n" in refusal for refusal in refusals)


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read the file: No such file"):
        load_vectors(tmp_path / "none.npz", TINY)
    with pytest.raises(InputError, match="cannot read the file: Is a directory"):
        load_vectors(tmp_path, TINY)


@pytest.mark.parametrize("chosen", [slice(1, 3), slice(-1, None), slice(2), slice(9)])
@pytest.mark.parametrize("axis", ["tokens", "outputs"])
def test_some_tokens_or_outputs_are_a_layer(axis: str, chosen: slice) -> None:
    # sizes that all differ, so that an axis is known by its length
    vectors = random_vectors(TINY, outputs=9, inputs=6, tokens=5, wide=2, max_shift=2, seed=3)
    length, own = {"tokens": (5, PER_TOKEN), "outputs": (9, PER_OUTPUT)}[axis]
    found = vectors.of_tokens(chosen) if axis == "tokens" else vectors.of_outputs(chosen)
    arrays = {item.name: getattr(vectors, item.name) for item in fields(vectors)}
    assert {name for name, array in arrays.items() if len(array) == length} == set(own)
    for name, array in arrays.items():
        np.testing.assert_array_equal(getattr(found, name), array[chosen] if name in own else array)
    assert getattr(found, axis) == len(range(length)[chosen])
    check_vectors({item.name: getattr(found, item.name) for item in fields(found)}, TINY, source=f"some {axis}")
