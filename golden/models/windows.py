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
        tokens: number of scored tokens.
        texts: number of the corpus' texts of which they hold a part.
        protocol: one line with all of this.
        scored: number of tokens at the end of each window that are scored, the others being context only; None for
            all but the first.
    """

    windows: list[Tensor]
    tokens: int
    texts: int
    protocol: str
    scored: list[int] | None = None


@dataclass(frozen=True)
class _Window:
    """Tokens of one window without the start tokens, the text of each, and how many at the end are scored."""

    ids: list[int]
    texts: list[int]
    scored: int


@dataclass(frozen=True)
class _Cut:
    """Places of windows in a sequence of tokens.

    Attributes:
        room: largest number of the sequence's tokens in a window.
        step: distance from one window to the next.
        first: smallest number of tokens that are context only.
    """

    room: int
    step: int
    first: int

    def window(self, ids: list[int], texts: list[int], number: int) -> _Window | None:
        """The window of this number, or None after the last one."""
        begin = number * self.step
        # the previous window scores all tokens before this one
        seen = begin + self.room - self.step if number else self.first
        end = min(begin + self.room, len(ids))
        # without overlap, no window has context of the previous one
        scored = end - max(seen, begin + self.first)
        return _Window(ids[begin:end], texts[begin:end], scored) if scored > 0 else None


def start_tokens(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Ids of the tokens that a tokenizer puts at the start of every text, such as ``<bos>``; often none."""
    plain = tokenizer("x", add_special_tokens=False)["input_ids"]
    whole = tokenizer("x")["input_ids"]
    for count in range(len(whole) - len(plain) + 1):
        if whole[count : count + len(plain)] == plain:
            return list(whole[:count])
    return []


def token_windows(tokenizer: PreTrainedTokenizerBase, texts: list[str], *, tokens: int, context: int) -> list[Tensor]:
    """Windows by ``corpus_windows`` of texts that are not joined."""
    return corpus_windows(tokenizer, Corpus("text", texts), tokens=tokens, context=context).windows


def corpus_windows(
    tokenizer: PreTrainedTokenizerBase,
    corpus: Corpus,
    *,
    tokens: int,
    context: int,
    stride: int | None = None,
    vocabulary: int | None = None,
    starts: list[int] | None = None,
) -> TextWindows:
    """Windows that score ``tokens`` tokens in all, or as many as there are.

    Each window begins with start tokens, which are not scored. Without any, the first token is only
    context, so that a window of n tokens scores n - 1. The last window is cut to the exact number.

    With a stride, windows of the same text overlap: each begins ``stride`` tokens after the previous one, and scores
    those tokens that the previous one did not.

    Windows of a joined corpus run through the texts in their order, with a blank line between two of them. Otherwise
    each lies within one text: first the first window of each text, then the second of each, and so on, so that few
    tokens already sample many texts. The incomplete window at the end of each text comes last.

    Args:
        tokenizer: the model's.
        corpus: plain texts.
        tokens: number of tokens to score, 1 or more.
        context: tokens in a window, start tokens included; 2 or more, and more than there are start tokens.
        stride: distance of the windows in tokens; None for windows that do not overlap.
        vocabulary: limit of the token ids, or None for no check.
        starts: ids that each window begins with; the tokenizer's start tokens by default.

    Raises:
        InputError: a count out of range, no token to score, a token beyond the vocabulary, or a joined corpus for a
            tokenizer without character offsets.
    """
    if tokens < 1:
        raise InputError(f"tokens: {tokens}, expected 1 or more")
    joined = corpus.joined and len(corpus.texts) > 1
    if joined and not tokenizer.is_fast:
        raise InputError(
            f"text {corpus.name}: joined texts need a tokenizer with character offsets, "
            "expected a model with a fast tokenizer, or a single text"
        )
    starts = start_tokens(tokenizer) if starts is None else starts
    room = context - len(starts)
    first = 0 if starts else 1
    if room <= first:
        raise InputError(f"context: {context}, expected {len(starts) + first + 1} or more")
    if stride is not None and not 1 <= stride <= room - first:
        raise InputError(f"stride: {stride}, expected 1 to {room - first} with windows of {context} tokens")
    # a single text may have to suffice
    characters = MAX_TOKEN_CHARACTERS * (tokens + context)
    encode = _across_texts if joined else _within_texts
    cut = _Cut(room, stride or room, first)
    windows: list[Tensor] = []
    scored: list[int] = []
    used: set[int] = set()
    left = tokens
    for window in _in_turn(encode(tokenizer, corpus, characters), cut):
        scored.append(min(left, window.scored))
        kept = len(window.ids) - window.scored + scored[-1]
        windows.append(torch.tensor(starts + window.ids[:kept]))
        used.update(window.texts[:kept])
        left -= scored[-1]
        if not left:
            break
    if not windows:
        raise InputError(f"text {corpus.name}: fewer than 2 tokens, expected at least one to predict")
    _check_ids(tokenizer, corpus, windows, vocabulary)
    # datasets with one row per line have empty rows
    filled = {index for index, text in enumerate(corpus.texts) if text.strip()}
    source = f"{len(used & filled)} of {len(filled)} {corpus.name}" if len(corpus.texts) > 1 else corpus.name
    how = "through texts joined by blank lines" if joined else "within a text"
    if starts:
        how += f", each after {' '.join(map(str, tokenizer.convert_ids_to_tokens(starts)))}"
    overlap = f"one every {stride} tokens, each token scored once" if stride else "without overlap"
    return TextWindows(
        windows=windows,
        tokens=tokens - left,
        texts=len(used & filled),
        protocol=f"{tokens - left} tokens of {source}, windows of {context} {how}, {overlap}",
        scored=scored,
    )


def _check_ids(
    tokenizer: PreTrainedTokenizerBase, corpus: Corpus, windows: list[Tensor], vocabulary: int | None
) -> None:
    largest = max(int(window.max()) for window in windows)
    if vocabulary is not None and largest >= vocabulary:
        raise InputError(
            f"text {corpus.name}: contains token {tokenizer.convert_ids_to_tokens(largest)!r} of id {largest}, "
            f"expected ids below {vocabulary}, the number of the model's embeddings"
        )


def _in_turn(encoded: list[tuple[list[int], list[int]]], cut: _Cut) -> Iterator[_Window]:
    """The first window of each sequence, then the second of each, and so on; incomplete windows come last."""
    rest: list[_Window] = []
    number = 0
    while encoded:
        found = [(sequence, cut.window(*sequence, number)) for sequence in encoded]
        encoded = [sequence for sequence, window in found if window]
        whole = [window for _, window in found if window and len(window.ids) == cut.room]
        rest += [window for _, window in found if window and len(window.ids) < cut.room]
        yield from whole
        number += 1
    yield from rest


def _within_texts(
    tokenizer: PreTrainedTokenizerBase, corpus: Corpus, characters: int
) -> list[tuple[list[int], list[int]]]:
    encoded = [
        tokenizer(text[:characters], add_special_tokens=False, verbose=False)["input_ids"] for text in corpus.texts
    ]
    return [(ids, [index] * len(ids)) for index, ids in enumerate(encoded)]


def _across_texts(
    tokenizer: PreTrainedTokenizerBase, corpus: Corpus, characters: int
) -> list[tuple[list[int], list[int]]]:
    starts = list(accumulate((len(text) + len(SEPARATOR) for text in corpus.texts), initial=0))
    texts = corpus.texts[: bisect_right(starts, characters)]
    encoded = tokenizer(
        SEPARATOR.join(texts)[:characters], add_special_tokens=False, verbose=False, return_offsets_mapping=True
    )
    text_of = [bisect_right(starts, begin) - 1 for begin, _ in encoded["offset_mapping"]]
    return [(encoded["input_ids"], text_of)]
