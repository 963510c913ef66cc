"""From a float model to a quantized one: watch calibration text go through, then quantize every decoder layer."""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from golden.errors import InputError
from golden.linear import SpikeQuantLinear
from golden.model import decoder_linears, replace_layer, site_group, site_name
from golden.progress import track
from golden.quantize import Site, SiteStatistics, calibrate_site, quantize_weight
from golden.saliency import median_absolute_deviation

SAMPLE_VALUES = 2**19
"""Values kept per site to take medians from, evenly strided over all windows."""

LEAST_PEAK = 2.0**-10
"""Smallest output peak, as a share of the layer's largest."""


@dataclass(frozen=True)
class Recipe:
    """How a model is quantized.

    Attributes:
        k: saliency factor by site group (``qkv``, ``o``, ``gate_up``, ``down``).
        k_other: saliency factor of every other site.
        wide_fraction: share of 8-bit columns, 0..1.
        clip_search: whether to search the range of each weight row.
    """

    k: dict[str, float] = field(default_factory=lambda: {"qkv": 3.4, "o": 4.4, "gate_up": 3.0, "down": 6.8})
    k_other: float = 3.4
    wide_fraction: float = 0.0625
    clip_search: bool = True

    def __post_init__(self) -> None:
        """Refuse factors out of range.

        Raises:
            InputError: one is.
        """
        if not 0 <= self.wide_fraction <= 1:
            raise InputError(f"wide_fraction: {self.wide_fraction}, expected 0..1")
        for group, k in [*self.k.items(), ("other", self.k_other)]:
            if not k > 0:
                raise InputError(f"k of {group}: {k}, expected above 0")

    def factor(self, layer: str) -> float:
        """The saliency factor k of a layer's input."""
        return self.k.get(site_group(layer), self.k_other)


class _SiteWatcher:
    """Gathers one site's statistics over the windows."""

    def __init__(self, sample_per_window: int) -> None:
        self.sample_per_window = sample_per_window
        self.samples: list[Tensor] = []
        self.low = 0.0
        self.high = 0.0
        self.power = torch.zeros(1, dtype=torch.float64)
        self.tokens = 0

    def add(self, values: Tensor) -> None:
        flat = values.detach().flatten()
        # an odd stride visits all channels, whose number is even
        stride = -(-flat.numel() // self.sample_per_window) | 1
        self.samples.append(flat[::stride].clone())
        self.low = min(self.low, float(flat.min()))
        self.high = max(self.high, float(flat.max()))
        rows = values.detach().reshape(-1, values.shape[-1])
        self.power = self.power + rows.square().sum(0, dtype=torch.float64)
        self.tokens += rows.shape[0]

    def statistics(self) -> SiteStatistics:
        median, deviation = median_absolute_deviation(torch.cat(self.samples))
        return SiteStatistics(median, deviation, self.low, self.high, self.power / self.tokens)


@dataclass(frozen=True)
class Observations:
    """What calibration saw.

    Attributes:
        sites: statistics by site name.
        output_peaks: float32 [N], largest |y| of each output, by layer name.
    """

    sites: dict[str, SiteStatistics]
    output_peaks: dict[str, Tensor]


@torch.no_grad()
def observe(model: PreTrainedModel, windows: list[Tensor]) -> Observations:
    """Run text through a float model and watch the input sites and outputs of its decoder layers.

    Args:
        model: a float model.
        windows: int64 [n] token windows.
    """
    linears = decoder_linears(model)
    watchers = {site_name(name): _SiteWatcher(-(-SAMPLE_VALUES // len(windows))) for name in linears}
    peaks = {name: torch.zeros(linear.out_features) for name, linear in linears.items()}
    watched: set[str] = set()
    handles = []
    for name, module in linears.items():

        def watch_output(_module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor, name: str = name) -> None:
            peaks[name] = torch.maximum(peaks[name], output.abs().flatten(0, -2).amax(0))

        handles.append(module.register_forward_hook(watch_output))
        if site_name(name) not in watched:
            watched.add(site_name(name))

            def watch_input(_module: nn.Module, inputs: tuple[Tensor, ...], name: str = name) -> None:
                watchers[site_name(name)].add(inputs[0])

            handles.append(module.register_forward_pre_hook(watch_input))
    try:
        for window in track(windows, "calibrating"):
            model(window[None])
    finally:
        for handle in handles:
            handle.remove()
    unseen = [name for name, watcher in watchers.items() if not watcher.tokens]
    if unseen:
        raise InputError(f"model: layer input {unseen[0]} saw no calibration text, expected every decoder layer to run")
    sites = {name: watcher.statistics() for name, watcher in watchers.items()}
    return Observations(sites, {name: _usable_peaks(peak) for name, peak in peaks.items()})


def _usable_peaks(peaks: Tensor) -> Tensor:
    """Peaks with none near zero: an output that was silent in calibration need not stay so."""
    largest = float(peaks.max())
    return peaks.clamp(min=largest * LEAST_PEAK) if largest else torch.ones_like(peaks)


@torch.no_grad()
def quantize_model(model: PreTrainedModel, observations: Observations, recipe: Recipe) -> dict[str, SpikeQuantLinear]:
    """Replace every decoder linear layer by its quantized form, in place.

    Returns:
        The new layers by name.
    """
    sites: dict[str, Site] = {}
    layers: dict[str, SpikeQuantLinear] = {}
    linears = decoder_linears(model)
    for name in track(list(linears), "quantizing"):
        linear, site = linears[name], site_name(name)
        if site not in sites:
            sites[site] = calibrate_site(observations.sites[site], recipe.factor(name))
        weight = quantize_weight(
            linear.weight,
            power=observations.sites[site].power,
            wide_fraction=recipe.wide_fraction,
            clip_search=recipe.clip_search,
        )
        layers[name] = SpikeQuantLinear(weight, linear.bias, sites[site], observations.output_peaks[name])
        replace_layer(model, name, layers[name])
    return layers
