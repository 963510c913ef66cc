"""Levels of activations, value by value from the definition."""

import math

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from spikequant.golden.quantizer.encode import Levels, encode, window_shift
from spikequant.golden.quantizer.site import Site, TokenSite


def encode_token(values: np.ndarray, site: Site, max_shift: int) -> tuple[list[int], list[bool], int, int, bool]:
    """One token, value by value, from the definition; numbers in float32 as torch has them."""
    normal_codes, salient_codes = 2**site.bits - 1, 2**site.salient_bits - 1
    ratio = [np.float32(x) / np.float32(site.scale) for x in values]
    salient = [bool(abs(np.float32(x) - np.float32(site.median)) > np.float32(site.threshold)) for x in values]
    chosen = [r for r, is_salient in zip(ratio, salient, strict=True) if is_salient]
    low, high = min([np.float32(0), *chosen]), max([np.float32(0), *chosen])
    shift = 0
    while high - low > salient_codes * 2.0**shift:
        shift += 1
    clipped, shift = shift > max_shift, min(shift, max_shift)
    offset = max(-salient_codes, round(float(low) / 2**shift))
    level = []
    for r, is_salient in zip(ratio, salient, strict=True):
        if is_salient:
            level.append(min(max(round(float(r) / 2**shift), offset), offset + salient_codes) * 2**shift)
        else:
            level.append(min(max(round(float(r)) + site.zero, 0), normal_codes) - site.zero)
    return level, salient, shift, offset, clipped


@st.composite
def any_site(draw: st.DrawFn) -> Site:
    bits = draw(st.integers(1, 8))
    return Site(
        median=draw(st.floats(-2, 2, width=32)),
        threshold=draw(st.floats(0, 20, width=32)),
        scale=draw(st.floats(0.125, 4, width=32)),
        zero=draw(st.integers(0, 2**bits - 1)),
        bits=bits,
        salient_bits=draw(st.integers(2, 8)),
    )


numbers = st.floats(-3e4, 3e4, width=32) | st.floats(-10, 10, width=32)


@given(st.lists(st.lists(numbers, min_size=5, max_size=5), min_size=1, max_size=4), any_site(), st.integers(0, 12))
@example([[62.0, 31.0, 31.5, -0.5, 0.5]], Site(0.0, 1.0, 1.0, 0), 11)  # exact powers and ties
@example([[-31.0, 0.0, 0.0, 0.0, 0.0]], Site(0.0, 1.0, 1.0, 0), 11)
@example([[-15.5, 15.5, 0.25, 0.5, -2.5]], Site(0.0, 1.0, 1.0, 0), 11)
def test_encode_is_the_definition(tokens: list[list[float]], site: Site, max_shift: int) -> None:
    levels = encode(torch.tensor(tokens), site, max_shift=max_shift)
    assert (levels.scale, levels.zero) == (site.scale, site.zero)
    for token, values in enumerate(tokens):
        level, salient, shift, offset, clipped = encode_token(np.array(values), site, max_shift)
        assert levels.level[token].tolist() == level
        assert levels.salient[token].tolist() == salient
        assert int(levels.shift[token]) == shift
        assert int(levels.offset[token]) == offset
        assert bool(levels.clipped[token]) == clipped


@given(st.floats(0, 2.0**30, width=32), st.integers(2, 8))
@example(31.0, 5)
@example(31 * 2.0**7, 5)
@example(float(np.nextafter(np.float32(31 * 2.0**7), np.float32(1e9))), 5)
def test_the_shift_is_the_smallest_that_reaches(span: float, bits: int) -> None:
    codes = 2**bits - 1
    shift = int(window_shift(torch.tensor(span), codes))
    assert span <= codes * 2.0**shift
    assert shift == 0 or span > codes * 2.0 ** (shift - 1)


def test_the_window_reaches_the_largest_value() -> None:
    values = torch.tensor([[0.3, -1.0, 2.0, 9000.0]])
    levels = encode(values, Site(0.0, 3.0, 0.5, 7))
    assert levels.shift.tolist() == [10]
    assert levels.level[0, 3] * 0.5 == torch.tensor(9216.0)
    assert levels.salient.tolist() == [[False, False, False, True]]


def test_a_limited_window_is_marked() -> None:
    levels = encode(torch.tensor([[100.0, 0.0], [31.0, 0.0]]), Site(0.0, 3.0, 1.0, 0), max_shift=1)
    assert levels.clipped.tolist() == [True, False]
    assert levels.level.tolist() == [[62.0, 0.0], [31.0, 0.0]]


def test_without_salient_codes_everything_is_normal() -> None:
    levels = encode(torch.tensor([[100.0, -100.0, 2.0]]), Site(0.0, 3.0, 1.0, 5, salient_bits=0))
    assert levels.level.tolist() == [[10.0, -5.0, 2.0]]
    assert not levels.salient.any()
    assert not levels.clipped.any()
    assert (levels.shift.tolist(), levels.offset.tolist()) == ([0], [0])


def test_the_input_is_left_alone_and_may_have_any_batch_shape() -> None:
    values = torch.randn(2, 3, 8, generator=torch.Generator().manual_seed(5)) * 9
    before = values.clone()
    batch = encode(values, Site(0.0, 12.0, 1.0, 7))
    assert values.equal(before)
    assert batch.shift.shape == (2, 3)
    alone = encode(values[1, 2], Site(0.0, 12.0, 1.0, 7))
    assert alone.level.equal(batch.level[1, 2])


@given(st.integers(0, 2**31), st.integers(1, 8), st.sampled_from([0, 2, 5, 8]), st.sampled_from(["free", "symmetric"]))
def test_a_token_is_encoded_as_at_the_static_site_that_has_its_grid(
    seed: int, bits: int, salient_bits: int, zero_point: str
) -> None:
    values = torch.randn(3, 40, generator=torch.Generator().manual_seed(seed)) ** 3 * torch.logspace(-2, 2, 3)[:, None]
    site = TokenSite(2.5, "free" if zero_point == "free" else "symmetric", bits=bits, salient_bits=salient_bits)
    grid, batch = site.grid(values), encode(values, site)
    for token in range(3):
        median, threshold, scale, zero = (float(part[token]) for part in vars(grid).values())
        alone = encode(values[token], Site(median, threshold, scale, int(zero), bits=bits, salient_bits=salient_bits))
        assert alone.level.equal(batch.level[token])
        assert alone.salient.equal(batch.salient[token])
        assert alone.shift.equal(batch.shift[token])
        assert alone.offset.equal(batch.offset[token])


def float_encoded(ratio: torch.Tensor, bits: int, max_shift: int = 11) -> Levels:
    """Levels of values that are all salient at scale 1, each row a token."""
    return encode(ratio, Site(0.0, 0.0, 1.0, 0, salient_bits=bits, salient_format="float"), max_shift=max_shift)


@given(st.integers(0, 2**31), st.integers(3, 8), st.floats(0.1, 1e3))
def test_salient_floats_are_as_near_as_their_bits_allow(seed: int, bits: int, size: float) -> None:
    ratio = torch.randn(4, 30, generator=torch.Generator().manual_seed(seed)) ** 3 * size
    levels = float_encoded(ratio, bits, max_shift=30).level
    assert levels.equal(levels.round())
    top = ratio.abs().amax(-1, keepdim=True)
    # the smallest step, a quarter of the smallest power of two that has a mantissa
    least = top * 4 * 2.0 ** -(2 ** (bits - 2))
    # one bit of mantissa bounds the error by a fifth, and by a quarter at the very top; levels are whole numbers
    bound = torch.maximum(ratio.abs() / 4, torch.maximum(least * 2 / 7, torch.tensor(0.5)))
    assert ((levels - ratio).abs() <= bound * 1.0001).all()
    middle = (ratio.abs() > least) & (ratio.abs() > 8) & (ratio.abs() < top / 2)
    assert ((levels - ratio).abs()[middle] <= ratio.abs()[middle] * 0.2001).all()
    assert (levels * ratio >= 0).all()


@given(st.integers(0, 2**31), st.integers(3, 8))
def test_salient_floats_fit_their_bits(seed: int, bits: int) -> None:
    ratio = torch.randn(2, 2000, generator=torch.Generator().manual_seed(seed)) ** 5 * 1e4
    for token in float_encoded(ratio, bits, max_shift=30).level:
        # one of the bits is the sign
        assert token.abs().unique().numel() <= 2 ** (bits - 1)


def test_salient_floats_beyond_the_limit_are_marked() -> None:
    ratio = torch.tensor([[3000.0, -5.0], [3.0, -5.0]])
    levels = float_encoded(ratio, 5, max_shift=6)
    assert levels.clipped.tolist() == [True, False]
    assert levels.level.abs().max() <= 2**11
    assert (levels.shift.tolist(), levels.offset.tolist()) == ([0, 0], [0, 0])


def test_salient_floats_in_plain_numbers() -> None:
    ratio = torch.tensor([[96.0, 64.0, 48.0, -33.0, 40.0, 6.0, -5.0, 1.0]])
    assert float_encoded(ratio, 5).level.tolist() == [[96, 64, 48, -32, 32, 6, -4, 1]]
    # two powers of two, the lower one for 0 and one step, so that there are 0, 32, 64 and 96
    assert float_encoded(ratio, 3).level.tolist() == [[96, 64, 64, -32, 32, 0, 0, 0]]


@pytest.mark.parametrize("scale", [math.pi, 1e-3])
def test_normal_values_beside_salient_floats_are_as_without_them(scale: float) -> None:
    values = torch.randn(3, 50, generator=torch.Generator().manual_seed(2)) * 5 * scale
    found = encode(values, Site(0.0, 6 * scale, scale, 7, salient_format="float"))
    plain = encode(values, Site(0.0, 6 * scale, scale, 7, salient_format="window"))
    assert found.salient.equal(plain.salient)
    assert found.level[~found.salient].equal(plain.level[~plain.salient])
