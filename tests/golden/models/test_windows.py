import pytest
import torch

from spikequant.golden.models.model import LanguageModel
from spikequant.golden.models.text import Corpus
from spikequant.golden.models.windows import corpus_windows, token_windows
from spikequant.golden.support.errors import InputError


@pytest.mark.parametrize("tokens", [1, 7, 14, 15, 40, 57])
def test_windows_score_exactly_what_was_asked_for(float_model: LanguageModel, tokens: int) -> None:
    texts = ["abcdefghijklmnopqrstuvwxyz", "abcde", "zyxwvutsrqponmlkjihgfedcba" * 2]
    windows = token_windows(float_model.tokenizer, texts, tokens=tokens, context=8)
    assert sum(len(window) - 1 for window in windows) == tokens
    assert all(2 <= len(window) <= 8 for window in windows)


def test_windows_go_round_the_texts_and_never_overlap(float_model: LanguageModel) -> None:
    tokenizer = float_model.tokenizer
    texts = ["abcdefghij", "klmno", "pqrstuvwxyz"]
    windows = token_windows(tokenizer, texts, tokens=1000, context=4)
    read = ["".join(tokenizer.convert_ids_to_tokens(window)) for window in windows]
    assert read == ["abcd", "klmn", "pqrs", "efgh", "tuvw", "ij", "xyz"]


def read(model: LanguageModel, windows: list[torch.Tensor]) -> list[str]:
    return ["".join(model.tokenizer.convert_ids_to_tokens(window)) for window in windows]


def test_windows_of_a_joined_corpus_run_through_the_texts(float_model: LanguageModel) -> None:
    corpus = Corpus("letters of x", ["abc", "", "defgh", "ijklmnop"], joined=True)
    # blank lines, however many, are one unknown token
    windows = ["abc?", "defg", "h?ij", "klmn", "op"]
    found = corpus_windows(float_model.tokenizer, corpus, tokens=7, context=4)
    assert read(float_model, found.windows) == [*windows[:2], "h?"]
    assert (found.tokens, found.texts) == (7, 2)
    assert found.protocol == (
        "7 tokens of 2 of 3 letters of x, windows of 4 through texts joined by blank lines, without overlap"
    )
    # one token more is another text
    assert corpus_windows(float_model.tokenizer, corpus, tokens=8, context=4).texts == 3
    every = corpus_windows(float_model.tokenizer, corpus, tokens=1000, context=4)
    assert read(float_model, every.windows) == windows
    assert (every.tokens, every.texts) == (13, 3)
    # an empty text is none, even where a token begins in it
    blank = corpus_windows(float_model.tokenizer, Corpus("x", ["", "abc"], joined=True), tokens=9, context=8)
    assert (read(float_model, blank.windows), blank.texts) == (["?abc"], 1)


def test_windows_of_one_long_joined_text_are_those_of_the_text_itself(float_model: LanguageModel, prose: str) -> None:
    joined = corpus_windows(float_model.tokenizer, Corpus("x.txt", [prose], joined=True), tokens=99, context=16)
    within = token_windows(float_model.tokenizer, [prose], tokens=99, context=16)
    assert read(float_model, joined.windows) == read(float_model, within)
    assert joined.protocol == "99 tokens of x.txt, windows of 16 within a text, without overlap"


def test_texts_of_a_corpus_are_counted(float_model: LanguageModel) -> None:
    corpus = Corpus("odd articles", ["abcdefghij", "klmno", "pqrstuvwxyz", "a"])
    for tokens, texts in ((3, 1), (4, 2), (9, 3), (1000, 3)):
        found = corpus_windows(float_model.tokenizer, corpus, tokens=tokens, context=4)
        assert found.texts == texts
        assert found.tokens == sum(len(window) - 1 for window in found.windows)
        assert f"{found.tokens} tokens of {texts} of 4 odd articles" in found.protocol


def test_a_tokenizer_that_knows_no_characters_joins_nothing() -> None:
    class Slow:
        is_fast = False

    with pytest.raises(InputError, match="need a tokenizer with character offsets"):
        corpus_windows(Slow(), Corpus("x", ["a", "b"], joined=True), tokens=9, context=4)  # type: ignore[arg-type]


def test_too_little_text_is_refused(float_model: LanguageModel) -> None:
    for texts in (["a"], [""]):
        with pytest.raises(InputError, match="fewer than 2 tokens"):
            token_windows(float_model.tokenizer, texts, tokens=5, context=8)
    with pytest.raises(InputError, match="tokens: 0, expected 1 or more"):
        token_windows(float_model.tokenizer, ["abc"], tokens=0, context=8)
    with pytest.raises(InputError, match="context: 1, expected 2 or more"):
        token_windows(float_model.tokenizer, ["abc"], tokens=5, context=1)


def test_windows_are_token_numbers(float_model: LanguageModel) -> None:
    (window,) = token_windows(float_model.tokenizer, ["abc?"], tokens=9, context=8)
    assert window.equal(torch.tensor([1, 2, 3, 0]))
