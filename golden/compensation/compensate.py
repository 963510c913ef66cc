"""Quantization of blocks, site by site, on the quantized model's own activations.

Each layer is fitted to the float model's output from the input that the quantized model gives it, so that it makes
good what earlier layers lost.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from spikequant.golden.compensation.capture import Captured, capture_site, captured, residual_modules
from spikequant.golden.compensation.factors import Readers, choose_factors, shift_values
from spikequant.golden.compensation.moments import Moments, MomentWatcher
from spikequant.golden.compensation.prices import PriceControl
from spikequant.golden.compensation.rounding import round_weight
from spikequant.golden.compensation.sensitivity import output_sensitivities
from spikequant.golden.compensation.site_search import Prices, search_site
from spikequant.golden.models.folding import find_source, fold, foldable
from spikequant.golden.models.model import RESIDUAL_GROUPS, decoder_blocks, replace_layer, site_group, site_name
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


def compensation(recipe: Recipe) -> Callable[[PreTrainedModel, list[Tensor]], QuantizeBlock]:
    """The function that measures a float model's sensitivities, and gives the one that quantizes its blocks."""

    def begin(model: PreTrainedModel, windows: list[Tensor]) -> QuantizeBlock:
        sensitivities = output_sensitivities(model, windows[: recipe.compensation.sensitivity_windows])
        chosen = recipe.compensation

        def quantize(index: int, runs: BlockRuns, streams: Streams) -> None:
            control = PriceControl(chosen.salient_share, chosen.silent_share, streams.carried)
            block = _Block(model, index, runs, recipe, sensitivities=sensitivities, control=control)
            block.quantize(streams)
            streams.carried = control.carried()

        return quantize

    return begin


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
        self._readers: dict[str, list[str]] = {}
        for layer in self._linears:
            self._readers.setdefault(site_name(layer), []).append(layer)
        self._sites: dict[str, Site] = {}
        self._residuals = residual_modules(model, self._readers) if recipe.compensation.residual else {}

    @torch.no_grad()
    def quantize(self, streams: Streams) -> None:
        """Replace the block's layers by quantized ones, and move all hidden states past it."""
        first = {site: self._linears[readers[0]] for site, readers in self._readers.items()}
        with captured(first, self._residuals) as floats:
            after = [self._run(window, hidden) for window, hidden in enumerate(streams.expected)]
        for site in floats.inputs:
            self._fold(site, floats)
        self._control.settle(lambda prices: [self._search(site, floats.inputs[site], prices) for site in floats.inputs])
        self._advance_prefix(streams)
        quantized: dict[str, SpikeQuantLinear] = {}
        for site in list(floats.inputs):
            quantized |= self._quantize_site(site, floats, streams)
        self._control.advance()
        streams.expected[:] = after
        streams.found[:] = [self._run(window, hidden) for window, hidden in enumerate(streams.found)]
        for name, layer in quantized.items():
            replace_layer(self._model, name, layer)

    def _run(self, window: int, hidden: Tensor) -> Tensor:
        self._window = window
        return self._runs.run(self._index, window, hidden)

    def _layers(self, site: str) -> Readers:
        names = self._readers[site]
        return Readers(
            [self._linears[name].weight.detach() for name in names],
            [self._sensitivities[name] for name in names],
            self._recipe.weights.bits,
        )

    def _search(self, site: str, inputs: list[Tensor], prices: Prices) -> tuple[Site, Tensor]:
        """The best site at some prices, and inputs on which it was searched."""
        sample = sample_rows(inputs, SEARCH_TOKENS)
        start = self._sites.get(site) or calibrated_site(self._recipe, site, _statistics([sample]))
        self._sites[site], _ = search_site(start, sample, self._layers(site).cost(prices))
        return self._sites[site], sample

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

    def _quantize_site(self, site: str, floats: Captured, streams: Streams) -> dict[str, SpikeQuantLinear]:
        """Quantize the layers that read a site, from what the quantized model gives them.

        Their outputs take their places in the block until it is finished: no layer runs twice.
        """
        names = self._readers[site]
        runs = [partial(self._run, window, hidden) for window, hidden in enumerate(streams.found)]
        values, residual = capture_site(site, self._linears[names[0]], self._residuals.get(site), runs)
        chosen, sample = self._search(site, values, self._control.prices)
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
            replace_layer(self._model, name, _KnownOutputs(layer, codes, lambda: self._window))
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


class _KnownOutputs(nn.Module):
    """Stands in for a layer whose outputs are known.

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
