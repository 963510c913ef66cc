"""Where the levels of a site lie."""

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from spikequant.golden.quantizer.encode import encode
from spikequant.golden.quantizer.saliency import is_salient
from spikequant.golden.quantizer.site import Site, TokenSite, ZeroPoint, calibrate_site, salient_outside
from spikequant.golden.quantizer.statistics import SiteStatistics, SiteWatcher

bit_widths = st.integers(1, 8)
zero_points = st.sampled_from(["free", "symmetric"])


def described(*, median: float, deviation: float, low: float, high: float) -> SiteStatistics:
    """Statistics with this median, median absolute deviation, and range."""
    sample = torch.tensor([[median - deviation, median - deviation, median, median + deviation, median + deviation]])
    return SiteStatistics(sample, torch.tensor([low]), torch.tensor([high]), torch.ones(1), tokens=1)


def observed(values: torch.Tensor) -> SiteStatistics:
    watcher = SiteWatcher(windows=1)
    watcher.add(values)
    return watcher.statistics()


def heavy_tailed(seed: int, *, shift: float = 0.0, tokens: int = 3, channels: int = 40) -> torch.Tensor:
    """Values [tokens, channels] with outliers, tokens of very different sizes."""
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(tokens, channels, generator=generator) ** 3 + shift
    return values * torch.logspace(-2, 2, tokens)[:, None]


def test_a_site_spans_the_values_that_are_not_salient() -> None:
    site = calibrate_site(described(median=1.0, deviation=2.0, low=-100.0, high=100.0), k=2.0)
    threshold = 2.0 * 1.4826 * 2.0
    assert site.threshold == pytest.approx(threshold)
    assert site.scale == pytest.approx(2 * threshold / 15)
    assert site.zero == round((threshold - 1.0) / (2 * threshold / 15))


def test_a_site_never_spans_more_than_the_values_and_always_zero() -> None:
    site = calibrate_site(described(median=4.0, deviation=2.0, low=3.0, high=6.0), k=9.0)
    assert (site.scale, site.zero) == (pytest.approx(6 / 15), 0)
    site = calibrate_site(described(median=-4.0, deviation=2.0, low=-6.0, high=-3.0), k=9.0)
    assert (site.scale, site.zero) == (pytest.approx(6 / 15), 15)


@pytest.mark.parametrize("zero_point", ["free", "symmetric"])
def test_a_site_that_is_always_zero_is_usable(zero_point: ZeroPoint) -> None:
    zero = 0 if zero_point == "free" else 8
    site = calibrate_site(described(median=0, deviation=0, low=0, high=0), k=3.0, zero_point=zero_point)
    # a value within half a step rounds to 0, whether salient or not
    assert site == Site(0.0, 0.5, 1.0, zero)
    grid = TokenSite(3.0, zero_point=zero_point).grid(torch.zeros(2, 5))
    assert (grid.scale.tolist(), grid.zero.tolist()) == ([[1.0], [1.0]], [[zero], [zero]])


def relative_error(values: torch.Tensor, site: Site | TokenSite) -> float:
    levels = encode(values, site)
    return float((levels.level * levels.scale - values).square().mean() / values.square().mean())


@pytest.mark.parametrize("shift", [-2.5, -1.2, 0.0, 0.5])
def test_a_site_after_relu_rounds_better_than_a_grid_over_the_range_of_each_token(shift: float) -> None:
    values = (torch.randn(100, 256, generator=torch.Generator().manual_seed(5)) + shift).relu()
    step = (values.amax(-1, keepdim=True) / 15).clamp(min=1e-9)
    plain = float(((values / step).round() * step - values).square().mean() / values.square().mean())
    for k in (2.0, 6.8):
        assert relative_error(values, calibrate_site(observed(values), k)) < plain
        assert relative_error(values, TokenSite(k)) < plain


@pytest.mark.parametrize("size", [1e-44, 1e-30, 1.0, 1e30, 1e38])
@pytest.mark.parametrize("kind", ["constant", "relu", "outlier", "one", "channels"])
def test_no_input_makes_an_unusable_site(size: float, kind: str) -> None:
    normal = torch.randn(20, 64, generator=torch.Generator().manual_seed(6)).clamp(-3, 3)
    values = {
        "constant": torch.ones(20, 64),
        "relu": (normal - 1).relu() / 3,
        "outlier": torch.cat([normal[:, 1:] / 1e4, torch.ones(20, 1)], 1),
        "one": torch.nn.functional.pad(torch.ones(1, 1), (0, 63, 0, 19)),
        "channels": torch.cat([torch.ones(20, 40), normal[:, 40:] / 3], 1),
    }[kind] * size
    site = calibrate_site(observed(values), 6.8)
    assert site.threshold > 0
    levels = encode(values, site)
    assert float(levels.salient.float().mean()) <= 0.125
    assert bool(levels.level.isfinite().all())
    if size >= 1e-30 and kind != "outlier":
        assert relative_error(values.double(), site) < 0.02


@pytest.mark.parametrize(
    "values",
    [
        (0.0, 1.0, 0.0, 3),
        (0.0, -1.0, 1.0, 3),
        (0.0, 1.0, 1.0, 16),
        (0.0, 1.0, 1.0, -1),
        (float("nan"), 1, 1, 1),
        (0.0, float("inf"), 1, 1),
        (0.0, 1.0, float("inf"), 1),
    ],
)
def test_impossible_sites_are_refused(values: tuple[float, float, float, int]) -> None:
    with pytest.raises(ValueError, match="expected finite"):
        Site(*values)


@pytest.mark.parametrize(("bits", "salient_bits"), [(0, 5), (9, 5), (4, 1), (4, -1), (4, 9)])
def test_impossible_widths_are_refused(bits: int, salient_bits: int) -> None:
    message = f"expected bits in 1..8 and salient_bits 0 or .*, got {bits} and {salient_bits}"
    with pytest.raises(ValueError, match=message):
        Site(0.0, 1.0, 1.0, 0, bits=bits, salient_bits=salient_bits)
    with pytest.raises(ValueError, match=message):
        TokenSite(3.0, "free", bits=bits, salient_bits=salient_bits)


def test_a_float_has_three_bits_at_least() -> None:
    for salient_bits in (0, 3):
        Site(0.0, 1.0, 1.0, 0, salient_bits=salient_bits, salient_format="float")
    with pytest.raises(ValueError, match=r"salient_bits 0 or 3\.\.8, got 4 and 2"):
        TokenSite(3.0, salient_bits=2, salient_format="float")


@given(st.integers(0, 2**31), st.floats(-3, 3), st.floats(0.5, 8), bit_widths, zero_points)
def test_every_normal_value_has_a_level_within_one_step(
    seed: int, shift: float, k: float, bits: int, zero_point: ZeroPoint
) -> None:
    values = heavy_tailed(seed, shift=shift)
    site = calibrate_site(observed(values), k, bits=bits, salient_bits=0, zero_point=zero_point)
    assert 0 <= site.zero < 2**bits
    normal = values[~is_salient(values, median=site.median, threshold=site.threshold)]
    levels = encode(normal[None], site).level[0]
    # a free zero point is rounded too, and at one bit there is no code above an amid one
    furthest = 0.5 if zero_point == "symmetric" and bits > 1 else 1.0
    assert ((levels * site.scale - normal).abs() <= site.scale * furthest * 1.001).all()
    assert levels.min() >= -site.zero
    assert levels.max() <= 2**bits - 1 - site.zero


@given(st.integers(0, 2**31), st.floats(0.5, 8), bit_widths)
def test_a_symmetric_site_has_its_zero_amid_the_codes(seed: int, k: float, bits: int) -> None:
    values = heavy_tailed(seed)
    for sign in (1, -1):
        site = calibrate_site(observed(values.abs() * sign), k, bits=bits, zero_point="symmetric")
        assert site.zero == 2 ** (bits - 1)
        grid = TokenSite(k, zero_point="symmetric", bits=bits).grid(values.abs() * sign)
        assert (grid.zero == 2 ** (bits - 1)).all()
    # a range of one sign wastes the other half
    free = calibrate_site(observed(values.abs()), k, bits=bits)
    assert calibrate_site(observed(values.abs()), k, bits=bits, zero_point="symmetric").scale >= free.scale


@given(st.integers(0, 2**31), st.floats(-3, 3), st.floats(0.5, 8), bit_widths, zero_points)
def test_a_token_finds_the_grid_that_calibration_on_it_alone_finds(
    seed: int, shift: float, k: float, bits: int, zero_point: ZeroPoint
) -> None:
    values = heavy_tailed(seed, shift=shift)
    grid = TokenSite(k, zero_point=zero_point, bits=bits).grid(values)
    for token in range(values.shape[0]):
        static = calibrate_site(observed(values[token : token + 1]), k, bits=bits, zero_point=zero_point)
        found = [float(getattr(grid, name)[token]) for name in ("median", "threshold", "scale")]
        assert found == pytest.approx([static.median, static.threshold, static.scale], rel=1e-5)
        low = min(0.0, max(static.median - static.threshold, float(values[token].min())))
        if abs((-low / static.scale) % 1 - 0.5) > 1e-3:
            assert int(grid.zero[token]) == static.zero


@given(st.integers(0, 2**31), bit_widths, st.integers(0, 255), st.floats(0.01, 100))
def test_salient_outside_is_salient_where_no_normal_code_is_near(seed: int, bits: int, zero: int, scale: float) -> None:
    scale = float(torch.tensor(scale))
    site = salient_outside(Site(7.0, 0.5, scale, zero % 2**bits, bits=bits, salient_bits=6, salient_format="float"))
    assert (site.scale, site.zero, site.bits) == (scale, zero % 2**bits, bits)
    assert (site.salient_bits, site.salient_format) == (6, "float")
    ratio = torch.randn(200, generator=torch.Generator().manual_seed(seed)) * 2 ** (bits + 1)
    # a half is a tie, and floats next to it fall to either side
    ratio = ratio[((ratio % 1) - 0.5).abs() > 1e-3]
    code = ratio.round() + site.zero
    salient = is_salient(ratio * scale, median=site.median, threshold=site.threshold)
    assert salient.equal((code < 0) | (code > 2**bits - 1))
    assume(bool(salient.any()))
    assert salient_outside(site) == site
