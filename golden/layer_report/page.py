"""A layer report as one HTML page that stands alone."""

from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from spikequant.golden.layer_report.plots import histograms_svg, noise_svg, ranges_svg, ratios_svg
from spikequant.golden.layer_report.report import LayerReport
from spikequant.golden.quantizer.tally import HISTOGRAM_REACH
from spikequant.golden.support.files import write_json, write_text
from spikequant.golden.support.plotting import image_url

TEMPLATE = "layers.html"


def render_page(report: LayerReport) -> str:
    """The page as HTML, with its plots inside."""
    environment = Environment(
        loader=PackageLoader("spikequant.golden.layer_report"),
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
