"""A model's co-simulation as one HTML page that stands alone."""

from pathlib import Path

from spikequant.cosim.whole_model import ModelReport
from spikequant.golden.support.files import write_text
from spikequant.golden.support.page import page_template


def write_page(path: Path, report: ModelReport, *, model: str, allow_saturation: bool) -> None:
    """Write the page, whole or not at all.

    Args:
        path: of the page.
        report: all layers.
        model: its name.
        allow_saturation: saturated outputs are as they should be.
    """
    page = page_template("cosim", "model.html").render(
        report=report,
        spec=report.spec,
        model=model,
        ok=report.ok(allow_saturation=allow_saturation),
        longest=max((layer.cycles for layer in report.layers), default=1),
    )
    write_text(path, page)
