"""Windows of tokens, cut from text, as the input of a model."""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from spikequant.golden.models.text import Corpus
from spikequant.golden.support.errors import InputError

SEPARATOR = "\n\n"
"""Separator of the texts of a joined corpus."""

MAX_TOKEN_CHARACTERS = 16
"""Characters per token, with a large margin, by which a text is cut before it is tokenized."""


@dataclass(frozen=True)
class TextWindows:
    """Windows and their origin.

    Attributes:
        windows: int64 [n] each, 2 <= n <= context.
        tokens: number of scored tokens, n - 1 for each window.
        texts: number of the corpus' texts of which they hold a part.
        protocol: one line with all of this.
    """

    windows: list[Tensor]
    tokens: int
    texts: int
    protocol: str


@dataclass(frozen=True)
class _Window:
    """Tokens of one window, and for each of them the index of its text."""

    ids: list[int]
    texts: list[int]


def token_windows(tokenizer: PreTrainedTokenizerBase, texts: list[str], *, tokens: int, context: int) -> list[Tensor]:
    """Windows by ``corpus_windows`` of texts that are not joined."""
    return corpus_windows(tokenizer, Corpus("text", texts), tokens=tokens, context=context).windows


def corpus_windows(tokenizer: PreTrainedTokenizerBase, corpus: Corpus, *, tokens: int, context: int) -> TextWindows:
    """Windows without overlap that score ``tokens`` tokens in all, or as many as there are.

    A window of n tokens scores n - 1: the first one is only context. The last window is cut to the exact number.

    Windows of a joined corpus run through the texts in their order, with a blank line between two of them. Otherwise
    each lies within one text: first the first window of each text, then the second of each, and so on, so that few
    tokens already sample many texts. The incomplete window at the end of each text comes last.

    Args:
        tokenizer: the model's.
        corpus: plain texts.
        tokens: number of tokens to score, 1 or more.
        context: tokens in a window, 2 or more.

    Raises:
        InputError: a count out of range, no token to score, or a joined corpus for a tokenizer without character
            offsets.
    """
    if tokens < 1:
        raise InputError(f"tokens: {tokens}, expected 1 or more")
    if context < 2:
        raise InputError(f"context: {context}, expected 2 or more")
    # a single text may have to suffice
    characters = MAX_TOKEN_CHARACTERS * (tokens + context)
    joined = corpus.joined and len(corpus.texts) > 1
    cut = _across_texts if joined else _within_texts
    windows: list[Tensor] = []
    used: set[int] = set()
    left = tokens
    for window in cut(tokenizer, corpus, characters, context):
        scored = min(left, len(window.ids) - 1)
        windows.append(torch.tensor(window.ids[: scored + 1]))
        used.update(window.texts[: scored + 1])
        left -= scored
        if not left:
            break
    if not windows:
        raise InputError(f"text {corpus.name}: fewer than 2 tokens, expected at least one to predict")
    # datasets with one row per line have empty rows
    filled = {index for index, text in enumerate(corpus.texts) if text.strip()}
    source = f"{len(used & filled)} of {len(filled)} {corpus.name}" if len(corpus.texts) > 1 else corpus.name
    how = "through texts joined by blank lines" if joined else "within a text"
    return TextWindows(
        windows=windows,
        tokens=tokens - left,
        texts=len(used & filled),
        protocol=f"{tokens - left} tokens of {source}, windows of {context} {how}, without overlap",
    )


def _within_texts(
    tokenizer: PreTrainedTokenizerBase, corpus: Corpus, characters: int, context: int
) -> Iterator[_Window]:
    encoded = [
        tokenizer(text[:characters], add_special_tokens=False, verbose=False)["input_ids"] for text in corpus.texts
    ]
    rest: list[_Window] = []
    for first in range(0, max(map(len, encoded)), context):
        for index, ids in enumerate(encoded):
            window = ids[first : first + context]
            if len(window) == context:
                yield _Window(window, [index] * context)
            elif len(window) > 1:
                rest.append(_Window(window, [index] * len(window)))
    yield from rest


def _across_texts(
    tokenizer: PreTrainedTokenizerBase, corpus: Corpus, characters: int, context: int
) -> Iterator[_Window]:
    if not tokenizer.is_fast:
        raise InputError(
            f"text {corpus.name}: joined texts need a tokenizer with character offsets, "
            "expected a model with a fast tokenizer, or a single text"
        )
    starts = list(accumulate((len(text) + len(SEPARATOR) for text in corpus.texts), initial=0))
    texts = corpus.texts[: bisect_right(starts, characters)]
    encoded = tokenizer(
        SEPARATOR.join(texts)[:characters], add_special_tokens=False, verbose=False, return_offsets_mapping=True
    )
    ids = encoded["input_ids"]
    text_of = [bisect_right(starts, begin) - 1 for begin, _ in encoded["offset_mapping"]]
    for first in range(0, len(ids) - 1, context):
        window = ids[first : first + context]
        if len(window) > 1:
            yield _Window(window, text_of[first : first + context])
