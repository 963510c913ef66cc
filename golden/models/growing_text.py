"""Greedy text of a model, token by token, in a cache that later texts with the same beginning use again."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

import torch
from torch import Tensor

from spikequant.golden.models.model import LanguageModel
from spikequant.golden.models.prefix import longest_text


@dataclass(frozen=True)
class NewToken:
    """A token that a model wrote.

    Attributes:
        number: its id.
        logits: float32 [vocabulary], of which it is the argmax.
        seconds: wall time of the model's run; the first token's includes all tokens that were not in the cache.
        read: tokens that the run read.
        ends: whether the model ends its text with it.
    """

    number: int
    logits: Tensor
    seconds: float
    read: int
    ends: bool


class GrowingText:
    """The tokens that a model has read, and their keys and values.

    Args:
        language_model: in evaluation mode.
    """

    def __init__(self, language_model: LanguageModel) -> None:
        self._language_model = language_model
        self._read: list[int] = []
        self._cache: Any = None

    @torch.no_grad()
    def write(self, tokens: Sequence[int]) -> Iterator[NewToken]:
        """Continue tokens until the model ends its text or its context is full.

        Of the tokens, those that the text so far begins with, too, are not read again.

        Args:
            tokens: ids of the whole text to continue, at least one.
        """
        model, context = self._language_model.model, longest_text(self._language_model.model)
        step = list(tokens[self._keep(tokens) :])
        ends = False
        while not ends and (context is None or len(self._read) + len(step) < context):
            began = time.perf_counter()
            output = model(torch.tensor([step]), past_key_values=self._cache, use_cache=True)
            self._cache = output.past_key_values
            self._read += step
            logits = output.logits[0, -1].float().clone()
            chosen = int(logits.argmax())
            ends = chosen == self._language_model.tokenizer.eos_token_id
            yield NewToken(chosen, logits, time.perf_counter() - began, len(step), ends)
            step = [chosen]

    def _keep(self, tokens: Sequence[int]) -> int:
        """Shorten text and cache to what ``tokens`` begin with, at most all but the last; returns its length."""
        pairs = zip(self._read, tokens[:-1], strict=False)
        common = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
        if common < len(self._read):
            try:
                self._cache.crop(common - len(self._read))
            except RuntimeError:
                # a sliding window has lost tokens that it would have to show again
                self._cache, common = None, 0
            del self._read[common:]
        return common
