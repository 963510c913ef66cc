"""Quantization of a float model in place, block by block."""

from functools import partial
from typing import Protocol

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from spikequant.golden.models.folding import find_source, fold, foldable
from spikequant.golden.models.model import decoder_blocks, head_size, replace_layer, site_name
from spikequant.golden.quantizer.blocks import block_linears, check_blocks, watch_block
from spikequant.golden.quantizer.method import FloatLayer, FloatSite, Method
from spikequant.golden.quantizer.statistics import SiteStatistics
from spikequant.golden.quantizer.streams import BlockRuns, Streams
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
    runs = BlockRuns(model, windows if method.calibrated else [])
    compensate = method.compensate(model, windows) if method.compensate else None
    streams = runs.streams(apart=compensate is not None)
    first = 0
    if keeper and (kept := keeper.resume(model)):
        first, streams = kept[0], streams.restored(kept[1])
    for index in track(range(first, len(decoder_blocks(model))), f"quantizing ({method.name})"):
        if compensate:
            compensate(index, runs, streams)
        else:
            _quantize_layers(model, index, runs, streams, method)
        if keeper:
            keeper.keep(model, index, streams.tensors())


def _quantize_layers(model: PreTrainedModel, index: int, runs: BlockRuns, streams: Streams, method: Method) -> None:
    """Replace the layers of one block, each by itself, by the float model's activations."""
    block = list(decoder_blocks(model))[index]
    linears = block_linears(model, block)
    sites: dict[str, SiteStatistics] = {}
    if method.calibrated:

        def run() -> list[Tensor]:
            return [runs.run(index, window, hidden) for window, hidden in enumerate(streams.expected)]

        sites, after = watch_block(model, block, run, windows=len(streams.expected), second_moment=method.second_moment)
        streams.expected[:] = after
    layers: dict[str, list[str]] = {}
    for name in linears:
        layers.setdefault(site_name(name), []).append(name)
    if method.factors and method.calibrated:
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
    runs.advance_prefix(index, streams)
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
                norm_gain=gain,
                head_size=head_size(model),
            )
        )
    for name, layer in replaced.items():
        replace_layer(model, name, layer)
