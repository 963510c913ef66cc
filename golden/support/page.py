"""HTML pages that stand alone, from templates."""

from collections.abc import Callable

from jinja2 import Environment, PackageLoader, StrictUndefined, Template


def _thousands(count: int) -> str:
    """A whole number with narrow spaces between thousands."""
    return f"{count:,}".replace(",", "\u202f")


def page_template(package: str, name: str, **filters: Callable[..., str]) -> Template:
    """A template whose values are escaped, and must all be given.

    Args:
        package: which has it in its folder ``templates``.
        name: of its file.
        filters: for it, beside ``thousands``.
    """
    environment = Environment(
        loader=PackageLoader(package), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(thousands=_thousands, **filters)
    return environment.get_template(name)
