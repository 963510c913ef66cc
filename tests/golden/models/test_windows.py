import json
import math
from pathlib import Path

import pytest
import torch
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast

from spikequant.golden.evaluation.accuracy import measure_accuracy
from spikequant.golden.evaluation.methods import Calibration
from spikequant.golden.models.continuation import prompt_ids
from spikequant.golden.models.model import LanguageModel
from spikequant.golden.models.text import Corpus, read_corpus
from spikequant.golden.models.windows import corpus_windows, start_tokens, token_windows
from spikequant.golden.support.errors import InputError
from support.models import character_tokenizer


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


@pytest.fixture(name="starting")
def starting_fixture() -> PreTrainedTokenizerFast:
    """A tokenizer that puts ``<bos>`` at the start of a text, and ``<eos>`` at its end."""
    tokenizer = character_tokenizer()
    tokenizer.add_special_tokens({"bos_token": "<bos>", "eos_token": "<eos>"})
    ends = [(token, tokenizer.convert_tokens_to_ids(token)) for token in ("<bos>", "<eos>")]
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(single="<bos> $A <eos>", special_tokens=ends)
    return tokenizer


def test_start_tokens_are_those_before_a_text(float_model: LanguageModel, starting: PreTrainedTokenizerFast) -> None:
    assert start_tokens(float_model.tokenizer) == []
    assert start_tokens(starting) == [30]


def test_every_window_begins_with_the_start_tokens(starting: PreTrainedTokenizerFast) -> None:
    texts = ["abcdefgh", "ij", ""]
    for joined, windows in ((False, ["<bos>abc", "<bos>def", "<bos>ij", "<bos>gh"]), (True, ["<bos>abc", "<bos>def"])):
        found = corpus_windows(starting, Corpus("x", texts, joined=joined), tokens=100, context=4)
        assert ["".join(starting.convert_ids_to_tokens(w.tolist())) for w in found.windows][: len(windows)] == windows
        assert found.scored == [len(window) - 1 for window in found.windows]
        assert "windows of 4 " in found.protocol
        assert ", each after <bos>, without overlap" in found.protocol
    # start tokens do not count
    cut = corpus_windows(starting, Corpus("x", texts), tokens=4, context=4)
    assert (cut.tokens, cut.scored, [len(window) for window in cut.windows]) == (4, [3, 1], [4, 2])
    with pytest.raises(InputError, match="context: 1, expected 2 or more"):
        corpus_windows(starting, Corpus("x", texts), tokens=4, context=1)


def test_a_prompt_begins_as_a_window_does(float_model: LanguageModel, starting: PreTrainedTokenizerFast) -> None:
    model = float_model.model
    model.resize_token_embeddings(32)
    prompted = prompt_ids(LanguageModel(model, starting, "x"), "abc")
    (window,) = token_windows(starting, ["abc"], tokens=9, context=8)
    assert prompted.equal(window)


def test_a_token_without_an_embedding_is_refused(float_model: LanguageModel, starting: PreTrainedTokenizerFast) -> None:
    corpus = Corpus("x.txt", ["ab<eos>cd"])
    with pytest.raises(InputError, match=r"text x\.txt: contains token '<eos>' of id 31, expected ids below 31"):
        corpus_windows(starting, corpus, tokens=9, context=8, vocabulary=31)
    corpus_windows(starting, corpus, tokens=9, context=8, vocabulary=32)
    with pytest.raises(InputError, match="prompt 'abc': contains a token of id 30, expected ids below 30"):
        prompt_ids(LanguageModel(float_model.model, starting, "x"), "abc")


@pytest.mark.parametrize("joined", [False, True])
def test_overlapping_windows_score_each_token_once(float_model: LanguageModel, joined: bool) -> None:
    corpus = Corpus("x", ["abcdefghijkl", "mn"], joined=joined)
    found = corpus_windows(float_model.tokenizer, corpus, tokens=100, context=6, stride=2)
    assert found.scored is not None
    assert read(float_model, found.windows)[:4] == ["abcdef", "cdefgh", "efghij", "ghijkl"]
    assert found.scored[:4] == [5, 2, 2, 2]
    assert sum(found.scored) == found.tokens
    ends = ["".join(text[-count:]) for text, count in zip(read(float_model, found.windows), found.scored, strict=True)]
    assert "".join(ends).startswith("bcdefghijkl")
    assert found.protocol.endswith("one every 2 tokens, each token scored once")
    cut = corpus_windows(float_model.tokenizer, corpus, tokens=6, context=6, stride=2)
    assert (read(float_model, cut.windows), cut.scored) == (["abcdef", "cdefg"], [5, 1])
    for stride in (0, 6):
        with pytest.raises(InputError, match=f"stride: {stride}, expected 1 to 5 with windows of 6 tokens"):
            corpus_windows(float_model.tokenizer, corpus, tokens=6, context=6, stride=stride)


def test_rows_of_a_data_set_are_joined_and_tokenized_at_once(
    float_model: LanguageModel, tmp_path: Path, prose: str
) -> None:
    rows = ["", " = heading = \n", "", f"{prose}\n", "", prose[:40]]
    path = tmp_path / "wikitext.jsonl"
    path.write_text("".join(json.dumps({"text": row}) + "\n" for row in rows))
    ids = float_model.tokenizer("\n\n".join(rows))["input_ids"]
    found = corpus_windows(float_model.tokenizer, read_corpus(path), tokens=500, context=64)
    expected = [torch.tensor(ids[first : first + 64]) for first in range(0, 64 * len(found.windows), 64)]
    assert all(window.equal(part[: len(window)]) for window, part in zip(found.windows, expected, strict=True))


def test_a_score_with_a_stride_is_that_of_the_scored_tokens(float_model: LanguageModel, prose: str) -> None:
    model = float_model.model
    found = corpus_windows(float_model.tokenizer, Corpus("x", [prose]), tokens=60, context=16, stride=4)
    loss = 0.0
    with torch.no_grad():
        for window, count in zip(found.windows, found.scored or (), strict=True):
            logits = model(window[None]).logits[0].log_softmax(-1)
            loss -= sum(float(logits[place - 1, window[place]]) for place in range(len(window) - count, len(window)))
    accuracy = measure_accuracy(model, found.windows, model, scored=found.scored)
    assert accuracy.tokens == 60
    assert accuracy.perplexity == pytest.approx(math.exp(loss / 60), rel=1e-5)
    assert (accuracy.divergence, accuracy.agreement) == (pytest.approx(0, abs=1e-6), 1.0)


def test_calibration_windows_fit_the_model(float_model: LanguageModel, tmp_path: Path, prose: str) -> None:
    path = tmp_path / "a.txt"
    path.write_text(prose)
    float_model.model.config.max_position_embeddings = 64
    found = Calibration(path, tokens=200, context=128).windows(float_model)
    assert max(map(len, found.windows)) == 64
    assert found.protocol.endswith(
        "windows of 64 within a text, without overlap, cut from 128 to the model's positions"
    )
    assert Calibration(path, tokens=200, context=64).windows(float_model).protocol.endswith("without overlap")
