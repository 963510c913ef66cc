"""Hidden states on their way through the blocks of a float model that is being quantized."""

from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel

from spikequant.golden.models.model import decoder_blocks
from spikequant.golden.models.prefix import cached_states, model_prefix
from spikequant.golden.quantizer.blocks import enter, run_block


@dataclass
class Streams:
    """Hidden states between two blocks.

    Attributes:
        expected: float32 [1, n, D] of each window, in the float model.
        found: the same in the quantized model; the same list where its errors do not matter.
        carried: float64 [n], what a quantizer carries from block to block.
        prefix: float32 [1, P, D], of the prefix, in the float model; None without one.
    """

    expected: list[Tensor]
    found: list[Tensor]
    carried: Tensor
    prefix: Tensor | None = None

    def tensors(self) -> list[Tensor]:
        """All of them as one list."""
        found = [] if self.found is self.expected else self.found
        return [*self.expected, *found, *([] if self.prefix is None else [self.prefix]), self.carried]

    def restored(self, tensors: list[Tensor]) -> "Streams":
        """The same with hidden states as from ``tensors``."""
        count = len(self.expected)
        expected = tensors[:count]
        found = expected if self.found is self.expected else tensors[count : 2 * count]
        return Streams(expected, found, tensors[-1], None if self.prefix is None else tensors[-2])


class BlockRuns:
    """Runs the blocks of a model on windows of text, one block after the other.

    Args:
        model: a float model, with its prefix if it has one.
        windows: int64 [n] token windows.
    """

    def __init__(self, model: PreTrainedModel, windows: list[Tensor]) -> None:
        self._model = model
        self._blocks = list(decoder_blocks(model).values())
        self._entered = [enter(model, window) for window in windows]
        self._prefix = model_prefix(model)
        self._before = None
        if self._prefix:
            self._before = enter(model, self._prefix.tokens, cache=DynamicCache(config=model.config))

    def streams(self, *, apart: bool) -> Streams:
        """Hidden states before the first block.

        Args:
            apart: whether those of the quantized model differ from the float model's.
        """
        hidden = [window.hidden for window in self._entered]
        prefix = self._before.hidden if self._before else None
        return Streams(hidden, list(hidden) if apart else hidden, torch.zeros(0, dtype=torch.float64), prefix)

    def run(self, block: int, window: int, hidden: Tensor) -> Tensor:
        """The hidden states [1, n, D] after a block."""
        call = self._entered[window].calls[block]
        if self._prefix:
            # a block appends to its cache whenever it runs
            cache = self._prefix.cache()
            call = call.with_cache(lambda _: cache)
        return run_block(self._blocks[block], hidden, call)

    @torch.no_grad()
    def advance_prefix(self, block: int, streams: Streams) -> None:
        """Recompute the prefix's keys and values of a float block, whose weights may have changed."""
        if self._prefix is None or self._before is None or streams.prefix is None:
            return
        cache = DynamicCache(config=self._model.config)
        call = self._before.calls[block].with_cache(lambda _: cache)
        streams.prefix = run_block(self._blocks[block], streams.prefix, call)
        for kept, new in zip(self._prefix.states(block), cached_states(cache, block), strict=True):
            kept.copy_(new)
