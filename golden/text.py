"""Text to calibrate and evaluate on, cut into windows of tokens."""

import bz2
import html
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from golden.errors import InputError
from golden.model import bundled_file, one_line

BUNDLED_PACKAGE = "gensim"
BUNDLED_PATTERN = "enwiki-latest-pages-articles1*.bz2"
"""English Wikipedia articles, which the package carries as test data."""

MIN_ARTICLE_CHARACTERS = 2000
"""Shorter articles are stubs and lists of namesakes."""

LINKED_FILES = ("file:", "image:", "category:")


@dataclass(frozen=True)
class Corpus:
    """Plain texts under one name.

    Attributes:
        name: where they are from, for a protocol line.
        texts: at least one.
    """

    name: str
    texts: list[str]


def read_corpus(path: Path) -> Corpus:
    """A UTF-8 text file as a corpus of one text.

    Raises:
        InputError: it cannot be read.
    """
    try:
        return Corpus(path.name, [path.read_text(encoding="utf-8")])
    except OSError as error:
        raise InputError(f"text {path}: cannot read the file: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise InputError(f"text {path}: not UTF-8 at byte {error.start}") from None


def calibration_corpus(path: Path | None = None) -> Corpus:
    """The even articles of the bundled Wikipedia, or a file."""
    return Corpus("even Wikipedia articles", _bundled_articles()[0::2]) if path is None else read_corpus(path)


def evaluation_corpus(path: Path | None = None) -> Corpus:
    """The odd articles of the bundled Wikipedia, none of which is used in calibration, or a file."""
    return Corpus("odd Wikipedia articles", _bundled_articles()[1::2]) if path is None else read_corpus(path)


def _bundled_articles() -> list[str]:
    return list(wiki_articles(bundled_file(BUNDLED_PACKAGE, BUNDLED_PATTERN)))


def wiki_articles(dump: Path) -> Iterator[str]:
    """Plain text of the articles of a MediaWiki XML dump, without redirects and stubs.

    Args:
        dump: ``.xml.bz2`` file.

    Raises:
        InputError: it cannot be read.
    """
    try:
        with bz2.open(dump) as file:
            for _, element in ElementTree.iterparse(file):
                namespace, _, tag = element.tag.rpartition("}")
                if tag != "page":
                    continue
                prefix = f"{namespace}}}" if namespace else ""
                markup = element.findtext(f"{prefix}revision/{prefix}text") or ""
                if element.find(f"{prefix}redirect") is None and element.findtext(f"{prefix}ns") == "0":
                    text = plain_text(markup)
                    if len(text) >= MIN_ARTICLE_CHARACTERS:
                        yield text
                element.clear()
    except (OSError, EOFError, ElementTree.ParseError) as error:
        raise InputError(f"text {dump}: not a compressed MediaWiki dump: {one_line(error)}") from None


def _without_nested(markup: str, opening: str, closing: str) -> str:
    """The markup without ``opening ... closing``, which may nest; an unclosed one reaches to the end."""
    kept: list[str] = []
    depth = 0
    for part in re.split(f"({re.escape(opening)}|{re.escape(closing)})", markup):
        if part == opening:
            depth += 1
        elif part == closing:
            depth = max(0, depth - 1)
        elif depth == 0:
            kept.append(part)
    return "".join(kept)


def _link_text(match: re.Match[str]) -> str:
    """What a reader sees of ``[[target|label]]``; nothing of a picture or a category."""
    target, _, label = match[1].partition("|")
    if target.strip().lower().startswith(LINKED_FILES):
        return ""
    return label or target.lstrip(":")


def plain_text(markup: str) -> str:
    """Prose of a MediaWiki page: paragraphs, without templates, tables, notes, pictures and headings."""
    text = re.sub(r"<!--.*?-->", "", markup, flags=re.DOTALL)
    text = re.sub(r"<(ref|math|gallery|timeline|source|pre)\b[^>]*?/>", "", text)
    text = re.sub(r"<(ref|math|gallery|timeline|source|pre)\b.*?</\1\s*>", "", text, flags=re.DOTALL)
    text = _without_nested(text, "{{", "}}")
    text = _without_nested(text, "{|", "|}")
    # links from the inside out: the captions of pictures hold links themselves
    links = re.compile(r"\[\[([^\[\]]*)\]\]")
    found = 1
    while found:
        text, found = links.subn(_link_text, text)
    text = re.sub(r"\[(?:https?:)?//[^\s\]]+ ?([^\]]*)\]", r"\1", text)
    text = re.sub(r"'{2,}", "", text)
    text = re.sub(r"<[^<>]*>", "", text)
    text = html.unescape(text).replace("\xa0", " ")
    # what a template leaves behind in prose: "( ; )", "10 ,"
    text = re.sub(r"\(\s*[;,:]\s*", "(", text)
    text = re.sub(r"\s*\(\s*\)", "", text)
    text = re.sub(r" +([,.;:)])", r"\1", text)
    lines = (re.sub(r"[ \t]+", " ", line).strip() for line in text.splitlines())
    prose = [line for line in lines if len(line) > 1 and line[0] not in "=*#:;|!{}"]
    return "\n".join(prose)


def token_windows(tokenizer: PreTrainedTokenizerBase, texts: list[str], *, tokens: int, context: int) -> list[Tensor]:
    """Windows that do not overlap and together score ``tokens`` tokens, or all there are.

    A window of n tokens scores n - 1: the first one is only context. Windows go round the texts, the first
    of each, then the second, so that few tokens already sample many texts; what is left of a text after its
    last whole window comes at the end. The last window is cut to the exact number.

    Args:
        tokenizer: the model's.
        texts: plain texts.
        tokens: how many to score, 1 or more.
        context: tokens in a window, 2 or more.

    Returns:
        int64 tensors [n] with 2 <= n <= context.

    Raises:
        InputError: a count out of range, or not one token to score.
    """
    if tokens < 1:
        raise InputError(f"tokens: {tokens}, expected 1 or more")
    if context < 2:
        raise InputError(f"context: {context}, expected 2 or more")
    # one text may have to serve for all; tokens average far below 16 characters
    cut = 16 * (tokens + context)
    encoded = [tokenizer(text[:cut], add_special_tokens=False, verbose=False)["input_ids"] for text in texts]
    whole: list[list[int]] = []
    rest: list[list[int]] = []
    for first in range(0, max(len(ids) for ids in encoded), context):
        for ids in encoded:
            window = ids[first : first + context]
            if len(window) > 1:
                (whole if len(window) == context else rest).append(window)
    windows: list[Tensor] = []
    left = tokens
    for window in whole + rest:
        if not left:
            break
        scored = min(left, len(window) - 1)
        windows.append(torch.tensor(window[: scored + 1]))
        left -= scored
    if not windows:
        raise InputError("text: fewer than 2 tokens, expected at least one to predict")
    return windows
