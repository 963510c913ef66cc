"""Calibration of a float decoder, one block at a time.

Memory holds the statistics of one block, and the hidden states of the windows after the previous one. The hidden
states are those of the float model throughout: quantizing a block does not change the inputs of the next one.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from transformers import Cache, DynamicCache, PreTrainedModel

from spikequant.golden.models.load_check import vocabulary_size
from spikequant.golden.models.model import decoder_blocks, decoder_linears, head_size, site_name
from spikequant.golden.models.prefix import fit_window
from spikequant.golden.quantizer.statistics import SiteStatistics, SiteWatcher
from spikequant.golden.support.errors import InputError, one_line

PROBE_TOKENS = 8
"""Tokens of the window with which a model's structure is checked."""


@dataclass(frozen=True)
class BlockCall:
    """Arguments of a block other than the hidden states: masks and positions.

    Attributes:
        arguments: positional, after the hidden states.
        named: by keyword.
        keyword: name of the hidden states' argument; None if they are the first positional one.
    """

    arguments: tuple[Any, ...]
    named: dict[str, Any]
    keyword: str | None = None

    def with_cache(self, change: Callable[[Cache], Cache]) -> "BlockCall":
        """The same call with a changed cache, under whatever name the block takes it."""
        arguments = tuple(change(value) if isinstance(value, Cache) else value for value in self.arguments)
        named = {name: change(value) if isinstance(value, Cache) else value for name, value in self.named.items()}
        return replace(self, arguments=arguments, named=named)


@dataclass(frozen=True)
class WindowInput:
    """Inputs of all blocks for one window.

    Attributes:
        hidden: float32 [1, n, hidden size], hidden states before the first block.
        calls: other arguments of each block, in order.
    """

    hidden: Tensor
    calls: list[BlockCall]


class _Recorder:
    """Replaces the ``forward`` of blocks by one that records its arguments and returns its hidden states.

    What a block returns beside the hidden states comes from a real run of the first block of its class.
    """

    def __init__(self, blocks: dict[str, nn.Module]) -> None:
        self._names = list(blocks)
        self._real = {name: block.forward for name, block in blocks.items()}
        self._blocks = blocks
        self._returned: dict[type[nn.Module], Any] = {}
        self.hidden: list[Tensor] = []
        self.calls: list[BlockCall] = []

    @contextmanager
    def active(self) -> Iterator[None]:
        """Record while the context lasts."""
        for name, block in self._blocks.items():
            block.forward = partial(self._forward, name)
        try:
            yield
        finally:
            for block in self._blocks.values():
                # a block that is there twice has only one
                vars(block).pop("forward", None)

    def _forward(self, name: str, *arguments: Any, **named: Any) -> Any:
        expected = self._names[len(self.calls)] if len(self.calls) < len(self._names) else "no other block"
        if name != expected:
            raise InputError(f"model: it runs {name}, expected {expected}: each block once, in order")
        keyword = None if arguments else next((key for key, value in named.items() if isinstance(value, Tensor)), None)
        hidden = arguments[0] if arguments else named.pop(keyword or "", None)
        if not isinstance(hidden, Tensor):
            raise InputError(f"model: {name} gets no hidden states, expected them as its first argument")
        if self.hidden and not hidden.equal(self.hidden[0]):
            raise InputError(f"model: it changes hidden states before {name}, expected those of the previous block")
        call = BlockCall(arguments[1:], named, keyword)
        kind = type(self._blocks[name])
        if kind not in self._returned:
            apart = call.with_cache(deepcopy)
            self._returned[kind] = _call(self._real[name], hidden, apart)
            hidden_states(self._returned[kind], kind.__name__)
        self.hidden.append(hidden)
        self.calls.append(call)
        returned = self._returned[kind]
        return hidden if isinstance(returned, Tensor) else type(returned)((hidden, *returned[1:]))


@torch.no_grad()
def enter(model: PreTrainedModel, window: Tensor, cache: DynamicCache | None = None) -> WindowInput:
    """Arguments of the blocks for a window, int64 [n]; only one block of each class runs, and leaves the cache alone.

    Raises:
        InputError: the model does not run each block once, in order, on the previous one's hidden states.
    """
    recorder = _Recorder(decoder_blocks(model))
    with recorder.active():
        model.base_model(window[None], past_key_values=cache, use_cache=cache is not None)
    if len(recorder.calls) != len(decoder_blocks(model)):
        raise InputError(
            f"model: it runs {len(recorder.calls)} of its {len(decoder_blocks(model))} blocks, expected all of them"
        )
    return WindowInput(recorder.hidden[0], recorder.calls)


def _call(forward: Callable[..., Any], hidden: Tensor, call: BlockCall) -> Any:
    if call.keyword:
        return forward(*call.arguments, **{call.keyword: hidden}, **call.named)
    return forward(hidden, *call.arguments, **call.named)


def hidden_states(output: Any, name: str) -> Tensor:
    """The hidden states in the output of a block: the output itself, or the first part of a tuple or list.

    Raises:
        InputError: there are none.
    """
    first = output[0] if isinstance(output, tuple | list) and output else output
    if not isinstance(first, Tensor):
        raise InputError(f"model: {name} returns {type(output).__name__}, expected hidden states")
    return first


@torch.no_grad()
def run_block(block: nn.Module, hidden: Tensor, call: BlockCall) -> Tensor:
    """The hidden states after a block.

    Raises:
        InputError: the block does not return hidden states.
    """
    return hidden_states(_call(block, hidden, call), type(block).__name__)


@contextmanager
def _checked_sites(linears: dict[str, nn.Linear]) -> Iterator[None]:
    """Refuse layers of one site that read different tensors."""
    read: dict[str, Tensor] = {}

    def check(_module: nn.Module, inputs: tuple[Tensor, ...], *, name: str) -> None:
        site = site_name(name)
        if not read.setdefault(site, inputs[0]).equal(inputs[0]):
            raise InputError(f"model: layer {name} reads another tensor than the other layers of {site}")

    with ExitStack() as hooks:
        for name, linear in linears.items():
            hooks.callback(linear.register_forward_pre_hook(partial(check, name=name)).remove)
        yield


@torch.no_grad()
def check_blocks(model: PreTrainedModel) -> None:
    """Check that the blocks, run one by one, compute what the model computes, and that layers of a site share inputs.

    Raises:
        InputError: they do not, or cannot be run on their own.
    """
    blocks = decoder_blocks(model)
    decoder_linears(model)
    head_size(model)
    last: list[Tensor] = []
    *_, final = blocks

    def keep(_module: nn.Module, _inputs: Any, output: Any) -> None:
        last.append(hidden_states(output, final))

    kind = model.config.model_type
    try:
        window = torch.arange(fit_window(model, min(PROBE_TOKENS, vocabulary_size(model))))
        handle = blocks[final].register_forward_hook(keep)
        try:
            model.base_model(window[None], use_cache=False)
        finally:
            handle.remove()
        entered = enter(model, window)
        hidden = entered.hidden
        for (name, block), call in zip(blocks.items(), entered.calls, strict=True):
            with _checked_sites(block_linears(model, name)):
                hidden = run_block(block, hidden, call)
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"model {kind}: cannot run its blocks one by one: {one_line(error)}") from None
    same = len(last) == 1 and last[0].shape == hidden.shape
    if not same or not torch.allclose(last[0], hidden, rtol=1e-3, atol=1e-4, equal_nan=True):
        raise InputError(f"model {kind}: its blocks, run one by one, differ from the model, expected equal outputs")


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
        InputError: a layer did not run, or its values are not finite.
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
    found = {site: watcher.statistics() for site, watcher in watchers.items()}
    for site, statistics in found.items():
        if not bool(statistics.peak.isfinite().all()):
            raise InputError(f"model: layer input {site} is not finite on calibration text, expected finite numbers")
    return found, after
