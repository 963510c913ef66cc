"""Conversation with a model: by the template of its tokenizer if there is one, else each prompt is continued alone."""

from collections.abc import Iterator
from typing import Any

from spikequant.golden.models.continuation import check_tokens, prompt_ids
from spikequant.golden.models.growing_text import GrowingText, NewToken
from spikequant.golden.models.model import LanguageModel
from spikequant.golden.models.prefix import longest_text
from spikequant.golden.models.reading import model_starts
from spikequant.golden.models.windows import start_tokens
from spikequant.golden.support.errors import InputError, one_line


class Conversation:
    """Turns of a user and a model, whose keys and values stay in the cache.

    Args:
        language_model: in evaluation mode.

    Attributes:
        has_template: whether the tokenizer has a chat template; without one, prompts are independent.
    """

    def __init__(self, language_model: LanguageModel) -> None:
        self.has_template = bool(language_model.tokenizer.chat_template)
        self._language_model = language_model
        self._text = GrowingText(language_model)
        self._messages: list[dict[str, str]] = []
        self._reply: list[int] = []

    def clear(self) -> None:
        """Forget all turns."""
        self._messages, self._reply = [], []

    def ask(self, prompt: str) -> Iterator[NewToken]:
        """Reply to a prompt, or continue it, until the model ends its text or the context is full.

        What the caller has taken of a reply is part of the conversation.

        Raises:
            InputError: the prompt has no tokens, or one without an embedding, or does not fit the model's context
                after the earlier turns; or the template fails.
        """
        messages = [*self._messages, *self._answer(), {"role": "user", "content": prompt}]
        tokens = self._rendered(messages) if self.has_template else prompt_ids(self._language_model, prompt).tolist()
        check_tokens(self._language_model, tokens, prompt)
        context = longest_text(self._language_model.model)
        if context is not None and len(tokens) >= context:
            raise InputError(
                f"prompt: {len(tokens)} tokens with the conversation so far, expected fewer than {context}, "
                "the longest window of the model"
            )
        self._messages, self._reply = messages, []
        return self._replied(tokens)

    def _replied(self, tokens: list[int]) -> Iterator[NewToken]:
        for token in self._text.write(tokens):
            self._reply.append(token.number)
            yield token

    def _answer(self) -> list[dict[str, str]]:
        """The model's last reply as a message, if there is one."""
        text = self._language_model.tokenizer.decode(self._reply, skip_special_tokens=True)
        return [{"role": "assistant", "content": str(text)}] if self._messages else []

    def _rendered(self, messages: list[dict[str, str]]) -> list[int]:
        """Tokens of messages up to the beginning of the model's reply, without those that the prefix holds."""
        tokenizer = self._language_model.tokenizer
        try:
            rendered: Any = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
        except Exception as error:
            raise InputError(f"chat template: {one_line(error)}, expected one for user and assistant") from None
        tokens: list[int] = list(rendered)
        starts = start_tokens(tokenizer)
        held = not model_starts(self._language_model) and tokens[: len(starts)] == starts
        return tokens[len(starts) :] if held else tokens
