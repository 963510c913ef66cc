"""Plain text of the articles in a MediaWiki dump."""

import bz2
import html
import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from spikequant.golden.support.errors import InputError, one_line

MIN_ARTICLE_CHARACTERS = 2000
"""Minimum length of an article; shorter ones are stubs and disambiguation pages."""

LINKED_FILES = ("file:", "image:", "category:")


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
    outside: list[str] = []
    depth = 0
    for part in re.split(f"({re.escape(opening)}|{re.escape(closing)})", markup):
        if part == opening:
            depth += 1
        elif part == closing:
            depth = max(0, depth - 1)
        elif depth == 0:
            outside.append(part)
    return "".join(outside)


def _link_text(match: re.Match[str]) -> str:
    """Visible text of a link ``[[target|label]]``; empty for a picture or a category."""
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
    # links from the inside out, since the captions of pictures contain links
    links = re.compile(r"\[\[([^\[\]]*)\]\]")
    found = 1
    while found:
        text, found = links.subn(_link_text, text)
    text = re.sub(r"\[(?:https?:)?//[^\s\]]+ ?([^\]]*)\]", r"\1", text)
    text = re.sub(r"'{2,}", "", text)
    text = re.sub(r"<[^<>]*>", "", text)
    text = html.unescape(text).replace("\xa0", " ")
    # remains of templates in prose: "( ; )", "10 ,"
    text = re.sub(r"\(\s*[;,:]\s*", "(", text)
    text = re.sub(r"\s*\(\s*\)", "", text)
    text = re.sub(r" +([,.;:)])", r"\1", text)
    lines = (re.sub(r"[ \t]+", " ", line).strip() for line in text.splitlines())
    prose = [line for line in lines if len(line) > 1 and line[0] not in "=*#:;|!{}"]
    return "\n".join(prose)
