"""Encoding of ratios, values in steps of their site, as levels: comparisons, shifts and one rounding adder.

A ratio is truncated, so it stands for an interval, and encoding takes its middle. Where levels change, at halves, no
interval crosses: so levels are those of the exact value, however few fractional bits a ratio has. They equal
``encode`` of the middle as a float. A token is read twice: once to find the salient extremes, from which
its window follows, and once to write its codes.
"""

from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor

import torch
from torch import Tensor

from spikequant.golden.block.fixed_point import round_shift
from spikequant.golden.quantizer.encode import MAX_SALIENT_SHIFT, Levels
from spikequant.golden.quantizer.site import AnySite, Site
from spikequant.golden.support.errors import InputError


@dataclass(frozen=True)
class RatioBounds:
    """Comparisons of a site, as integers with the ratio's fractional bits.

    Attributes:
        low: ratios below are salient.
        high: ratios above are salient.
        dead: ratios of a smaller magnitude that are not salient have level 0.
    """

    low: int
    high: int
    dead: int


def check_site(site: AnySite) -> Site:
    """The site, if integers can encode at it.

    Raises:
        InputError: it has a grid for each token, or its salient codes have no window.
    """
    if not isinstance(site, Site) or site.salient_format != "window":
        raise InputError("integer block: expected static sites, with salient codes of format window")
    return site


def ratio_bounds(site: Site, fraction: int) -> RatioBounds:
    """A site's bounds, rounded so that integers compare as the exact numbers do."""
    median, threshold, step = Fraction(site.median), Fraction(site.threshold), Fraction(site.scale)
    one = 2**fraction
    return RatioBounds(
        low=ceil((median - threshold) / step * one),
        high=floor((median + threshold) / step * one),
        dead=ceil(Fraction(site.dead_zone) * one),
    )


def encode_ratios(ratios: Tensor, site: Site, *, fraction: int, max_shift: int) -> Levels:
    """Levels of ratios; see ``encode`` for the formulas.

    Args:
        ratios: int64 [..., K], truncated.
        site: widths of the codes, zero point, and bounds.
        fraction: fractional bits of the ratios.
        max_shift: limit of the salient shift m.
    """
    # the middle of a truncated ratio's interval is no tie: one constant bit more
    ratios, fraction = 2 * ratios + 1, fraction + 1
    bounds = ratio_bounds(site, fraction)
    level = round_shift(ratios, fraction).clamp(-site.zero, 2**site.bits - 1 - site.zero)
    level.masked_fill_(ratios.abs() < bounds.dead, 0)
    shape = ratios.shape[:-1]
    salient = torch.zeros_like(ratios, dtype=torch.bool)
    shift = offset = torch.zeros(shape, dtype=torch.int64)
    clipped = torch.zeros(shape, dtype=torch.bool)
    if site.salient_bits:
        codes = 2**site.salient_bits - 1
        salient = (ratios < bounds.low) | (ratios > bounds.high)
        others = ratios.masked_fill(~salient, 0)
        lowest, highest = others.amin(-1).clamp(max=0), others.amax(-1).clamp(min=0)
        # a comparator for each shift: how many windows are too small
        windows = torch.tensor([codes << fraction + place for place in range(max_shift + 1)])
        needed = ((highest - lowest).unsqueeze(-1) > windows).sum(-1)
        shift, clipped = needed.clamp(max=max_shift), needed > max_shift
        offset = round_shift(lowest, fraction + shift).clamp(min=-codes)
        first, places = offset.unsqueeze(-1), shift.unsqueeze(-1)
        code = round_shift(others, fraction + places).clamp(first, first + codes)
        level = torch.where(salient, code << places, level)
    return Levels(level.float(), site.scale, site.zero, salient, shift.int(), offset.int(), clipped)


@dataclass(frozen=True)
class RatioEncoder:
    """Encoder of a layer whose inputs are ratios as floats: replaces ``encode``.

    Attributes:
        fraction: fractional bits of the ratios.
    """

    fraction: int

    def __call__(self, values: Tensor, site: AnySite, *, max_shift: int = MAX_SALIENT_SHIFT) -> Levels:
        """Levels of ratios, float32 [..., K], that have no more than the fractional bits.

        Raises:
            InputError: integers cannot encode at the site.
        """
        ratios = torch.ldexp(values, torch.tensor(self.fraction)).long()
        return encode_ratios(ratios, check_site(site), fraction=self.fraction, max_shift=max_shift)
