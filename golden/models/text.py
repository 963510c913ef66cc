"""Text for calibration and evaluation: from installed packages, or from files of the usual kinds."""

import codecs
import gzip
import json
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from io import BufferedReader, TextIOWrapper
from pathlib import Path
from typing import Any

from spikequant.golden.models.bundled import bundled_file
from spikequant.golden.models.wikipedia import wiki_articles
from spikequant.golden.support.errors import InputError, one_line

BUNDLED_PACKAGE = "gensim"

WIKIPEDIA = "wikipedia"
"""Name of the English Wikipedia articles in the test data of ``gensim``."""

WIKIPEDIA_PATTERN = "enwiki-latest-pages-articles1*.bz2"

NEWS = "news"
"""Name of the Lee newswire documents (Australian Broadcasting Corporation, 2000-2001) in the same data."""

NEWS_PATTERN = "lee_background.cor"

SAMPLE = "sample"
"""Name of a page of prose that comes with this package."""

BUNDLED = (WIKIPEDIA, NEWS, SAMPLE)

MAX_CHARACTERS = 2**26
"""Most characters that are read of a file, some 16 million tokens: whole files of C4 would fill the memory."""

_MARKS = (
    # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


@dataclass(frozen=True)
class Corpus:
    """Plain texts under one name.

    Attributes:
        name: kind of the texts, in the plural if there are several, for a protocol line.
        texts: at least one.
        joined: whether windows run across texts, as usual for WikiText and C4; otherwise each lies within one text,
            as fits long articles.
    """

    name: str
    texts: list[str]
    joined: bool = False


def calibration_corpus(text: str | Path | None = None) -> Corpus:
    """Text for calibration.

    Args:
        text: ``wikipedia`` or None for the even articles of the bundled Wikipedia, or a file (see ``read_corpus``).

    Raises:
        InputError: the file cannot be read, or the text is reserved for evaluation.
    """
    if text is None or str(text) == WIKIPEDIA:
        return Corpus("even Wikipedia articles", _wikipedia()[0::2])
    if str(text) == NEWS:
        raise InputError(f"text {NEWS}: reserved for evaluation, expected {WIKIPEDIA} or a file")
    return read_corpus(Path(text))


def evaluation_corpus(text: str | Path | None = None) -> Corpus:
    """Text for evaluation.

    Args:
        text: ``wikipedia`` or None for the odd articles of the bundled Wikipedia, disjoint from the calibration text;
            ``news`` for the bundled newswire, a different kind of text; ``sample`` for a page of prose; or a file (see
            ``read_corpus``).

    Raises:
        InputError: the file cannot be read.
    """
    if text is None or str(text) == WIKIPEDIA:
        return Corpus("odd Wikipedia articles", _wikipedia()[1::2])
    if str(text) == NEWS:
        documents = bundled_file(BUNDLED_PACKAGE, NEWS_PATTERN).read_text(encoding="utf-8").splitlines()
        return Corpus("Lee newswire documents", documents, joined=True)
    if str(text) == SAMPLE:
        return read_corpus(Path(__file__).with_name("sample.txt"))
    return read_corpus(Path(text))


def trace_corpus(text: str | Path | None = None) -> Corpus:
    """Text whose activations run through hardware: as ``evaluation_corpus``, but ``sample`` if Wikipedia is missing."""
    return evaluation_corpus(SAMPLE if text is None and find_spec(BUNDLED_PACKAGE) is None else text)


def _wikipedia() -> list[str]:
    return list(wiki_articles(bundled_file(BUNDLED_PACKAGE, WIKIPEDIA_PATTERN)))


def read_corpus(path: Path) -> Corpus:
    """A file as a corpus, by the suffix of its name; ``.gz`` may follow all but ``.parquet``.

    - ``.json`` and ``.jsonl``: an object with a string ``text`` on every line, as in C4.
    - ``.parquet``: a column ``text`` of strings, one document per row.
    - anything else: text, unchanged. WikiText's ``= Heading =`` lines and `` @-@ `` stay.

    The encoding is UTF-8, or UTF-16 or UTF-32 if the file begins with a byte-order mark; the mark is no part of the
    text. Line ends of every kind become line feeds, also inside of JSON and Parquet strings.

    The literature on WikiText-2 and C4 joins rows of the data sets by blank lines: such figures need the rows
    (``.parquet`` or ``.jsonl``), since WikiText's raw file has other blank lines.

    Raises:
        InputError: the file cannot be read, does not match its suffix, or has no text.
    """
    suffix = Path(path.stem).suffix if path.suffix == ".gz" else path.suffix
    try:
        if suffix == ".parquet":
            return _documents(path, _parquet_texts(path))
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            if suffix in {".json", ".jsonl"}:
                return _documents(path, _json_texts(path, file))
            return _plain(path, file)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(f"text {path}: not a complete gzip file: {one_line(error)}") from None
    except OSError as error:
        expected = "" if path.exists() else f", expected {', '.join(BUNDLED)} or a file"
        raise InputError(f"text {path}: cannot read the file: {error.strerror or one_line(error)}{expected}") from None


def _encoding(start: bytes) -> str:
    """The encoding of a file, by the byte-order mark that it may begin with."""
    for mark, encoding in _MARKS:
        if start.startswith(mark):
            return encoding
    return "utf-8"


def _plain(path: Path, file: BufferedReader | gzip.GzipFile) -> Corpus:
    content = file.read(MAX_CHARACTERS)
    whole = not file.read(1)
    encoding = _encoding(content)
    try:
        text = codecs.getincrementaldecoder(encoding)().decode(content, final=whole)
    except UnicodeDecodeError as error:
        raise InputError(f"text {path}: not {encoding.upper()} at byte {error.start}") from None
    if "\0" in text:
        raise InputError(f"text {path}: contains null characters, expected UTF-8, or a byte-order mark of UTF-16")
    text = _cleaned(text)
    if not text.strip():
        raise InputError(f"text {path}: no text in it")
    return Corpus(path.name if whole else f"the start of {path.name}", [text])


def _cleaned(text: str) -> str:
    """The text without a byte-order mark, and with one kind of line end."""
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


def _documents(path: Path, texts: Iterable[str]) -> Corpus:
    accepted: list[str] = []
    characters = 0
    name = f"documents of {path.name}"
    for text in map(_cleaned, texts):
        characters += len(text)
        if characters > MAX_CHARACTERS:
            name = f"documents at the start of {path.name}"
            break
        accepted.append(text)
    if not any(text.strip() for text in accepted):
        raise InputError(f"text {path}: no text in it")
    return Corpus(name, accepted, joined=True)


def _lines(path: Path, file: BufferedReader | gzip.GzipFile) -> Iterator[str | bytes]:
    encoding = _encoding(file.peek(4))
    if encoding == "utf-8":
        # decoded by the JSON parser, so that an error has a line number
        yield from file
        return
    try:
        yield from TextIOWrapper(file, encoding, newline="\n")
    except UnicodeDecodeError as error:
        raise InputError(f"text {path}: not {encoding.upper()}: {error.reason}") from None


def _json_texts(path: Path, file: BufferedReader | gzip.GzipFile) -> Iterator[str]:
    expected = 'expected an object with a string "text" on every line'
    for number, line in enumerate(_lines(path, file), 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except ValueError as error:
            raise InputError(f"text {path}: line {number}: not JSON ({one_line(error)}), {expected}") from None
        yield _checked(value.get("text") if isinstance(value, dict) else None, f"{path}: line {number}", expected)


def _parquet_texts(path: Path) -> Iterator[str]:
    try:
        from pyarrow import ArrowException  # noqa: PLC0415 - optional
        from pyarrow.parquet import ParquetFile  # noqa: PLC0415
    except ImportError:
        raise InputError(f"text {path}: reading .parquet needs pyarrow, install it: pip install pyarrow") from None
    expected = "expected a column 'text' of strings"
    try:
        with ParquetFile(path) as file:
            columns = file.schema_arrow.names
            if "text" not in columns:
                raise InputError(f"text {path}: has columns {', '.join(columns)}, {expected}")
            number = 0
            for batch in file.iter_batches(columns=["text"], batch_size=1024):
                for value in batch.column(0).to_pylist():
                    number += 1
                    yield _checked(value, f"{path}: row {number}", expected)
    except ArrowException as error:
        raise InputError(f"text {path}: not a parquet file: {one_line(error)}") from None


def _checked(value: Any, where: str, expected: str) -> str:
    if not isinstance(value, str):
        raise InputError(f"text {where}: text is {type(value).__name__}, {expected}")
    return value
