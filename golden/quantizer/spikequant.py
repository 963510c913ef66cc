"""The SpikeQuant method: sites and quantized layers by a recipe."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from spikequant.golden.models.model import RESIDUAL_GROUPS, site_group
from spikequant.golden.quantizer.encode import encode
from spikequant.golden.quantizer.equalize import search_factors
from spikequant.golden.quantizer.fake_quant import FakeQuantLinear
from spikequant.golden.quantizer.grouped_weights import round_grouped
from spikequant.golden.quantizer.health import warn_about
from spikequant.golden.quantizer.linear import SpikeQuantLinear
from spikequant.golden.quantizer.method import FloatLayer, FloatSite, Method
from spikequant.golden.quantizer.recipe import Recipe
from spikequant.golden.quantizer.site import AnySite, Site, TokenSite, calibrate_site, salient_outside
from spikequant.golden.quantizer.statistics import SiteStatistics
from spikequant.golden.quantizer.weights import quantize_weight

SOURCE = "SpikeQuant, arXiv 2510.19498"
DIFFERENCES = (
    "only the abstract was available: wide columns, the search of ranges and channel factors, and all training are "
    "this project's"
)


def spikequant(recipe: Recipe) -> Method:
    """SpikeQuant by a recipe.

    The integer datapath runs the result unless ``recipe.extra_hardware`` lists more.
    """
    return Method(
        name="spikequant",
        source=SOURCE,
        differences=DIFFERENCES,
        quantize=lambda layer: _quantize(layer, recipe),
        second_moment=bool(recipe.weights.gptq),
        factors=(lambda site: _factors(site, recipe)) if recipe.equalize else None,
    )


def make_site(recipe: Recipe, layer: str, statistics: SiteStatistics) -> AnySite:
    """The input site of a layer.

    Args:
        recipe: choices of the quantizer.
        layer: name of the layer, or of its site; its last part selects the saliency factor.
        statistics: of the input.
    """
    if recipe.activations.scale == "token":
        return TokenSite(k=recipe.k(layer), **_codes(recipe))
    site = calibrated_site(recipe, layer, statistics)
    return salient_outside(site) if recipe.activations.salient_rule == "outside" else site


def calibrated_site(recipe: Recipe, layer: str, statistics: SiteStatistics) -> Site:
    """The static site of a layer by the salient rule; arguments as of ``make_site``."""
    return calibrate_site(statistics, recipe.k(layer), **_codes(recipe))


def _codes(recipe: Recipe) -> dict[str, Any]:
    names = {"bits", "salient_bits", "salient_format", "zero_point", "dead_zone"}
    return recipe.activations.model_dump(include=names)


def _factors(site: FloatSite, recipe: Recipe) -> Tensor:
    def error(statistics: SiteStatistics, weights: Sequence[Tensor]) -> float:
        inputs = statistics.sample
        rounded = _rounded(inputs, make_site(recipe, site.name, statistics))
        total = 0.0
        for weight in weights:
            # without a search of ranges, which is slow and differs little between candidates
            codes = quantize_weight(
                weight, power=statistics.power, bits=recipe.weights.bits, wide_fraction=recipe.weights.wide_fraction
            )
            wanted = inputs @ weight.T
            noise = (rounded @ codes.values().T - wanted).square_().sum()
            total += float(noise / wanted.square_().sum().clamp(min=torch.finfo(torch.float32).tiny))
        return total

    return search_factors(site.statistics, site.weights, recipe.equalize, foldable=site.foldable, error=error)


def _quantize(layer: FloatLayer, recipe: Recipe) -> nn.Module:
    statistics = layer.statistics
    assert statistics is not None
    site = make_site(recipe, layer.name, statistics)
    bias = None if layer.linear.bias is None else layer.linear.bias.detach()
    chosen = recipe.weights
    if chosen.group_size or chosen.salient_k:
        values = round_grouped(layer.linear.weight.detach(), chosen)
        return FakeQuantLinear(values, bias, partial(_rounded, site=site))
    weight = quantize_weight(
        layer.linear.weight,
        power=statistics.power,
        bits=chosen.bits,
        wide_fraction=chosen.wide_fraction,
        clip_search=chosen.clip_search,
        second_moment=statistics.second_moment if site_group(layer.name) in chosen.gptq else None,
    )
    if recipe.correct_bias:
        exact = SpikeQuantLinear(weight, None, site)(statistics.sample)
        error = (nn.functional.linear(statistics.sample, layer.linear.weight) - exact).mean(0)
        bias = error if bias is None else bias + error
    quantized = SpikeQuantLinear(weight, bias, site)
    quantized.fit_outputs([quantized.exact(statistics.sample)], binary=site_group(layer.name) in RESIDUAL_GROUPS)
    warn_about(layer.name, quantized, layer.linear, statistics.sample)
    if recipe.distillation.steps:
        quantized.keep_remainder(layer.linear.weight.detach())
    return quantized


def _rounded(values: Tensor, site: AnySite) -> Tensor:
    levels = encode(values, site)
    return levels.level * levels.scale
