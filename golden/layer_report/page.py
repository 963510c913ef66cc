"""A layer report as one self-contained HTML page."""

from pathlib import Path

from spikequant.golden.layer_report.plots import histograms_svg, noise_svg, ranges_svg, ratios_svg
from spikequant.golden.layer_report.report import LayerReport
from spikequant.golden.quantizer.tally import HISTOGRAM_REACH
from spikequant.golden.support.files import write_text
from spikequant.golden.support.page import page_template
from spikequant.golden.support.plotting import image_url

PLOTS = {"histograms": histograms_svg, "noise": noise_svg, "ranges": ranges_svg, "ratios": ratios_svg}


def render_page(report: LayerReport) -> str:
    """The page as HTML, plots included."""
    return page_template("spikequant.golden.layer_report", "layers.html").render(
        report=report,
        sites={site.name: site for site in report.sites},
        reach=HISTOGRAM_REACH,
        images={name: image_url(plot(report)) for name, plot in PLOTS.items()},
    )


def write_layers(path: Path, report: LayerReport) -> None:
    """Write a report as HTML if the file name ends in .html, else as JSON."""
    if path.suffix == ".html":
        write_text(path, render_page(report))
    else:
        report.write(path)
