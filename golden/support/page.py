"""Self-contained HTML pages from templates."""

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
    environment = Environment(
        loader=PackageLoader(package), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(thousands=_thousands, **filters)
    return environment.get_template(name)
