"""A model's co-simulation as one HTML page that stands alone."""

from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from cosim.whole import ModelReport
from golden.files import write_text


def _thousands(count: int) -> str:
    """A whole number with narrow spaces between thousands."""
    return f"{count:,}".replace(",", "\u202f")


def write_page(path: Path, report: ModelReport, *, model: str, allow_saturation: bool) -> None:
    """Write the page, whole or not at all.

    Args:
        path: of the page.
        report: all layers.
        model: its name.
        allow_saturation: saturated outputs are as they should be.
    """
    environment = Environment(
        loader=PackageLoader("cosim"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(thousands=_thousands)
    page = environment.get_template("model.html").render(
        report=report,
        spec=report.spec,
        model=model,
        ok=report.ok(allow_saturation=allow_saturation),
        longest=max((layer.cycles for layer in report.layers), default=1),
    )
    write_text(path, page)
