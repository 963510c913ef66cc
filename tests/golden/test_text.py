import bz2
from pathlib import Path

import pytest
import torch

from golden.errors import InputError
from golden.model import LanguageModel
from golden.text import calibration_corpus, evaluation_corpus, plain_text, read_corpus, token_windows, wiki_articles

MARKUP = """{{Infobox|name={{nested|x}}}}<!-- hidden -->
'''Albedo''' is the [[diffuse reflection|reflectivity]] of a [[surface]].<ref name="a">Note</ref><ref name="b"/>
[[File:Ice.jpg|thumb|A [[polar bear|bear]] on ice]]
== Heading ==
{| class="wikitable"
| cell || {| nested |}
|}
* a list item
It is 15&nbsp;°C ({{IPA|x}}; 1760), see [http://example.org the page] and <math>a^2</math> x<sub>2</sub>.
[[Category:Optics]]
"""


def test_markup_becomes_prose() -> None:
    assert plain_text(MARKUP) == ("Albedo is the reflectivity of a surface.\nIt is 15 °C (1760), see the page and x2.")


def page(title: str, text: str, *, namespace: int = 0, redirect: str = "") -> str:
    return f"<page><title>{title}</title><ns>{namespace}</ns>{redirect}<revision><text>{text}</text></revision></page>"


def test_a_dump_gives_articles_but_no_redirects_stubs_or_other_pages(tmp_path: Path) -> None:
    long = "A sentence of an article. " * 100
    pages = [
        page("One", "first. " + long),
        page("Moved", long, redirect='<redirect title="One"/>'),
        page("Stub", "short"),
        page("Talk", long, namespace=1),
        page("Two", "second. " + long),
    ]
    dump = tmp_path / "dump.xml.bz2"
    dump.write_bytes(bz2.compress(f'<mediawiki xmlns="urn:x">{"".join(pages)}</mediawiki>'.encode()))
    assert [text.split(".")[0] for text in wiki_articles(dump)] == ["first", "second"]
    dump.write_bytes(dump.read_bytes()[:60])
    with pytest.raises(InputError, match="not a compressed MediaWiki dump"):
        list(wiki_articles(dump))


def test_calibration_and_evaluation_share_no_article() -> None:
    calibration, evaluation = calibration_corpus(), evaluation_corpus()
    assert len(calibration.texts) > 30
    assert len(evaluation.texts) > 30
    assert not set(calibration.texts) & set(evaluation.texts)
    assert all("[[" not in text[:2000] and "{{" not in text for text in calibration.texts)


def test_unreadable_text_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read the file"):
        read_corpus(tmp_path / "none.txt")
    (tmp_path / "bad.txt").write_bytes(b"ab\xff")
    with pytest.raises(InputError, match="not UTF-8 at byte 2"):
        read_corpus(tmp_path / "bad.txt")


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
