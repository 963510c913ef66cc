"""What fires in a quantized model while it reads text: the counts that its energy follows from."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Protocol, TypeVar

import torch
from torch import Tensor, nn

from golden.encode import encode
from golden.errors import InputError
from golden.evaluate import quantized_layers
from golden.linear import SpikeQuantLinear
from golden.model import LanguageModel
from golden.progress import track
from golden.spec import Spec

GIF_SALIENT_SHARE = 0.10
"""Share of the channels that SpikeLLM gives more spiking steps."""

GIF_CODE = 15
"""Largest code of a generalized integrate-and-fire neuron in one step: 16 levels."""

GIF_SALIENT_CODE = 31
"""Largest code of a salient channel: one more bit, in two steps."""


@dataclass(frozen=True)
class EventCounts:
    """Events of SpikeQuant's two codings at one layer's input.

    Attributes:
        spikes: inputs that are not silent; each fires once with time-to-first-spike.
        normal_levels: sum of ``|n|`` over normal codes; what they fire with count coding.
        salient_codes: sum of ``|c|`` over salient codes, before their shift; what they fire with count coding.
        low_spikes: the same inputs again, where a wide column's low half takes part.
        low_normal_levels: as ``normal_levels``, for low halves.
        low_salient_codes: as ``salient_codes``, for low halves.
        salient: inputs with a salient code.
        silent: inputs at level 0.
        ticks: levels that the ramps of all phases walk, empty ones below the highest included.
        phases: phases that end with charges for the membranes.
    """

    spikes: float
    normal_levels: float
    salient_codes: float
    low_spikes: float
    low_normal_levels: float
    low_salient_codes: float
    salient: float
    silent: float
    ticks: float
    phases: float


@dataclass(frozen=True)
class GifCounts:
    """Events of the SpikeLLM-like coding: generalized integrate-and-fire neurons with codes of 4 bits, salient 5.

    Attributes:
        active: inputs with a code other than 0.
        binary: sum of the codes: spikes where each level of a code is a binary spike.
        signed_active: inputs with a code other than the zero point.
        signed: sum of the distances from the zero point: spikes where they carry a sign.
        bits: ones in the codes: spikes where each bit of a code is a spike of its own weight.
    """

    active: float
    binary: float
    signed_active: float
    signed: float
    bits: float


@dataclass(frozen=True)
class LayerActivity:
    """One linear layer and its mean events a token.

    Attributes:
        name: of the layer.
        inputs: K.
        outputs: N.
        wide: columns with 8-bit weights.
        tokens: how many the means are over.
        events: of SpikeQuant's codings, a token.
        gif: of the SpikeLLM-like coding, a token.
    """

    name: str
    inputs: int
    outputs: int
    wide: int
    tokens: int
    events: EventCounts
    gif: GifCounts


class _Counts(Protocol):
    def __init__(self, **counts: float) -> None: ...


Counts = TypeVar("Counts", bound=_Counts)


@dataclass(frozen=True)
class _Segment:
    """Sums over all tokens of what one tile of inputs fires."""

    spikes: float
    normal_levels: float
    salient_codes: float
    ticks: float
    phases: float


def _segment(normal: Tensor, salient: Tensor) -> _Segment:
    """Events of inputs that run together: a salient phase where a code fires, then always a normal phase.

    Args:
        normal: magnitudes of the normal levels, [T, C], 0 for salient ones.
        salient: magnitudes of the salient codes, [T, C], 0 for normal ones.
    """
    tops = normal.amax(1), salient.amax(1)
    return _Segment(
        spikes=float(normal.count_nonzero() + salient.count_nonzero()),
        normal_levels=float(normal.sum()),
        salient_codes=float(salient.sum()),
        ticks=float(tops[0].sum() + tops[1].sum()),
        phases=float(normal.shape[0] + tops[1].count_nonzero()),
    )


def count_events(level: Tensor, salient: Tensor, shift: Tensor, *, wide: Tensor, depth: int) -> EventCounts:
    """What an accelerator's encoder fires for some tokens, summed over them.

    The inputs run in tiles of ``depth``, the low halves of the wide columns in tiles behind them. In each,
    the salient phase walks from the token's largest salient code down to 1, then the normal phase from its
    largest level.

    Args:
        level: whole numbers [T, K], the levels n of T tokens.
        salient: bool [T, K], levels from salient codes.
        shift: integers [T], power of two of a token's salient codes.
        wide: integers [M], ascending indices of the wide columns.
        depth: inputs whose weights the synapse memory holds.
    """
    magnitude = level.abs().double()
    zero = torch.zeros_like(magnitude)
    normal = torch.where(salient, zero, magnitude)
    codes = torch.where(salient, magnitude / 2.0 ** shift.double()[:, None], zero)
    low = wide.long()
    whole = [_segment(*tile) for tile in _tiles(normal, codes, depth)]
    halves = [_segment(*tile) for tile in _tiles(normal[:, low], codes[:, low], depth)]
    return EventCounts(
        spikes=sum(segment.spikes for segment in whole),
        normal_levels=sum(segment.normal_levels for segment in whole),
        salient_codes=sum(segment.salient_codes for segment in whole),
        low_spikes=sum(segment.spikes for segment in halves),
        low_normal_levels=sum(segment.normal_levels for segment in halves),
        low_salient_codes=sum(segment.salient_codes for segment in halves),
        salient=float(salient.count_nonzero()),
        silent=float(level.numel() - level.count_nonzero()),
        ticks=sum(segment.ticks for segment in whole + halves),
        phases=sum(segment.phases for segment in whole + halves),
    )


def _tiles(normal: Tensor, salient: Tensor, depth: int) -> Iterator[tuple[Tensor, Tensor]]:
    for start in range(0, normal.shape[1], depth):
        yield normal[:, start : start + depth], salient[:, start : start + depth]


def salient_channels(values: Tensor) -> Tensor:
    """Bool [K]: the tenth of the channels with the largest mean ``|x|`` over the tokens.

    SpikeLLM ranks channels by a second-order saliency; the mean magnitude stands in for it here.

    Args:
        values: float [T, K].
    """
    count = round(GIF_SALIENT_SHARE * values.shape[1])
    chosen = torch.zeros(values.shape[1], dtype=torch.bool)
    chosen[values.abs().mean(0).topk(count).indices] = True
    return chosen


def count_gif(values: Tensor, salient: Tensor) -> GifCounts:
    """What SpikeLLM-like neurons fire for some tokens, summed over them.

    Codes are asymmetric per token between its minimum and maximum, zero included:
    ``u = clip(round(x / s) + z, 0, u_max)``, with 16 levels, or 32 in salient channels.

    Args:
        values: float [T, K].
        salient: bool [K], channels with two steps.
    """
    low = values.amin(1, keepdim=True).clamp(max=0)
    high = values.amax(1, keepdim=True).clamp(min=0)
    largest = torch.where(salient, GIF_SALIENT_CODE, GIF_CODE).to(values.dtype)
    scale = (high - low) / largest
    scale = torch.where(scale > 0, scale, torch.ones_like(scale))
    zero = (-low / scale).round()
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
    kind = type(parts[0])
    return kind(**{item.name: sum(getattr(part, item.name) for part in parts) / tokens for item in fields(kind)})  # type: ignore[arg-type]


def check_runnable(language_model: LanguageModel, spec: Spec) -> None:
    """Refuse a model whose spikes are not those of an array: other widths, or salient codes of another form.

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
    """Counts one layer's inputs as they come."""

    def __init__(self, layer: SpikeQuantLinear, depth: int) -> None:
        self.layer = layer
        self.depth = depth
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
            count_events(levels.level, levels.salient, levels.shift, wide=self.layer.wide, depth=self.depth)
        )
        self.gif.append(count_gif(values, self.salient))
        self.tokens += values.shape[0]


@torch.no_grad()
def measure_activity(language_model: LanguageModel, windows: list[Tensor], *, depth: int) -> list[LayerActivity]:
    """Run a quantized model over text and count what fires at the input of each of its quantized layers.

    The layers' own tokens are the quantized model's, so errors of earlier layers are in the counts. The
    SpikeLLM-like coding takes its salient channels from the first window.

    Args:
        language_model: with quantized layers.
        windows: int64 [n] each, 1 token or more.
        depth: inputs whose weights the accelerator's synapse memory holds.

    Raises:
        InputError: the model has no quantized layers.
    """
    layers = quantized_layers(language_model.model)
    if not layers:
        raise InputError(f"model {language_model.name}: no quantized layers, expected a folder that quantize wrote")
    watchers = {name: _Watcher(layer, depth) for name, layer in layers.items()}
    handles = [layer.register_forward_pre_hook(watchers[name]) for name, layer in layers.items()]
    try:
        for window in track(windows, "counting spikes"):
            language_model.model.base_model(window[None])
    finally:
        for handle in handles:
            handle.remove()
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
