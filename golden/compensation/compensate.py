"""Quantization of blocks, site by site, on the quantized model's own activations.

Each layer is fitted to the float model's output from the input that the quantized model gives it, so that it makes
good what earlier layers lost.
"""

from collections.abc import Callable, Iterable
from functools import partial

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from spikequant.golden.compensation.capture import Captured, capture_site, captured, residual_modules
from spikequant.golden.compensation.factors import Readers, choose_factors, shift_values
from spikequant.golden.compensation.moments import Moments, MomentWatcher
from spikequant.golden.compensation.prices import PriceControl, SampledSite, Shares, count, find_prices
from spikequant.golden.compensation.rounding import round_weight
from spikequant.golden.compensation.sensitivity import output_sensitivities
from spikequant.golden.compensation.site_search import search_site
from spikequant.golden.models.folding import find_source, fold, foldable
from spikequant.golden.models.model import (
    RESIDUAL_GROUPS,
    decoder_blocks,
    decoder_linears,
    replace_layer,
    site_group,
    site_name,
)
from spikequant.golden.quantizer.blocks import block_linears
from spikequant.golden.quantizer.encode import Levels, encode
from spikequant.golden.quantizer.health import warn_about
from spikequant.golden.quantizer.linear import SpikeQuantLinear
from spikequant.golden.quantizer.method import QuantizeBlock
from spikequant.golden.quantizer.recipe import Recipe
from spikequant.golden.quantizer.site import Site
from spikequant.golden.quantizer.spikequant import calibrated_site
from spikequant.golden.quantizer.statistics import SiteStatistics, SiteWatcher, sample_rows
from spikequant.golden.quantizer.streams import BlockRuns, Streams

SEARCH_TOKENS = 640
"""Tokens on which sites are searched."""

PRICE_TOKENS = 320
"""Tokens on which prices are searched."""

PRICE_WINDOWS = 4
"""Windows that these tokens are taken from."""


def compensation(recipe: Recipe) -> Callable[[PreTrainedModel, list[Tensor]], QuantizeBlock]:
    """The function that measures a float model's sensitivities, and gives the one that quantizes its blocks."""

    def begin(model: PreTrainedModel, windows: list[Tensor]) -> QuantizeBlock:
        chosen = recipe.compensation
        sensitivities = output_sensitivities(model, windows[: chosen.sensitivity_windows])
        shares = Shares(chosen.salient_share, chosen.silent_share)
        prices = find_prices(_sampled_sites(model, windows[:PRICE_WINDOWS], recipe, sensitivities), shares)

        def quantize(index: int, runs: BlockRuns, streams: Streams) -> None:
            control = PriceControl(shares, prices, streams.carried)
            block = _Block(model, index, runs, recipe, sensitivities=sensitivities, control=control)
            block.quantize(streams)
            streams.carried = control.carried()

        return quantize

    return begin


@torch.no_grad()
def _sampled_sites(
    model: PreTrainedModel, windows: list[Tensor], recipe: Recipe, sensitivities: dict[str, Tensor]
) -> list[SampledSite]:
    """All sites of a float model, with some inputs of each."""
    linears = decoder_linears(model)
    sites = _by_site(linears)
    rows: dict[str, list[Tensor]] = {site: [] for site in sites}
    for window in windows:
        with captured({site: linears[names[0]] for site, names in sites.items()}, {}) as found:
            model.base_model(window[None], use_cache=False)
        for site, inputs in found.inputs.items():
            rows[site].append(sample_rows(inputs, PRICE_TOKENS // len(windows)))
    sampled = []
    for site, names in sites.items():
        start = calibrated_site(recipe, site, _statistics(rows[site]))
        readers = _readers(linears, names, sensitivities, recipe)
        sampled.append(SampledSite(start, torch.cat(rows[site]), readers))
    return sampled


def _by_site(layers: Iterable[str]) -> dict[str, list[str]]:
    """Names of layers by their input sites."""
    sites: dict[str, list[str]] = {}
    for layer in layers:
        sites.setdefault(site_name(layer), []).append(layer)
    return sites


def _readers(
    linears: dict[str, nn.Linear], names: list[str], sensitivities: dict[str, Tensor], recipe: Recipe
) -> Readers:
    weights = [linears[name].weight.detach() for name in names]
    return Readers(weights, [sensitivities[name] for name in names], recipe.weights.bits)


class _Block:
    """One block while it is quantized.

    Args:
        model: a model in which this block is float.
        index: number of the block.
        runs: runs it.
        recipe: choices of the quantizer.
        sensitivities: float32 [N] by layer name; those of this block change with its channel factors.
        control: steers the prices of salient values and spikes.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        index: int,
        runs: BlockRuns,
        recipe: Recipe,
        *,
        sensitivities: dict[str, Tensor],
        control: PriceControl,
    ) -> None:
        name = list(decoder_blocks(model))[index]
        self._model = model
        self._runs = runs
        self._index = index
        self._window = 0
        self._advance_prefix = partial(runs.advance_prefix, index)
        self._recipe = recipe
        self._sensitivities = sensitivities
        self._control = control
        self._linears = block_linears(model, name)
        self._readers = _by_site(self._linears)
        self._residuals = residual_modules(model, self._readers) if recipe.compensation.residual else {}

    @torch.no_grad()
    def quantize(self, streams: Streams) -> None:
        """Replace the block's layers by quantized ones, and move all hidden states past it."""
        first = {site: self._linears[readers[0]] for site, readers in self._readers.items()}
        with captured(first, self._residuals) as floats:
            after = [self._run(window, hidden) for window, hidden in enumerate(streams.expected)]
        for site in floats.inputs:
            self._fold(site, floats)
        self._advance_prefix(streams)
        quantized: dict[str, SpikeQuantLinear] = {}
        counts = torch.zeros(3, dtype=torch.float64)
        for site in list(floats.inputs):
            quantized |= self._quantize_site(site, floats, streams, counts)
        self._control.advance(counts)
        streams.expected[:] = after
        streams.found[:] = [self._run(window, hidden) for window, hidden in enumerate(streams.found)]
        for name, layer in quantized.items():
            replace_layer(self._model, name, layer)

    def _run(self, window: int, hidden: Tensor) -> Tensor:
        self._window = window
        return self._runs.run(self._index, window, hidden)

    def _layers(self, site: str) -> Readers:
        return _readers(self._linears, self._readers[site], self._sensitivities, self._recipe)

    def _fold(self, site: str, floats: Captured) -> None:
        """Fold a site's value means and channel factors into the layers before and after it."""
        source = find_source(self._model, site)
        if source is None:
            return
        if self._recipe.compensation.value_mean and site_group(site) == "o" and isinstance(source.module, nn.Linear):
            mean = torch.cat(floats.inputs[site]).mean(0)
            readers = [self._linears[name] for name in self._readers[site]]
            shift = shift_values(source.module, source.channels, readers, mean)
            floats.inputs[site] = [inputs - shift for inputs in floats.inputs[site]]
        factors = choose_factors(
            partial(calibrated_site, self._recipe, site),
            _statistics(floats.inputs[site]),
            self._layers(site),
            self._recipe,
            self._control.prices,
            foldable=partial(foldable, self._model, site),
        )
        fold(self._model, site, factors)
        floats.inputs[site] = [inputs / factors for inputs in floats.inputs[site]]
        for name, linear in self._linears.items():
            if source.module is linear:
                # an output that is divided by a factor is as much more sensitive
                scaled = self._sensitivities[name].clone()
                scaled[source.channels] = scaled[source.channels] * factors.square()
                self._sensitivities[name] = scaled

    def _quantize_site(
        self, site: str, floats: Captured, streams: Streams, counts: Tensor
    ) -> dict[str, SpikeQuantLinear]:
        """Quantize the layers that read a site, from what the quantized model gives them; add to the counts.

        Their outputs take their places in the block until it is finished: no layer runs twice.
        """
        names = self._readers[site]
        runs = [partial(self._run, window, hidden) for window, hidden in enumerate(streams.found)]
        values, residual = capture_site(site, self._linears[names[0]], self._residuals.get(site), runs)
        sample = sample_rows(values, SEARCH_TOKENS)
        start = calibrated_site(self._recipe, site, _statistics([sample]))
        chosen, _ = search_site(start, sample, self._layers(site).cost(self._control.prices))
        counts += count([(chosen, sample)])
        encoded = [encode(rows, chosen) for rows in values]
        moments = _moments(encoded, floats.inputs.pop(site), residual, floats.residual.pop(site, None))
        layers: dict[str, SpikeQuantLinear] = {}
        for name in names:
            layer = layers[name] = self._quantized(name, chosen, moments)
            membranes = [layer.membrane(levels) for levels in encoded]
            unit = layer.scales * chosen.scale
            layer.fit_outputs(
                [membrane * unit for membrane in membranes],
                self._sensitivities[name],
                binary=site_group(site) in RESIDUAL_GROUPS,
            )
            warn_about(name, layer, self._linears[name], sample)
            codes = [layer.output_codes(membrane, chosen.scale).to(torch.int8) for membrane in membranes]
            replace_layer(self._model, name, _Outputs(layer, codes, lambda: self._window))
        return layers

    def _quantized(self, name: str, site: Site, moments: Moments) -> SpikeQuantLinear:
        linear, chosen = self._linears[name], self._recipe.weights
        weight = linear.weight.detach()
        target = moments.target(weight, self._recipe.compensation.ridge)
        rounded = round_weight(
            target,
            moments.moment,
            bits=chosen.bits,
            wide_fraction=chosen.wide_fraction,
            clip_search=chosen.clip_search,
            sweeps=self._recipe.compensation.sweeps,
        )
        layer = SpikeQuantLinear(rounded, moments.bias(weight, linear.bias, rounded.values()), site)
        if self._recipe.distillation.steps:
            layer.keep_remainder(target)
        return layer


def _statistics(values: list[Tensor]) -> SiteStatistics:
    watcher = SiteWatcher(windows=len(values))
    for rows in values:
        watcher.add(rows)
    return watcher.statistics()


def _moments(
    found: list[Levels],
    expected: list[Tensor],
    residual: list[Tensor | None],
    expected_residual: list[Tensor] | None,
) -> Moments:
    """Moments of a site's quantized inputs; arguments are lists over windows."""
    gaps: list[Tensor | None] = [None] * len(expected)
    if expected_residual is not None:
        known = zip(expected_residual, residual, strict=True)
        gaps = [wanted - stream for wanted, stream in known if stream is not None]
    watcher = MomentWatcher(expected[0].shape[1], 0 if gaps[0] is None else gaps[0].shape[1])
    for levels, wanted, gap in zip(found, expected, gaps, strict=True):
        watcher.add(levels.level * levels.scale, wanted, gap)
    return watcher.moments()


class _Outputs(nn.Module):
    """A layer's known outputs.

    Args:
        layer: the layer.
        codes: int8 [n, N] of each window.
        window: gives the number of the window that runs.
    """

    def __init__(self, layer: SpikeQuantLinear, codes: list[Tensor], window: Callable[[], int]) -> None:
        super().__init__()
        self._value = layer.code_values
        self._codes = codes
        self._window = window

    def forward(self, values: Tensor) -> Tensor:
        return self._value(self._codes[self._window()]).view(*values.shape[:-1], -1)
