from fractions import Fraction
from math import isqrt, sqrt

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from spikequant.golden.block.norm import inverse_root, norm_constants, normalize, root_table
from spikequant.golden.block.settings import BlockWidths
from spikequant.golden.support.errors import InputError

EPSILON = 1e-5
FRACTION = 9
STEP = 0.03125

FINEST = BlockWidths(residual_bits=25, root_bits=17, root_index_bits=12, root_steps=1, ratio_bits=25, ratio_fraction=10)


def exact(stream: Tensor, gains: Tensor) -> Tensor:
    """The norm in steps of the site, float64; a stream of a few steps needs the rounded epsilon."""
    channels = gains.numel()
    total = stream.double().square().sum(-1, keepdim=True) + round(channels * EPSILON * 4**FRACTION)
    return stream * (total / channels).clamp(min=1e-9).rsqrt() * gains / STEP


def checked(stream: Tensor, gains: Tensor, widths: BlockWidths) -> tuple[Tensor, Tensor]:
    """Ratios as numbers, and their flags."""
    constants = norm_constants(gains, EPSILON, STEP, FRACTION, widths)
    ratios, flags = normalize(stream, constants, widths)
    limit = 2 ** (widths.ratio_bits - 1)
    assert ratios.dtype == torch.int64
    assert ratios.ge(-limit).all()
    assert ratios.lt(limit).all()
    return ratios.double() / 2**widths.ratio_fraction, flags


def error_bound(found: Tensor, gains: Tensor, widths: BlockWidths) -> Tensor:
    """Bound of a ratio's error: of the root, of both roundings, and of the gain."""
    table = 2.0 ** -(widths.root_index_bits - 1)
    root = 2.0 ** (2 - widths.root_bits) + (table**2 * 4 if widths.root_steps else table)
    largest = gains.abs().max() * sqrt(gains.numel()) / STEP
    unit = largest * 2.0 ** -(widths.unit_fraction + 1)
    return found.abs() * root * 1.01 + unit + largest * 2.0 ** (1 - widths.gain_bits) + 2.0**-widths.ratio_fraction


@pytest.mark.parametrize("widths", [BlockWidths(), FINEST, BlockWidths(root_index_bits=5, root_bits=12)])
@given(seed=st.integers(0, 2**32 - 1), spread=st.integers(0, 17), channels=st.sampled_from([1, 3, 64, 576]))
def test_ratios_are_within_their_bound_of_the_norm(widths: BlockWidths, seed: int, spread: int, channels: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    scale = 2.0 ** torch.randint(0, spread + 1, (3, 1), generator=generator)
    stream = (torch.randn(3, channels, generator=generator) * scale).round().long().clamp(-(2**17), 2**17 - 1)
    gains = torch.randn(channels, generator=generator)
    found, flags = checked(stream, gains, widths)
    expected = exact(stream, gains.double())
    assert not flags.any()
    assert (found - expected).abs().le(error_bound(expected, gains, widths)).all()


@pytest.mark.parametrize("channels", [1, 2, 576, 4096])
@pytest.mark.parametrize("value", [-(2**17), -1, 0, 1, 2**17 - 1])
def test_equal_values_and_a_single_outlier(channels: int, value: int) -> None:
    gains = torch.ones(channels)
    lonely = torch.zeros(channels, dtype=torch.int64)
    lonely[channels // 2] = value
    stream = torch.stack([torch.full((channels,), value), lonely])
    found, flags = checked(stream, gains, BlockWidths(ratio_bits=25))
    expected = exact(stream, gains.double())
    assert not flags.any()
    assert (found - expected).abs().le(error_bound(expected, gains, BlockWidths())).all()
    assert found[0].unique().numel() == 1
    assert not found[1, lonely == 0].any()


@given(st.integers(0, 2**32 - 1))
def test_a_value_over_the_root_fits_an_operand_of_a_multiplier(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for bits in (4, 5, 9):
        widths = BlockWidths(root_index_bits=bits)
        stream = torch.zeros(1, 8, dtype=torch.int64)
        stream[0, 0] = int(torch.randint(1, 2**17, (1,), generator=generator))
        root, exponent = inverse_root(stream.square().sum(-1, keepdim=True), widths)
        unit = stream * root / 2.0 ** (widths.root_bits + exponent)
        assert unit.abs().max() <= 1 + 2.0 ** -(bits - 1)


def test_small_ratio_widths_saturate_with_flags() -> None:
    stream = torch.zeros(1, 64, dtype=torch.int64)
    stream[0, 3] = -1000
    stream[0, 4] = 1
    found, flags = checked(stream, torch.ones(64), BlockWidths(ratio_bits=8, ratio_fraction=4))
    assert flags.nonzero().tolist() == [[0, 3]]
    assert found[0, 3] == -8


def test_gains_of_zero_and_both_signs() -> None:
    gains = torch.tensor([0.0, -0.0, 1.5, -1.5])
    found, _ = checked(torch.tensor([[100, 100, 100, 100]]), gains, BlockWidths())
    assert found[0, :2].tolist() == [0, 0]
    assert found[0, 2:].tolist() == pytest.approx([48, -48], rel=0.005)
    nothing, flags = checked(torch.tensor([[5, -5]]), torch.zeros(2), BlockWidths())
    assert not nothing.any()
    assert not flags.any()


def test_sums_of_squares_beyond_int64_are_refused() -> None:
    with pytest.raises(InputError, match="integer block: 16384 squares of 25 bits have a sum of 63 bits"):
        norm_constants(torch.ones(2**14), EPSILON, STEP, FRACTION, FINEST)


def test_gains_are_the_nearest_of_their_width() -> None:
    gains = torch.tensor([0.7, -0.011, 0.3])
    constants = norm_constants(gains, EPSILON, STEP, FRACTION, BlockWidths())
    assert 2**14 <= constants.gains.abs().max() < 2**15
    expected = sqrt(3) * gains.double() / STEP * 2.0**constants.gain_fraction
    assert (constants.gains - expected).abs().le(0.5 + 1e-9).all()
    assert constants.epsilon == round(3 * Fraction(EPSILON) * 4**FRACTION)


@given(st.lists(st.integers(1, 2**61 - 1), min_size=1, max_size=20), st.sampled_from([5, 8, 12]), st.integers(0, 1))
def test_an_inverse_root_is_as_exact_as_its_table(totals: list[int], index_bits: int, steps: int) -> None:
    widths = BlockWidths(root_index_bits=index_bits, root_steps=steps, root_bits=17)
    totals += [1, 2, 3, 4, 2**60 - 1, 2**60]
    root, exponent = inverse_root(torch.tensor(totals), widths)
    table = 2.0 ** -(index_bits - 1)
    bound = 2.0**-15 + (table**2 * 4 if steps else table)
    for total, mantissa, power in zip(totals, root.tolist(), exponent.tolist(), strict=True):
        assert 4**power <= total < 4 ** (power + 1)
        assert mantissa < 2**17
        assert abs(mantissa / 2.0**17 / 2.0**power * sqrt(total) - 1) <= bound


@pytest.mark.parametrize("index_bits", [4, 8, 12])
@pytest.mark.parametrize("bits", [8, 12, 17])
def test_the_table_holds_the_nearest_inverse_roots(index_bits: int, bits: int) -> None:
    table = root_table(index_bits, bits).tolist()
    quarter = 2 ** (index_bits - 2)
    assert len(table) == 4 * quarter
    assert max(table) < 2**bits
    assert min(table[quarter:]) >= 2 ** (bits - 1)
    for index in range(quarter, 4 * quarter):
        square = 4**bits * quarter / Fraction(2 * index + 1, 2)
        # the nearest root, or the largest entry
        nearest = (isqrt(4 * square.numerator // square.denominator) + 1) // 2
        assert table[index] == min(nearest, 2**bits - 1)
