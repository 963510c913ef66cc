"""A layer report as one HTML page that stands alone."""

from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from golden.drawing import image_url
from golden.files import write_json, write_text
from golden.layers.plots import histograms_svg, noise_svg, ranges_svg, ratios_svg
from golden.layers.report import LayerReport
from golden.tally import HISTOGRAM_REACH

TEMPLATE = "layers.html"


def render_page(report: LayerReport) -> str:
    """The page as HTML, with its plots inside."""
    environment = Environment(
        loader=PackageLoader("golden.layers"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(TEMPLATE).render(
        report=report,
        sites={site.name: site for site in report.sites},
        reach=HISTOGRAM_REACH,
        images={
            "histograms": image_url(histograms_svg(report)),
            "noise": image_url(noise_svg(report)),
            "ranges": image_url(ranges_svg(report)),
            "ratios": image_url(ratios_svg(report)),
        },
    )


def write_layers(path: Path, report: LayerReport) -> None:
    """Write a report as a page or as JSON, by the end of the name; whole or not at all."""
    if path.suffix == ".html":
        write_text(path, render_page(report))
    else:
        write_json(path, report.figures())
