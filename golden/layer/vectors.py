"""One layer as integers: the inputs of the hardware, and their file format."""

import tokenize
import zipfile
import zlib
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikequant.golden.layer.spec import BIAS_BITS, THETA_BITS, Spec
from spikequant.golden.support.errors import InputError
from spikequant.golden.support.files import replace_file

OPTIONAL = ("wide", "w_low")

PER_TOKEN = ("level", "salient", "zero", "shift", "offset")
"""Arrays whose first axis runs over tokens."""

PER_OUTPUT = ("w_code", "w_zero", "theta", "bias", "w_low")
"""Arrays whose first axis runs over outputs."""

UNREADABLE = (
    *(ValueError, TypeError, AttributeError, KeyError, EOFError, RuntimeError, OverflowError, MemoryError, SyntaxError),
    *(tokenize.TokenError, zipfile.BadZipFile, zlib.error),
)
"""Errors that NumPy and the archive reader raise for damaged files and for files of another kind."""


@dataclass(frozen=True)
class LayerVectors:
    """A layer of N outputs and K inputs with T tokens.

    Attributes:
        w_code: uint8 [N, K], stored weights u; the weight is ``u - w_zero``.
        w_zero: uint8 [N], zero point of an output's weights.
        level: int32 [T, K], signed activation levels n.
        salient: bool [T, K], levels of salient codes.
        zero: uint8 [T], zero point z of the normal codes, whose levels span ``-z..max - z``.
        shift: uint8 [T], power of two m of the salient codes.
        offset: int8 [T], smallest salient code c0, in ``-max..0``.
        theta: uint32 [N], threshold scale, 1 or more.
        bias: int32 [N], added to the membrane.
        wide: int32 [M], ascending indices of the columns with a low half; empty for none.
        w_low: uint8 [N, M], low halves of the wide columns, in 1/2**weight_bits of a step.
    """

    w_code: NDArray[np.uint8]
    w_zero: NDArray[np.uint8]
    level: NDArray[np.int32]
    salient: NDArray[np.bool_]
    zero: NDArray[np.uint8]
    shift: NDArray[np.uint8]
    offset: NDArray[np.int8]
    theta: NDArray[np.uint32]
    bias: NDArray[np.int32]
    wide: NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32))
    w_low: NDArray[np.uint8] = field(default_factory=lambda: np.zeros((0, 0), np.uint8))

    @property
    def outputs(self) -> int:
        """N, the rows of the weight matrix."""
        return int(self.w_code.shape[0])

    @property
    def inputs(self) -> int:
        """K, the columns of the weight matrix."""
        return int(self.w_code.shape[1])

    @property
    def tokens(self) -> int:
        """T, the activation vectors."""
        return int(self.level.shape[0])

    def of_tokens(self, chosen: slice) -> "LayerVectors":
        """The layer with some of its tokens, as views of the same arrays."""
        return replace(self, **{name: getattr(self, name)[chosen] for name in PER_TOKEN})

    def of_outputs(self, chosen: slice) -> "LayerVectors":
        """The layer with some of its outputs, as views of the same arrays."""
        return replace(self, **{name: getattr(self, name)[chosen] for name in PER_OUTPUT})


@dataclass(frozen=True)
class _Array:
    """Format of one array: its shape by dimension letters, its dtype, its range."""

    shape: str
    dtype: type[np.generic]
    low: int
    high: int


def _formats(spec: Spec) -> dict[str, _Array]:
    weight = spec.max_weight_code
    level = max(spec.max_activation_code, spec.max_salient_code << spec.max_salient_shift)
    return {
        "w_code": _Array("NK", np.uint8, 0, weight),
        "w_zero": _Array("N", np.uint8, 0, weight),
        "level": _Array("TK", np.int32, -level, level),
        "salient": _Array("TK", np.bool_, 0, 1),
        "zero": _Array("T", np.uint8, 0, spec.max_activation_code),
        "shift": _Array("T", np.uint8, 0, spec.max_salient_shift),
        "offset": _Array("T", np.int8, -spec.max_salient_code, 0),
        "theta": _Array("N", np.uint32, 1, 2**THETA_BITS - 1),
        "bias": _Array("N", np.int32, -(2 ** (BIAS_BITS - 1)), 2 ** (BIAS_BITS - 1) - 1),
        "wide": _Array("M", np.int32, 0, 2**31 - 1),
        "w_low": _Array("NM", np.uint8, 0, weight),
    }


def _first(wrong: NDArray[np.bool_]) -> tuple[int, ...]:
    """Index of the first True."""
    return tuple(int(i) for i in np.unravel_index(int(np.argmax(wrong)), wrong.shape))


def _checked(name: str, array: NDArray[Any], form: _Array, sizes: dict[str, int], source: str) -> NDArray[Any]:
    """Check an array's kind, shape and range and convert it to the format's dtype; add new dimensions to ``sizes``."""
    wanted = ", ".join(f"{letter}={sizes[letter]}" if letter in sizes else letter for letter in form.shape)
    if array.ndim != len(form.shape):
        raise InputError(f"{source}: {name} has shape {list(array.shape)}, expected [{wanted}]")
    for letter, size in zip(form.shape, array.shape, strict=True):
        if sizes.setdefault(letter, size) != size:
            raise InputError(f"{source}: {name} has shape {list(array.shape)}, expected [{wanted}]")
        if size == 0 and letter != "M":
            raise InputError(f"{source}: {name} has shape {list(array.shape)}, expected {letter} of at least 1")
    if form.dtype is np.bool_:
        if array.dtype != np.bool_:
            raise InputError(f"{source}: {name} is {array.dtype}, expected bool")
        return array
    if array.dtype.kind not in "iu":
        detail = ""
        if array.dtype.kind == "f" and array.size:
            unusable = ~np.isfinite(array) | (array != np.round(array))
            index = _first(unusable)
            detail = f" ({array[index]} at {list(index)})"
        raise InputError(f"{source}: {name} is {array.dtype}{detail}, expected integers ({np.dtype(form.dtype)})")
    wrong = (array < form.low) | (array > form.high)
    if wrong.any():
        index = _first(wrong)
        raise InputError(f"{source}: {name}{list(index)} is {array[index]}, expected {form.low}..{form.high}")
    return array.astype(form.dtype)


def _check_levels(vectors: LayerVectors, spec: Spec, source: str) -> None:
    level = vectors.level.astype(np.int64)
    zero = vectors.zero.astype(np.int64)[:, None]
    shift = vectors.shift.astype(np.int64)[:, None]
    offset = vectors.offset.astype(np.int64)[:, None]

    def refuse(wrong: NDArray[np.bool_], expected: str) -> None:
        if wrong.any():
            token, column = _first(wrong)
            limits = expected.format(
                zero=int(vectors.zero[token]), shift=int(vectors.shift[token]), offset=int(vectors.offset[token])
            )
            raise InputError(f"{source}: level[{token}, {column}] is {level[token, column]}, expected {limits}")

    if not spec.salient_bits and vectors.salient.any():
        raise InputError(f"{source}: salient{list(_first(vectors.salient))} is set, but the spec has no salient phase")
    normal = ~vectors.salient
    code = level + zero
    refuse(
        normal & ((code < 0) | (code > spec.max_activation_code)),
        f"a normal level in -z..{spec.max_activation_code}-z with z = {{zero}}",
    )
    refuse(
        vectors.salient & (level & ((1 << shift) - 1) != 0),
        "a salient level that is a multiple of 2^{shift}",
    )
    code = (level >> shift) - offset
    refuse(
        vectors.salient & ((code < 0) | (code > spec.max_salient_code)),
        f"a salient level in its window, (c0..c0+{spec.max_salient_code}) * 2^{{shift}} with c0 = {{offset}}",
    )


def check_vectors(arrays: dict[str, NDArray[Any]], spec: Spec, *, source: str) -> LayerVectors:
    """Arrays by name as a checked layer.

    Raises:
        InputError: a missing or unknown array, a wrong shape or kind, or a value out of range, with the index of the
            first one.
    """
    formats = _formats(spec)
    unknown = sorted(set(arrays) - set(formats))
    if unknown:
        raise InputError(f"{source}: unknown array {unknown[0]!r}, expected {', '.join(formats)}")
    if ("wide" in arrays) != ("w_low" in arrays):
        raise InputError(f"{source}: wide and w_low go together, expected both or neither")
    sizes: dict[str, int] = {}
    checked: dict[str, NDArray[Any]] = {}
    for name, form in formats.items():
        if name in arrays:
            checked[name] = _checked(name, arrays[name], form, sizes, source)
        elif name not in OPTIONAL:
            raise InputError(f"{source}: array {name!r} is missing, expected {', '.join(formats)}")
    if "wide" in checked:
        wide = checked["wide"]
        beyond = wide >= sizes["K"]
        if beyond.any():
            raise InputError(f"{source}: wide{list(_first(beyond))} is {wide[beyond][0]}, expected 0..{sizes['K'] - 1}")
        falling = np.diff(wide.astype(np.int64), prepend=-1) <= 0
        if falling.any():
            raise InputError(f"{source}: wide{list(_first(falling))} is {wide[falling][0]}, expected ascending indices")
    else:
        checked["w_low"] = np.zeros((sizes["N"], 0), np.uint8)
    vectors = LayerVectors(**checked)
    _check_levels(vectors, spec, source)
    return vectors


def load_vectors(path: Path, spec: Spec) -> LayerVectors:
    """A layer from an ``.npz`` file.

    Raises:
        InputError: the file cannot be read, or ``check_vectors`` raises it.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except OSError as error:
        raise InputError(f"{path}: cannot read the file: {error.strerror or error}") from None
    except UNREADABLE as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path}: not an .npz file of plain arrays: {reason}") from None
    for name, array in arrays.items():
        if not isinstance(array, np.ndarray):
            raise InputError(f"{path}: not an .npz file of plain arrays: {name!r} holds no array")
    return check_vectors(arrays, spec, source=str(path))


def save_vectors(path: Path, vectors: LayerVectors) -> None:
    """Write a layer as ``.npz``, whole or not at all."""
    save_arrays(path, {item.name: getattr(vectors, item.name) for item in fields(vectors)})


def save_arrays(path: Path, arrays: dict[str, NDArray[Any]]) -> None:
    """Write named arrays as compressed ``.npz``, whole or not at all."""
    with replace_file(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
