from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spikequant.golden.block.ratio_encoder import RatioEncoder, check_site, encode_ratios, ratio_bounds
from spikequant.golden.quantizer.encode import encode
from spikequant.golden.quantizer.site import Site, TokenSite, salient_outside
from spikequant.golden.support.errors import InputError

FRACTION = 6

SITE = Site(median=0.0, threshold=1.0, scale=0.125, zero=7)


def sites() -> st.SearchStrategy[Site]:
    """Sites whose step is a power of two, so that floats divide by it exactly."""
    return st.builds(
        Site,
        bits=st.integers(2, 8),
        salient_bits=st.sampled_from([0, 2, 5, 8]),
        dead_zone=st.sampled_from([0.5, 0.75, 1.3, 2.0]),
        median=st.integers(-64, 64).map(lambda value: value / 64),
        threshold=st.integers(1, 640).map(lambda value: value / 64),
        scale=st.sampled_from([0.125, 1.0, 4.0]),
        zero=st.integers(0, 3),
    )


@given(sites(), st.integers(0, 11), st.integers(0, 2**32 - 1), st.integers(6, 22))
def test_levels_are_those_of_the_float_encoder(site: Site, max_shift: int, seed: int, reach: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    ratios = torch.randint(-(2**reach), 2**reach, (4, 32), generator=generator)
    ratios[0] >>= 6
    ratios[1] = 0
    ratios[2, 1:] = 0
    found = encode_ratios(ratios, site, fraction=FRACTION, max_shift=max_shift)
    expected = encode((ratios + 0.5) / 2**FRACTION * site.scale, site, max_shift=max_shift)
    for part in ("level", "salient", "shift", "offset", "clipped"):
        assert getattr(found, part).equal(getattr(expected, part)), part
        assert getattr(found, part).dtype == getattr(expected, part).dtype
    assert (found.scale, found.zero) == (expected.scale, expected.zero)


@given(st.floats(0.01, 1), st.floats(-0.1, 0.1), st.integers(0, 15))
def test_bounds_compare_as_the_exact_numbers_do(scale: float, median: float, zero: int) -> None:
    site = salient_outside(Site(median=median, threshold=1.0, scale=scale, zero=zero))
    bounds = ratio_bounds(site, FRACTION)
    # in codes, normal values are in -1/2..15 + 1/2
    assert bounds.low == pytest.approx((-0.5 - zero) * 64, abs=1.01)
    assert bounds.high == pytest.approx((15.5 - zero) * 64, abs=1.01)
    assert bounds.dead == 32


def test_a_module_gives_the_levels_of_floats_that_hold_ratios() -> None:
    ratios = torch.tensor([[-20.5, -0.0, 0.484375, 0.5, 1.5, 100.25]])
    found = RatioEncoder(FRACTION)(ratios, SITE)
    assert found.level.equal(encode((ratios + 2**-7) * SITE.scale, SITE).level)
    assert found.level[0, 1:5].tolist() == [0, 0, 1, 2]


@given(st.integers(1, 8), st.integers(0, 2**32 - 1))
def test_truncated_ratios_have_the_levels_of_the_exact_values(fraction: int, seed: int) -> None:
    exact = torch.randn(2, 64, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 3
    ratios = (exact * 2.0**fraction).floor().long()
    site = salient_outside(SITE)
    found = encode_ratios(ratios, site, fraction=fraction, max_shift=11)
    assert found.level.equal(encode(exact * site.scale, site).level.float())


def test_dynamic_sites_and_float_codes_are_refused() -> None:
    for site in (TokenSite(k=3.0), replace(SITE, salient_format="float")):
        with pytest.raises(InputError, match="expected static sites"):
            check_site(site)
