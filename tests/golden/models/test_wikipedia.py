import bz2
from pathlib import Path

import pytest

from spikequant.golden.models.wikipedia import plain_text, wiki_articles
from spikequant.golden.support.errors import InputError

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
