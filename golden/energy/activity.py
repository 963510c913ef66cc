"""Spikes and other events of a quantized model on text, from which its energy follows."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn

from spikequant.golden.baselines.uniform import asymmetric_grid
from spikequant.golden.layer.score import DOUBLINGS
from spikequant.golden.layer.spec import Spec
from spikequant.golden.models.model import LanguageModel
from spikequant.golden.quantizer.encode import encode
from spikequant.golden.quantizer.linear import SpikeQuantLinear, quantized_layers
from spikequant.golden.support.errors import InputError
from spikequant.golden.support.figures import Figures
from spikequant.golden.support.progress import track

GIF_SALIENT_SHARE = 0.10
"""Share of the channels with a second spiking step."""

GIF_CODE = 15
"""Largest code of a generalized integrate-and-fire neuron in one step: 16 levels."""

GIF_SALIENT_CODE = 31
"""Largest code of a salient channel: one more bit, in two steps."""


class EventCounts(Figures):
    """Events of SpikeQuant's two codings at one layer's input.

    Attributes:
        active: inputs that are not silent; their weights are fetched.
        spikes: spikes with time-to-first-spike: one each up to the ramp's top, above it a burst and a rest.
        normal_levels: sum of ``|n|`` over normal codes, the spikes with count coding.
        salient_codes: sum of ``|c|`` over salient codes, before their shift, the spikes with count coding.
        low_active: as ``active``, for inputs of wide columns, whose low halves are fetched.
        low_spikes: as ``spikes``, for low halves.
        low_normal_levels: as ``normal_levels``, for low halves.
        low_salient_codes: as ``salient_codes``, for low halves.
        salient: inputs with a salient code.
        silent: inputs at level 0.
        ticks: levels of the ramps of all phases, including empty ones below the highest.
        doublings: additions that double charges in place.
        phases: phases that add charges to the membranes.
    """

    active: float
    spikes: float
    normal_levels: float
    salient_codes: float
    low_active: float
    low_spikes: float
    low_normal_levels: float
    low_salient_codes: float
    salient: float
    silent: float
    ticks: float
    doublings: float
    phases: float


class GifCounts(Figures):
    """Events of the SpikeLLM-like coding: generalized integrate-and-fire neurons with 4-bit codes, salient ones 5-bit.

    Attributes:
        active: inputs with a code other than 0.
        binary: sum of the codes: spikes where each level of a code is a binary spike.
        signed_active: inputs with a code other than the zero point.
        signed: sum of the distances from the zero point: spikes where they carry a sign.
        bits: ones in the codes: spikes where each bit of a code is a spike with its own weight.
    """

    active: float
    binary: float
    signed_active: float
    signed: float
    bits: float


class LayerActivity(Figures):
    """One linear layer and its mean events a token.

    Attributes:
        name: of the layer.
        inputs: K.
        outputs: N.
        wide: columns with 8-bit weights.
        tokens: number of tokens that the means are over.
        events: of SpikeQuant's codings.
        gif: of the SpikeLLM-like coding.
    """

    name: str
    inputs: int
    outputs: int
    wide: int
    tokens: int
    events: EventCounts
    gif: GifCounts


Counts = TypeVar("Counts", bound=Figures)


@dataclass(frozen=True)
class _Events:
    """Events of some inputs, summed over all tokens and tiles."""

    active: float
    spikes: float
    normal_levels: float
    salient_codes: float
    ticks: float
    doublings: float
    phases: float


def _tiles(values: Tensor, depth: int) -> Tensor:
    """Values [T, C] in tiles of ``depth`` inputs [T, tiles, depth], the last filled up with zeros."""
    return nn.functional.pad(values, (0, -values.shape[1] % depth)).unflatten(1, (-1, depth))


def _events(magnitude: Tensor, salient: Tensor, shift: Tensor, spec: Spec) -> _Events:
    """Count the events of tiles of inputs: a salient phase if a shifted salient level fires, then the normal phase.

    Args:
        magnitude: magnitudes of the levels, salient ones before their shift, int64 [T, tiles, depth].
        salient: bool [T, tiles, depth].
        shift: power of two of a token's salient codes, int64 [T].
        spec: of the accelerator.
    """
    shift = shift[:, None]
    apart = salient & (magnitude > 0) & (shift > 0)[..., None]
    tops = [torch.where(here, magnitude, 0).amax(-1).clamp(max=spec.ramp) for here in (apart, ~apart)]
    alone = apart.any(-1)
    population = magnitude.sum(-1) + (torch.where(apart, magnitude, 0).sum(-1) * (2**shift - 1))
    merged = alone & (population <= spec.max_population)
    # doubling m times at once takes a beat that copies the charge, and 2**m - 1 ticks
    doublings = shift // DOUBLINGS * 2**DOUBLINGS + shift % DOUBLINGS * 2
    return _Events(
        active=float(magnitude.count_nonzero()),
        spikes=float((magnitude // spec.ramp).sum() + (magnitude % spec.ramp).count_nonzero()),
        normal_levels=float(magnitude[~salient].sum()),
        salient_codes=float(magnitude[salient].sum()),
        ticks=float(tops[0].sum() + tops[1].sum()),
        doublings=float((doublings * merged).sum()),
        phases=float(alone.numel() + (alone & ~merged).count_nonzero()),
    )


def count_events(level: Tensor, salient: Tensor, shift: Tensor, *, wide: Tensor, spec: Spec) -> EventCounts:
    """Count what an accelerator's encoder fires, summed over tokens.

    The inputs run in tiles as deep as the synapse memory, followed by tiles of the low halves of the wide columns. In
    each tile, shifted salient levels run from the token's highest level down to 1, then normal ones. Tiles that are
    split because their spikes exceed a score buffer, or their charge its width, count as one.

    Args:
        level: whole numbers [T, K], the levels n of T tokens.
        salient: bool [T, K], levels from salient codes.
        shift: integers [T], power of two of a token's salient codes.
        wide: integers [M], ascending indices of the wide columns.
        spec: of the accelerator.
    """
    shift = shift.long()
    magnitude = level.abs().long() >> torch.where(salient, shift[:, None], 0)
    whole, low = (
        _events(_tiles(magnitude[:, columns], spec.depth), _tiles(salient[:, columns], spec.depth), shift, spec)
        for columns in (slice(None), wide.long())
    )
    return EventCounts(
        active=whole.active,
        spikes=whole.spikes,
        normal_levels=whole.normal_levels,
        salient_codes=whole.salient_codes,
        low_active=low.active,
        low_spikes=low.spikes,
        low_normal_levels=low.normal_levels,
        low_salient_codes=low.salient_codes,
        salient=float(salient.count_nonzero()),
        silent=float(level.numel() - level.count_nonzero()),
        ticks=whole.ticks + low.ticks,
        doublings=whole.doublings + low.doublings,
        phases=whole.phases + low.phases,
    )


def salient_channels(values: Tensor) -> Tensor:
    """The tenth of the channels with the largest mean ``|x|`` over the tokens, bool [K].

    SpikeLLM ranks channels by a second-order saliency; the mean magnitude stands in for it here.

    Args:
        values: float [T, K].
    """
    count = round(GIF_SALIENT_SHARE * values.shape[1])
    chosen = torch.zeros(values.shape[1], dtype=torch.bool)
    chosen[values.abs().mean(0).topk(count).indices] = True
    return chosen


def count_gif(values: Tensor, salient: Tensor) -> GifCounts:
    """Count what SpikeLLM-like neurons fire, summed over tokens.

    Codes are asymmetric per token between its minimum and maximum, zero included:
    ``u = clip(round(x / s) + z, 0, u_max)``, with 16 levels, or 32 in salient channels.

    Args:
        values: float [T, K].
        salient: bool [K], channels with two steps.
    """
    largest = torch.where(salient, GIF_SALIENT_CODE, GIF_CODE).to(values.dtype)
    scale, zero = asymmetric_grid(values, largest)
    code = ((values / scale).round() + zero).clamp(min=0).minimum(largest).int()
    distance = (code - zero.int()).abs()
    ones = sum(int((code >> bit & 1).sum()) for bit in range(GIF_SALIENT_CODE.bit_length()))
    return GifCounts(
        active=float(code.count_nonzero()),
        binary=float(code.sum()),
        signed_active=float(distance.count_nonzero()),
        signed=float(distance.sum()),
        bits=float(ones),
    )


def _mean(parts: Sequence[Counts], tokens: int) -> Counts:
    """Sums of the parts over the number of tokens."""
    kind = type(parts[0])
    return kind(**{name: sum(getattr(part, name) for part in parts) / tokens for name in kind.model_fields})


def check_runnable(language_model: LanguageModel, spec: Spec) -> None:
    """Check that an array can run a model: equal bit widths, and salient codes in windows.

    Raises:
        InputError: a layer's codes do not fit the spec.
    """
    for name, layer in quantized_layers(language_model.model).items():
        site = layer.site
        found: dict[str, tuple[int, list[int]]] = {
            "weight_bits": (layer.weight_bits, [spec.weight_bits]),
            "activation_bits": (site.bits, [spec.activation_bits]),
            "salient_bits": (site.salient_bits, [0, spec.salient_bits]),
        }
        for what, (value, wanted) in found.items():
            if value not in wanted:
                expected = " or ".join(map(str, wanted))
                raise InputError(f"config: {name} of the checkpoint has {what} {value}, expected {expected}")
        if site.salient_format != "window":
            raise InputError(
                f"config: {name} of the checkpoint has salient codes as {site.salient_format}s, expected a window"
            )


class _Watcher:
    """Counter of one layer's input events, called before each forward pass."""

    def __init__(self, layer: SpikeQuantLinear, spec: Spec) -> None:
        self.layer = layer
        self.spec = spec
        self.events: list[EventCounts] = []
        self.gif: list[GifCounts] = []
        self.salient: Tensor | None = None
        self.tokens = 0

    def __call__(self, _module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        """Forward pre-hook of the layer."""
        values = inputs[0].flatten(0, -2)
        levels = encode(values, self.layer.site, max_shift=self.layer.max_salient_shift)
        if self.salient is None:
            self.salient = salient_channels(values)
        self.events.append(
            count_events(levels.level, levels.salient, levels.shift, wide=self.layer.wide, spec=self.spec)
        )
        self.gif.append(count_gif(values, self.salient))
        self.tokens += values.shape[0]


@torch.no_grad()
def measure_activity(language_model: LanguageModel, windows: list[Tensor], *, spec: Spec) -> list[LayerActivity]:
    """Run a quantized model over text and count the events at the input of each quantized layer.

    A layer's inputs are those of the quantized model, so that the counts include errors of earlier layers. The
    SpikeLLM-like coding takes its salient channels from the first window.

    Args:
        language_model: with quantized layers.
        windows: int64 [n] each, 1 token or more.
        spec: of the accelerator.

    Raises:
        InputError: the model has no quantized layers.
    """
    layers = quantized_layers(language_model.model)
    if not layers:
        raise InputError(f"model {language_model.name}: no quantized layers, expected a folder that quantize wrote")
    watchers = {name: _Watcher(layer, spec) for name, layer in layers.items()}
    with ExitStack() as hooks:
        for name, layer in layers.items():
            hooks.enter_context(layer.register_forward_pre_hook(watchers[name]))
        for window in track(windows, "counting spikes"):
            language_model.model.base_model(window[None])
    return [
        LayerActivity(
            name=name,
            inputs=layer.codes.shape[1],
            outputs=layer.codes.shape[0],
            wide=layer.wide.numel(),
            tokens=watchers[name].tokens,
            events=_mean(watchers[name].events, watchers[name].tokens),
            gif=_mean(watchers[name].gif, watchers[name].tokens),
        )
        for name, layer in layers.items()
    ]
