"""Quantization of a float model in place, block by block."""

from functools import partial
from typing import Protocol

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from spikequant.golden.models.folding import find_source, fold, foldable
from spikequant.golden.models.model import decoder_blocks, head_size, replace_layer, site_name
from spikequant.golden.quantizer.blocks import BlockStatistics, block_linears, check_blocks, enter, watch_block
from spikequant.golden.quantizer.method import FloatLayer, FloatSite, Method
from spikequant.golden.support.progress import track


class Keeper(Protocol):
    """Store of finished blocks, from which an interrupted run resumes."""

    def resume(self, model: PreTrainedModel) -> tuple[int, list[Tensor]] | None:
        """Load stored blocks into the model; their number, and the hidden states after them, or None without any."""

    def keep(self, model: PreTrainedModel, block: int, hidden: list[Tensor]) -> None:
        """Store a finished block and the hidden states after it."""


@torch.no_grad()
def quantize_model(
    model: PreTrainedModel, windows: list[Tensor], method: Method, *, keeper: Keeper | None = None
) -> None:
    """Replace every decoder linear layer by its quantized form, in place.

    Args:
        model: a float model.
        windows: int64 [n] token windows of calibration text; unused by a method without calibration.
        method: quantizes each layer.
        keeper: store of finished blocks, or None.
    """
    check_blocks(model)
    names = list(decoder_blocks(model))
    entered = [enter(model, window) for window in windows] if method.calibrated else []
    hidden = [window.hidden for window in entered]
    first = 0
    if keeper and (kept := keeper.resume(model)):
        first, hidden = kept
    for index in track(range(first, len(names)), f"quantizing ({method.name})"):
        statistics = None
        if method.calibrated:
            calls = [window.calls[index] for window in entered]
            statistics, hidden = watch_block(model, names[index], hidden, calls, second_moment=method.second_moment)
        quantize_block(model, names[index], statistics, method)
        if keeper:
            keeper.keep(model, index, hidden)


def quantize_block(model: PreTrainedModel, block: str, statistics: BlockStatistics | None, method: Method) -> None:
    """Replace the linear layers of one block.

    Args:
        model: a model in which this block is float.
        block: name of the block.
        statistics: calibration statistics of the block, or None.
        method: quantizes each layer.
    """
    linears = block_linears(model, block)
    layers: dict[str, list[str]] = {}
    for name in linears:
        layers.setdefault(site_name(name), []).append(name)
    sites = dict(statistics.sites) if statistics else {}
    peaks = dict(statistics.output_peaks) if statistics else {}
    if method.factors and statistics:
        for site, readers in layers.items():
            factors = method.factors(
                FloatSite(
                    name=site,
                    statistics=sites[site],
                    weights=[linears[name].weight for name in readers],
                    foldable=partial(foldable, model, site),
                )
            )
            fold(model, site, factors)
            sites[site] = sites[site].divided(factors)
            _rescale_source(model, site, factors, linears, peaks)
    replaced: dict[str, nn.Module] = {}
    for name, linear in linears.items():
        source = find_source(model, site_name(name))
        gain = None
        if source and not isinstance(source.module, nn.Linear):
            weight = source.module.weight
            assert isinstance(weight, Tensor)
            gain = (weight.detach() + source.gain_offset)[source.channels]
        replaced[name] = method.quantize(
            FloatLayer(
                name=name,
                linear=linear,
                statistics=sites.get(site_name(name)),
                output_peaks=peaks.get(name),
                norm_gain=gain,
                head_size=head_size(model),
            )
        )
    for name, layer in replaced.items():
        replace_layer(model, name, layer)


def _rescale_source(
    model: PreTrainedModel, site: str, factors: Tensor, linears: dict[str, nn.Linear], peaks: dict[str, Tensor]
) -> None:
    """Divide the output peaks of the layer of this block, if any, that the factors were folded into."""
    source = find_source(model, site)
    for name, linear in linears.items():
        if source and source.module is linear:
            scaled = peaks[name].clone()
            scaled[source.channels] = peaks[name][source.channels] / factors
            peaks[name] = scaled
