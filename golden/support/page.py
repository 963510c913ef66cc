"""Self-contained HTML pages, and plain texts, from templates."""

from collections.abc import Callable

from jinja2 import Environment, PackageLoader, StrictUndefined, Template


def _thousands(count: int) -> str:
    """A whole number with narrow spaces between thousands."""
    return f"{count:,}".replace(",", "\u202f")


def page_template(package: str, name: str, **filters: Callable[..., str]) -> Template:
    """A template that escapes its values and requires all of them.

    Args:
        package: the package with the template in its folder ``templates``.
        name: file name of the template.
        filters: filters for the template, in addition to ``thousands``.
    """
    environment = _environment(package, autoescape=True)
    environment.filters.update(thousands=_thousands, **filters)
    return environment.get_template(name)


def text_template(package: str, name: str) -> Template:
    """A template of a text that is not HTML, with arguments as ``page_template``."""
    return _environment(package, autoescape=False).get_template(name)


def _environment(package: str, *, autoescape: bool) -> Environment:
    return Environment(
        loader=PackageLoader(package),
        autoescape=autoescape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
