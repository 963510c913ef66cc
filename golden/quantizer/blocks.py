"""Calibration of a float decoder, one block at a time.

Memory holds the statistics of one block, and the hidden states of the windows after the previous one. The hidden
states are those of the float model throughout: quantizing a block does not change the inputs of the next one.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import DynamicCache, PreTrainedModel

from spikequant.golden.models.model import decoder_blocks, decoder_linears, site_name
from spikequant.golden.quantizer.statistics import SiteStatistics, SiteWatcher
from spikequant.golden.support.errors import InputError


@dataclass(frozen=True)
class BlockCall:
    """Arguments of a block other than the hidden states: masks and positions.

    Attributes:
        arguments: positional.
        named: by keyword.
    """

    arguments: tuple[Any, ...]
    named: dict[str, Any]


@dataclass(frozen=True)
class WindowInput:
    """Inputs of all blocks for one window.

    Attributes:
        hidden: float32 [1, n, hidden size], hidden states before the first block.
        calls: other arguments of each block, in order.
    """

    hidden: Tensor
    calls: list[BlockCall]


@contextmanager
def _passing_through(blocks: list[nn.Module], inputs: list[Tensor], calls: list[BlockCall]) -> Iterator[None]:
    """Replace blocks by ones that record their arguments and return their input."""

    def forward(hidden: Tensor, *arguments: Any, **named: Any) -> Tensor:
        inputs.append(hidden)
        calls.append(BlockCall(arguments, named))
        return hidden

    for block in blocks:
        block.forward = forward
    try:
        yield
    finally:
        for block in blocks:
            del block.forward


@torch.no_grad()
def enter(model: PreTrainedModel, window: Tensor, cache: DynamicCache | None = None) -> WindowInput:
    """Arguments of the blocks for a window, int64 [n], without running the blocks; with a cache if one is given."""
    inputs: list[Tensor] = []
    calls: list[BlockCall] = []
    with _passing_through(list(decoder_blocks(model).values()), inputs, calls):
        model.base_model(window[None], past_key_values=cache, use_cache=cache is not None)
    return WindowInput(inputs[0], calls)


@torch.no_grad()
def run_block(block: nn.Module, hidden: Tensor, call: BlockCall) -> Tensor:
    """The hidden states after a block.

    Raises:
        InputError: the block does not return hidden states.
    """
    output = block(hidden, *call.arguments, **call.named)
    if not isinstance(output, Tensor):
        raise InputError(f"model: {type(block).__name__} returns {type(output).__name__}, expected hidden states")
    return output


def block_linears(model: PreTrainedModel, block: str) -> dict[str, nn.Linear]:
    """Float layers of one block, by name in the model."""
    return {name: linear for name, linear in decoder_linears(model).items() if name.startswith(f"{block}.")}


def watch_block(
    model: PreTrainedModel, block: str, run: Callable[[], list[Tensor]], *, windows: int, second_moment: bool = False
) -> tuple[dict[str, SiteStatistics], list[Tensor]]:
    """Gather statistics of the input sites of a float block while it runs.

    Args:
        model: a model in which this block is float.
        block: name of the block.
        run: runs the block on all windows, and returns the hidden states after it.
        windows: number of windows.
        second_moment: whether to gather the sites' second moments.

    Returns:
        The statistics by site name, and the hidden states after the block.

    Raises:
        InputError: a layer did not run.
    """
    watchers: dict[str, SiteWatcher] = {}
    with ExitStack() as hooks:
        for name, linear in block_linears(model, block).items():
            site = site_name(name)
            if site not in watchers:
                watchers[site] = SiteWatcher(windows=windows, second_moment=second_moment)

                def watch_input(_module: nn.Module, inputs: tuple[Tensor, ...], site: str = site) -> None:
                    watchers[site].add(inputs[0])

                hooks.callback(linear.register_forward_pre_hook(watch_input).remove)
        after = run()
    for site, watcher in watchers.items():
        if not watcher.tokens:
            raise InputError(f"model: layer input {site} saw no calibration text, expected every decoder layer to run")
    return {site: watcher.statistics() for site, watcher in watchers.items()}, after
