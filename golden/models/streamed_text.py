"""Text of tokens that come one by one."""

from transformers import PreTrainedTokenizerBase

INCOMPLETE = "\N{REPLACEMENT CHARACTER}"
"""Last character of a text whose last token holds only a part of a character."""


class StreamedText:
    """Text of the tokens so far, piece by piece: a character whose bytes are in several tokens comes with the last one.

    Args:
        tokenizer: of the model that writes the tokens; its special tokens have no text.

    Attributes:
        text: all pieces so far.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self.text = ""
        self._tokenizer = tokenizer
        self._tokens: list[int] = []

    def add(self, token: int) -> str:
        """Take a token; returns the text that it completes."""
        self._tokens.append(token)
        text = self._decoded()
        return "" if text.endswith(INCOMPLETE) else self._completed(text)

    def end(self) -> str:
        """The text that ``add`` has held back: that of a character whose last bytes did not come."""
        return self._completed(self._decoded())

    def _completed(self, text: str) -> str:
        piece = text[len(self.text) :]
        self.text += piece
        return piece

    def _decoded(self) -> str:
        return str(self._tokenizer.decode(self._tokens, skip_special_tokens=True))
