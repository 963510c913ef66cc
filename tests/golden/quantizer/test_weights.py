import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spikequant.golden.quantizer.weights import CLIP_GRID, LOW_STEPS, choose_wide, find_grid, quantize_weight


@given(
    st.integers(0, 2**32),
    st.integers(1, 9),
    st.integers(1, 33),
    st.floats(-1, 1),
    st.sampled_from([0, 0.25, 1]),
    st.integers(1, 8),
)
def test_rounding_is_within_half_a_step(
    seed: int, rows: int, columns: int, shift: float, wide_fraction: float, bits: int
) -> None:
    weight = torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed)) + shift
    quantized = quantize_weight(weight, bits=bits, wide_fraction=wide_fraction)
    error = (quantized.values() - weight).abs() / quantized.scales[:, None]
    # the zero point is rounded too, which clips the range by up to half a step
    assert error.max() <= 0.5 + 1e-4
    assert (quantized.bits, quantized.wide.numel()) == (bits, round(wide_fraction * columns))
    assert quantized.codes.max() <= 2**bits - 1
    assert quantized.zeros.max() <= 2**bits - 1
    assert quantized.wide.tolist() == sorted(set(quantized.wide.tolist()))
    if quantized.wide.numel():
        assert quantized.low.max() <= 15
        # a wide column has 16 times finer steps, wherever the zero point's rounding has not clipped it
        steps = (weight / quantized.scales[:, None] + quantized.zeros[:, None])[:, quantized.wide.long()]
        reached = (steps >= 0) & (steps <= 2**bits - 1 / LOW_STEPS)
        assert (error[:, quantized.wide.long()][reached] <= 1 / (2 * LOW_STEPS) + 1e-4).all()


def test_rows_without_any_weight_stay_zero() -> None:
    assert quantize_weight(torch.zeros(2, 5)).values().eq(0).all()


def test_the_wide_columns_are_those_with_loud_inputs_and_coarse_weights() -> None:
    weight = torch.randn(16, 8, generator=torch.Generator().manual_seed(3))
    power = torch.tensor([1.0, 50.0, 1.0, 1.0, 1.0, 70.0, 1.0, 1.0])
    assert choose_wide(weight, power, 2).tolist() == [1, 5]
    weight[:, 5] = 0.0
    assert 5 not in choose_wide(weight, power, 2).tolist()


def row_with_quiet_outlier() -> tuple[torch.Tensor, torch.Tensor]:
    """Weights [32, 64] and input power [64]; large weights at a quiet input should not set the range."""
    generator = torch.Generator().manual_seed(4)
    weight, power = torch.randn(32, 64, generator=generator), torch.rand(64, generator=generator)
    weight[:, 9] *= 5
    power[9] = 1e-3
    return weight, power


def weighted_error(row: list[float], power: list[float], fraction: float) -> float:
    """Error of one row rounded by hand between ``fraction`` times its extremes."""
    low, high = min(0.0, *row) * fraction, max(0.0, *row) * fraction
    scale = (high - low) / 15
    zero = round(-low / scale)
    codes = [min(max(round(value / scale) + zero, 0), 15) for value in row]
    return sum(p * ((code - zero) * scale - value) ** 2 for p, code, value in zip(power, codes, row, strict=True))


def test_the_clip_search_finds_the_least_weighted_error_of_its_grid() -> None:
    weight, power = row_with_quiet_outlier()
    searched = quantize_weight(weight, power=power, clip_search=True).values()
    found = (searched - weight).square() @ power
    least = [min(weighted_error(row, power.tolist(), fraction) for fraction in CLIP_GRID) for row in weight.tolist()]
    assert found.tolist() == pytest.approx(least, rel=1e-3)
    plain = [weighted_error(row, power.tolist(), 1.0) for row in weight.tolist()]
    assert sum(least) < sum(plain)


def test_the_clip_search_never_hurts_a_row_with_wide_columns() -> None:
    weight, power = row_with_quiet_outlier()

    def error(*, clip_search: bool) -> torch.Tensor:
        quantized = quantize_weight(weight, power=power, wide_fraction=0.1, clip_search=clip_search)
        return (quantized.values() - weight).square() @ power

    plain, searched = error(clip_search=False), error(clip_search=True)
    assert (searched <= plain * (1 + 1e-5)).all()
    assert searched.sum() < plain.sum()


@given(st.integers(0, 2**31), st.integers(1, 8), st.sampled_from([0.0, 0.3, 1.0]))
def test_every_step_of_the_grid_survives_packing(seed: int, bits: int, wide_fraction: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    grid = find_grid(torch.randn(6, 10, generator=generator), bits=bits, wide_fraction=wide_fraction)
    # far outside, the outermost steps come out
    ratio = torch.randn(6, 10, generator=generator) * 2 ** (bits + 1)
    steps = grid.steps(ratio)
    packed = grid.pack(steps)
    assert packed.steps().equal(steps)
    assert packed.values().equal(steps * grid.scales[:, None])
    assert grid.steps(steps).equal(steps)
    part = slice(2, 7)
    assert grid.steps(ratio[:, part], part).equal(steps[:, part])
    limits = (2**bits - 1) + (LOW_STEPS - 1) / LOW_STEPS * (grid.fine > 1)
    assert (steps + grid.zeros[:, None] <= limits).all()
    assert (steps + grid.zeros[:, None] >= 0).all()


def correlated_inputs() -> tuple[torch.Tensor, torch.Tensor]:
    """Weights [24, 48], and inputs [400, 48] that follow from 12 hidden causes."""
    generator = torch.Generator().manual_seed(11)
    mixing = torch.randn(12, 48, generator=generator)
    inputs = torch.randn(400, 12, generator=generator) @ mixing + 0.1 * torch.randn(400, 48, generator=generator)
    return torch.randn(24, 48, generator=generator), inputs


@pytest.mark.parametrize(("bits", "wide_fraction"), [(4, 0.0), (4, 0.125), (2, 0.0), (3, 0.25), (8, 0.0)])
def test_gptq_lowers_the_error_of_the_output_on_the_same_grid(bits: int, wide_fraction: float) -> None:
    weight, inputs = correlated_inputs()
    moment = inputs.T @ inputs / inputs.shape[0]
    power = moment.diagonal()
    nearest = quantize_weight(weight, power=power, bits=bits, wide_fraction=wide_fraction)
    found = quantize_weight(weight, power=power, bits=bits, wide_fraction=wide_fraction, second_moment=moment)

    def error(values: torch.Tensor) -> float:
        return float((inputs @ (values - weight).T).square().mean())

    assert error(found.values()) < 0.5 * error(nearest.values())
    # only the choice of codes differs
    assert found.scales.equal(nearest.scales)
    assert found.zeros.equal(nearest.zeros)
    assert found.wide.equal(nearest.wide)
    assert found.wide.numel() == round(wide_fraction * 48)
    assert not found.codes.equal(nearest.codes)


def test_gptq_on_unrelated_inputs_rounds_to_the_nearest() -> None:
    weight, _ = correlated_inputs()
    moment = torch.diag(torch.rand(48, generator=torch.Generator().manual_seed(5)) + 0.1)
    found = quantize_weight(weight, wide_fraction=0.1, second_moment=moment)
    nearest = quantize_weight(weight, wide_fraction=0.1)
    assert found.codes.equal(nearest.codes)
    assert found.low.equal(nearest.low)
