"""Greedy continuation of a prompt, token by token."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

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
    if not ids.numel():
        raise InputError(f"prompt {prompt!r}: no tokens, expected some text")
    if int(ids.max()) >= language_model.vocabulary:
        raise InputError(
            f"prompt {prompt!r}: contains a token of id {int(ids.max())}, "
            f"expected ids below {language_model.vocabulary}, the number of the model's embeddings"
        )
    return ids


@torch.no_grad()
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
    model = language_model.model
    ids = prompt_ids(language_model, prompt)
    context = longest_text(model)
    if context is not None and ids.numel() + tokens > context:
        raise InputError(f"prompt: {ids.numel()} tokens and {tokens} new ones, expected at most {context} together")
    step, kept = ids[None], None
    chosen: list[int] = []
    logits: list[Tensor] = []
    seconds: list[float] = []
    for number in range(tokens):
        began = time.perf_counter()
        output = model(step, past_key_values=kept, use_cache=True)
        kept = output.past_key_values
        logits.append(output.logits[0, -1].float().clone())
        chosen.append(int(logits[-1].argmax()))
        seconds.append(time.perf_counter() - began)
        progress(number + 1)
        if chosen[-1] == language_model.tokenizer.eos_token_id:
            break
        step = torch.tensor([[chosen[-1]]])
    return Continuation(
        prompt_tokens=ids.numel(),
        tokens=chosen,
        text=str(language_model.tokenizer.decode(chosen, skip_special_tokens=True)),
        logits=torch.stack(logits),
        seconds=seconds,
    )
