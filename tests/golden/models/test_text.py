import gzip
import json
import sys
from pathlib import Path

import pytest

from spikequant.golden.models.text import SAMPLE, calibration_corpus, evaluation_corpus, read_corpus, trace_corpus
from spikequant.golden.support.errors import InputError

DOCUMENTS = ["First document.\nTwo lines.", "", "Zweites Dokument, größer."]
LINES = "".join(json.dumps({"text": text, "url": "x"}) + "\n" for text in DOCUMENTS)


def test_calibration_and_evaluation_share_no_article() -> None:
    calibration, evaluation = calibration_corpus("wikipedia"), evaluation_corpus()
    assert len(calibration.texts) > 30
    assert len(evaluation.texts) > 30
    assert not set(calibration.texts) & set(evaluation.texts)
    assert all("[[" not in text[:2000] and "{{" not in text for text in calibration.texts)
    assert not calibration.joined
    assert not evaluation.joined
    assert (calibration.name, evaluation.name) == ("even Wikipedia articles", "odd Wikipedia articles")


def test_news_is_many_short_documents_for_evaluation_only() -> None:
    news = evaluation_corpus("news")
    assert len(news.texts) == 300
    assert all(text.strip() for text in news.texts)
    assert news.joined
    with pytest.raises(InputError, match="text news: reserved for evaluation, expected wikipedia or a file"):
        calibration_corpus("news")


@pytest.mark.parametrize("name", ["wiki.test.raw", "wiki.test.tokens", "a.txt", "b.txt.gz"])
def test_plain_text_stays_as_it_is(tmp_path: Path, name: str) -> None:
    text = " \n = Robert Boulter = \n \n He had a guest @-@ starring role , größer .\n"
    path = tmp_path / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    corpus = evaluation_corpus(path)
    assert corpus.texts == [text]
    assert corpus.name == name
    assert calibration_corpus(str(path)) == corpus


@pytest.mark.parametrize("name", ["c4-validation.json", "c.jsonl", "c4-validation.00000-of-00008.json.gz"])
def test_json_lines_are_documents(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(gzip.compress(LINES.encode()) if name.endswith(".gz") else LINES.encode())
    corpus = read_corpus(path)
    assert corpus.texts == DOCUMENTS
    assert corpus.name == f"documents of {name}"
    assert corpus.joined


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("suffix", [".txt", ".txt.gz", ".jsonl", ".json.gz"])
def test_encoding_marks_and_line_ends_make_no_difference(tmp_path: Path, encoding: str, end: str, suffix: str) -> None:
    text = "First line, größer.\n\nThird line.\n"
    path = tmp_path / f"a{suffix}"
    if ".json" in suffix:
        # JSON ends its lines by LF or CRLF; the strings may have any line end
        objects = [json.dumps({"text": text.replace("\n", end)}, ensure_ascii=False)] * 2
        content = "".join(line + ("\n" if end == "\r" else end) for line in objects)
    else:
        content = text.replace("\n", end)
    raw = content.encode(encoding)
    path.write_bytes(gzip.compress(raw) if suffix.endswith(".gz") else raw)
    assert read_corpus(path).texts == ([text] * 2 if ".json" in suffix else [text])


def test_a_mark_in_a_row_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"text": "\ufeffabc\r\n"}))
    assert read_corpus(path).texts == ["abc\n"]


def test_parquet_rows_are_documents(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "test-00000-of-00001.parquet"
    parquet.write_table(arrow.table({"n": [1, 2, 3], "text": DOCUMENTS}), path)
    assert read_corpus(path).texts == DOCUMENTS
    parquet.write_table(arrow.table({"n": [1], "body": ["x"]}), path)
    with pytest.raises(InputError, match="has columns n, body, expected a column 'text' of strings"):
        read_corpus(path)
    parquet.write_table(arrow.table({"text": ["x", None]}), path)
    with pytest.raises(InputError, match="row 2: text is NoneType, expected a column 'text' of strings"):
        read_corpus(path)
    path.write_bytes(b"PAR1 but no more of it")
    with pytest.raises(InputError, match="not a parquet file"):
        read_corpus(path)
    with pytest.raises(InputError, match="cannot read the file"):
        read_corpus(tmp_path / "none.parquet")


def test_parquet_without_pyarrow_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(InputError, match="needs pyarrow, install it: pip install pyarrow"):
        read_corpus(tmp_path / "x.parquet")


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        (
            "none.txt",
            None,
            "cannot read the file: No such file or directory, expected wikipedia, news, sample or a file",
        ),
        ("bad.txt", b"ab\xff", "not UTF-8 at byte 2"),
        ("cut.txt", "ä".encode()[:1], "not UTF-8 at byte 0"),
        ("empty.txt", b" \n", "no text in it"),
        ("mark.txt", b"\xef\xbb\xbf", "no text in it"),
        ("bad.txt", b"\xef\xbb\xbfab\xff", "not UTF-8 at byte 5"),
        ("odd.txt", "abc".encode("utf-16")[:-1], "not UTF-16 at byte 6"),
        ("odd.jsonl", '{"text": "abc"}'.encode("utf-16")[:-1], "not UTF-16: truncated data"),
        ("unmarked.txt", "abc".encode("utf-16-le"), "contains null characters, expected UTF-8, or a byte-order mark"),
        ("unmarked.jsonl", '{"text": "abc"}\n'.encode("utf-16-le") * 2, "line 1: not JSON"),
        ("empty.jsonl", b'{"text": ""}\n', "no text in it"),
        ("a.json", LINES.encode() + b"{broken\n", "line 4: not JSON"),
        ("a.json", LINES.encode() + b'\n{"body": "x"}\n', "line 5: text is NoneType, expected an object with a string"),
        ("a.json", b"[1]", "line 1: text is NoneType, expected an object with a string"),
        ("a.json", b'{"text": 3}', "line 1: text is int, expected an object with a string"),
        ("a.json", b'{"text": "\xff"}', "line 1: not JSON"),
        ("a.json.gz", b"plain", "not a complete gzip file"),
        ("a.json.gz", gzip.compress(LINES.encode(), mtime=0)[:-12], "not a complete gzip file"),
        ("a.txt.gz", gzip.compress(LINES.encode(), mtime=0)[:30], "not a complete gzip file"),
    ],
)
def test_unreadable_text_is_one_line(tmp_path: Path, name: str, content: bytes | None, line: str) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        evaluation_corpus(path)
    assert str(caught.value).startswith(f"text {path}: {line}")
    assert "\n" not in str(caught.value)


def test_a_folder_is_no_text(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot read the file: Is a directory$"):
        evaluation_corpus(tmp_path)


def test_a_file_without_end_is_read_up_to_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spikequant.golden.models.text.MAX_CHARACTERS", 100)
    # the limit falls inside of a letter
    plain = tmp_path / "long.txt"
    plain.write_text("x" + 50 * "ä", encoding="utf-8")
    corpus = read_corpus(plain)
    assert corpus.name == "the start of long.txt"
    assert corpus.texts == ["x" + 49 * "ä"]
    lines = tmp_path / "long.jsonl"
    lines.write_text(5 * (json.dumps({"text": 25 * "y"}) + "\n"))
    corpus = read_corpus(lines)
    assert corpus.name == "documents at the start of long.jsonl"
    assert len(corpus.texts) == 4


def test_traces_need_no_installed_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spikequant.golden.models.text.BUNDLED_PACKAGE", "no_such_package")
    assert trace_corpus().name == "sample.txt"
    assert trace_corpus(SAMPLE).texts == trace_corpus().texts
    assert len(trace_corpus().texts[0].split()) > 400
