"""Greedy continuation of a prompt, token by token."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor

from spikequant.golden.models.growing_text import GrowingText, NewToken
from spikequant.golden.models.model import LanguageModel
from spikequant.golden.models.prefix import longest_text
from spikequant.golden.models.reading import model_starts
from spikequant.golden.support.errors import InputError


@dataclass(frozen=True)
class Continuation:
    """Text that a model wrote.

    Attributes:
        prompt_tokens: number of tokens of the prompt.
        tokens: ids of the new tokens.
        text: the new tokens as text.
        logits: float32 [new tokens, vocabulary], of which each new token is the argmax.
        seconds: wall time of each new token; the first one's includes the whole prompt.
    """

    prompt_tokens: int
    tokens: list[int]
    text: str
    logits: Tensor
    seconds: list[float]

    @property
    def seconds_per_token(self) -> float:
        """Mean wall time of all tokens but the first, whose time includes the prompt; its own if there is no other."""
        alone = self.seconds[1:] or self.seconds
        return sum(alone) / len(alone)

    def equals(self, other: "Continuation") -> bool:
        """Whether tokens and logits are the same, bit for bit."""
        return self.tokens == other.tokens and torch.equal(self.logits, other.logits)


def prompt_ids(language_model: LanguageModel, prompt: str) -> Tensor:
    """The prompt's tokens after the start tokens that every window begins with, int64 [n].

    Raises:
        InputError: the prompt has no tokens, or one without an embedding.
    """
    tokenizer = language_model.tokenizer
    plain = tokenizer(prompt, add_special_tokens=False)["input_ids"]
    ids = torch.tensor(model_starts(language_model) + plain, dtype=torch.int64)
    check_tokens(language_model, ids.tolist(), prompt)
    return ids


def check_tokens(language_model: LanguageModel, tokens: Sequence[int], prompt: str) -> None:
    """Check that a model can read the tokens of a prompt.

    Raises:
        InputError: there are none, or one has no embedding.
    """
    if not tokens:
        raise InputError(f"prompt {prompt!r}: no tokens, expected some text")
    if max(tokens) >= language_model.vocabulary:
        raise InputError(
            f"prompt {prompt!r}: contains a token of id {max(tokens)}, "
            f"expected ids below {language_model.vocabulary}, the number of the model's embeddings"
        )


def continue_prompt(
    language_model: LanguageModel, prompt: str, tokens: int, *, progress: Callable[[int], None] = lambda _: None
) -> Continuation:
    """Continue a prompt until the model ends its text, or up to a number of tokens.

    Args:
        language_model: in evaluation mode.
        prompt: plain text.
        tokens: largest number of new tokens, 1 or more.
        progress: called with the number of new tokens after each.

    Raises:
        InputError: the prompt has no tokens, or prompt and new tokens do not fit the model's context.
    """
    ids = prompt_ids(language_model, prompt)
    context = longest_text(language_model.model)
    if context is not None and ids.numel() + tokens > context:
        raise InputError(f"prompt: {ids.numel()} tokens and {tokens} new ones, expected at most {context} together")
    written: list[NewToken] = []
    for token in islice(GrowingText(language_model).write(ids.tolist()), tokens):
        written.append(token)
        progress(len(written))
    chosen = [token.number for token in written]
    return Continuation(
        prompt_tokens=ids.numel(),
        tokens=chosen,
        text=str(language_model.tokenizer.decode(chosen, skip_special_tokens=True)),
        logits=torch.stack([token.logits for token in written]),
        seconds=[token.seconds for token in written],
    )
