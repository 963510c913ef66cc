"""Pieces of text from tokens, with characters of several tokens."""

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from spikequant.golden.models.streamed_text import StreamedText


@pytest.fixture(scope="module")
def byte_tokenizer() -> PreTrainedTokenizerFast:
    """A token a byte."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({letter: number for number, letter in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    found = PreTrainedTokenizerFast(tokenizer_object=tokenizer)
    found.add_special_tokens({"eos_token": "<end>"})
    return found


def test_a_character_comes_when_it_is_whole(byte_tokenizer: PreTrainedTokenizerFast) -> None:
    text = StreamedText(byte_tokenizer)
    tokens = byte_tokenizer("aé🙂 中")["input_ids"]
    assert [text.add(token) for token in tokens] == ["a", "", "é", "", "", "", "🙂", " ", "", "", "中"]
    assert text.add(byte_tokenizer.eos_token_id) == ""
    assert (text.end(), text.text) == ("", "aé🙂 中")


def test_the_rest_of_a_cut_character_comes_at_the_end(byte_tokenizer: PreTrainedTokenizerFast) -> None:
    text = StreamedText(byte_tokenizer)
    tokens = byte_tokenizer("ok🙂")["input_ids"][:-1]
    assert "".join(map(text.add, tokens)) == "ok"
    assert text.end() == "\N{REPLACEMENT CHARACTER}"
    assert text.text == byte_tokenizer.decode(tokens)
