"""Random layers for tests and benchmarks: valid, with codes in most of their range, and optionally with extremes."""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from spikequant.golden.layer.integer import weight_steps
from spikequant.golden.layer.spec import BIAS_BITS, THETA_BITS, Spec
from spikequant.golden.layer.vectors import LayerVectors
from spikequant.golden.support.errors import InputError

LEVEL_SPREAD = 1.5
"""Scale of the Laplace distribution of normal levels, of which 28 % are then 0."""


@dataclass(frozen=True)
class _Activations:
    level: NDArray[np.int32]
    salient: NDArray[np.bool_]
    zero: NDArray[np.uint8]
    shift: NDArray[np.uint8]
    offset: NDArray[np.int8]


def _places(rng: Generator, size: int, kinds: int) -> dict[int, int]:
    """A different index below ``size`` for each kind; some kinds get none if ``size`` is below 8."""
    drawn = rng.permutation(max(size, 8))[:kinds].tolist()
    return {kind: index for kind, index in enumerate(drawn) if index < size}


def _scatter(rng: Generator, array: NDArray[np.float64], values: list[int]) -> None:
    """Write the values to different random places of the array."""
    for kind, index in _places(rng, array.size, len(values)).items():
        array[index] = values[kind]


def _activations(
    spec: Spec, rng: Generator, *, tokens: int, inputs: int, salient_fraction: float, max_shift: int, extremes: bool
) -> _Activations:
    shape = (tokens, inputs)
    top = spec.max_activation_code
    zero = np.clip(np.rint(rng.normal((top + 1) / 2, top / 8, tokens)), 0, top).astype(np.int64)
    # large shifts are as rare as massive activations are in language models
    shift = np.minimum(rng.geometric(0.5, tokens) - 1, max_shift)
    offset = rng.integers(-spec.max_salient_code, 1, tokens)
    salient = (rng.random(shape) < salient_fraction) & bool(spec.salient_bits)
    normal_level = np.rint(rng.laplace(0, LEVEL_SPREAD, shape)).astype(np.int64)
    salient_code = rng.integers(0, spec.max_salient_code + 1, shape)
    if extremes:
        rails = rng.choice([-1, 1], shape)
        for kind, token in _places(rng, tokens, 6).items():
            match kind:
                case 0:  # silent
                    salient[token] = False
                    normal_level[token] = 0
                case 1:  # no salient value
                    salient[token] = False
                case 2:  # only salient values
                    salient[token] = bool(spec.salient_bits)
                case 3:  # the largest salient levels
                    shift[token] = max_shift
                    offset[token] = rng.choice([-spec.max_salient_code, 0])
                    salient_code[token] = np.where(rails[token] > 0, spec.max_salient_code, 0)
                case _:  # the largest normal levels, negative or positive
                    zero[token] = 0 if kind == 4 else top
                    normal_level[token] = rails[token] * top
    code = np.clip(normal_level + zero[:, None], 0, top)
    window = (salient_code + offset[:, None]) << shift[:, None]
    return _Activations(
        level=np.where(salient, window, code - zero[:, None]).astype(np.int32),
        salient=salient,
        zero=zero.astype(np.uint8),
        shift=shift.astype(np.uint8),
        offset=offset.astype(np.int8),
    )


def random_vectors(
    spec: Spec,
    *,
    outputs: int,
    inputs: int,
    tokens: int,
    wide: int = 0,
    salient_fraction: float = 0.03,
    max_shift: int | None = None,
    extremes: bool = True,
    seed: int,
) -> LayerVectors:
    """A random layer that ``check_vectors`` accepts; equal arguments give equal layers.

    Thresholds are such that the codes of most outputs use most of their range. The membrane's width is ignored: for a
    narrow one choose ``max_shift`` so that the sums fit.

    Args:
        spec: sets the ranges of the integers.
        outputs: N, 1 or more.
        inputs: K, 1 or more; may exceed the spec's depth.
        tokens: T, 1 or more.
        wide: M, number of columns with a low half, 0..K.
        salient_fraction: share of salient values, 0..1; ignored without a salient phase.
        max_shift: largest power of two on salient codes; the spec's limit if None.
        extremes: include one token each that is silent, without salient values, all salient, with the largest shift
            and codes at both ends, and with levels at both ends for z = 0 and for the largest z; and one output each
            with theta 1, the largest theta, a theta that makes every odd V' a tie, the smallest and largest bias, and
            the smallest and largest weight zero point. Fewer than 8 tokens or outputs get a random part of these.
        seed: of the random numbers.

    Raises:
        InputError: a size or share out of its range.
    """
    shift_limit = spec.max_salient_shift if max_shift is None else max_shift
    for name, value, low, high in (
        ("outputs", outputs, 1, None),
        ("inputs", inputs, 1, None),
        ("tokens", tokens, 1, None),
        ("wide", wide, 0, inputs),
        ("salient_fraction", salient_fraction, 0, 1),
        ("max_shift", shift_limit, 0, spec.max_salient_shift),
    ):
        if value < low or (high is not None and value > high):
            expected = f"{low} or more" if high is None else f"{low}..{high}"
            raise InputError(f"random layer: {name} is {value}, expected {expected}")
    rng = np.random.default_rng(seed)
    top = spec.max_weight_code
    drawn = _activations(
        spec,
        rng,
        tokens=tokens,
        inputs=inputs,
        salient_fraction=salient_fraction,
        max_shift=shift_limit,
        extremes=extremes,
    )
    w_zero = np.clip(np.rint(rng.normal((top + 1) / 2, top / 12, outputs)), 0, top)
    theta_limit = 2**THETA_BITS - 1
    bias_limit = 2 ** (BIAS_BITS - 1)
    if extremes:
        _scatter(rng, w_zero, [0, top])
    vectors = LayerVectors(
        w_code=np.clip(np.rint(rng.normal((top + 1) / 2, top / 5, (outputs, inputs))), 0, top).astype(np.uint8),
        w_zero=w_zero.astype(np.uint8),
        level=drawn.level,
        salient=drawn.salient,
        zero=drawn.zero,
        shift=drawn.shift,
        offset=drawn.offset,
        theta=np.ones(outputs, np.uint32),
        bias=np.zeros(outputs, np.int32),
        wide=np.sort(rng.permutation(inputs)[:wide]).astype(np.int32),
        w_low=rng.integers(0, top + 1, (outputs, wide), dtype=np.uint8),
    )
    # thresholds may be approximate, and doubles hold sums up to 2**53 exactly
    weights = weight_steps(vectors, weight_bits=spec.weight_bits).astype(np.float64)
    typical = np.maximum(np.median(np.abs(drawn.level.astype(np.float64) @ weights.T), axis=0), 1)
    bias = np.rint(rng.normal(0, typical / 4)).clip(-bias_limit, bias_limit - 1)
    step = typical / (spec.max_output_code * rng.uniform(0.2, 0.5, outputs))
    theta = np.rint(step * 2.0**spec.theta_fraction_bits).clip(1, theta_limit)
    if extremes:
        _scatter(rng, theta, [1, theta_limit, 2 ** (spec.theta_fraction_bits + 1)])
        _scatter(rng, bias, [-bias_limit, bias_limit - 1])
    return LayerVectors(**{**vars(vectors), "theta": theta.astype(np.uint32), "bias": bias.astype(np.int32)})
