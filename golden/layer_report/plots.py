"""Plots of a layer report, as SVG."""

from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from spikequant.golden.layer_report.report import LayerFigures, LayerReport, SiteFigures
from spikequant.golden.quantizer.tally import HISTOGRAM_REACH
from spikequant.golden.support.plotting import COLOURS, INK, drawn

LEAST_SHARE = 1e-6
"""Darkest end of the histograms' colours."""


def _axes(axes: Axes, label: str) -> None:
    axes.set_xlabel("decoder block")
    axes.set_ylabel(label)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid()


def histograms_svg(report: LayerReport) -> bytes:
    """Share of values at every level: a panel a kind of input, a row a block."""
    groups = list(dict.fromkeys(site.group for site in report.sites))

    def draw(figure: Figure) -> None:
        panels = figure.subplots(1, len(groups), squeeze=False, sharey=True)[0]
        for axes, group in zip(panels, groups, strict=True):
            sites = [site for site in report.sites if site.group == group]
            counts = np.array([site.histogram for site in sites], dtype=np.float64)
            shares = counts / counts.sum(1, keepdims=True)
            edges = np.arange(-HISTOGRAM_REACH, HISTOGRAM_REACH + 2) - 0.5
            # blocks of other kinds may lie between
            rows = np.array([site.block for site in sites])
            image = np.full((rows.max() + 1, shares.shape[1]), np.nan)
            image[rows] = np.where(shares > 0, shares, np.nan)
            mesh = axes.pcolormesh(
                edges,
                np.arange(rows.max() + 2) - 0.5,
                image,
                cmap="viridis",
                norm=LogNorm(LEAST_SHARE, 1),
                rasterized=True,
            )
            axes.set_title(group, fontsize=9)
            axes.set_xlabel("level")
        panels[0].set_ylabel("decoder block")
        panels[0].yaxis.set_major_locator(MaxNLocator(integer=True))
        panels[0].invert_yaxis()
        figure.colorbar(mesh, ax=panels.tolist(), label="share of the site's values", pad=0.01)

    return drawn(draw, width=11, height=3.6, kind="svg")


def _lines(axes: Axes, layers: Sequence[LayerFigures], value: Callable[[LayerFigures], float | None]) -> None:
    """A line a kind of layer over the blocks."""
    kinds = list(dict.fromkeys(layer.kind for layer in layers))
    for kind, colour in zip(kinds, COLOURS * len(kinds), strict=False):
        points = [(layer.block, value(layer)) for layer in layers if layer.kind == kind]
        known = [(block, height) for block, height in points if height is not None]
        axes.plot(*zip(*known, strict=True), marker=".", color=colour, label=kind) if known else None


def noise_svg(report: LayerReport) -> bytes:
    """Signal to quantization noise over the blocks, a line a kind of layer."""

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        _lines(axes, report.layers, lambda layer: layer.sqnr_db)
        _axes(axes, "output SQNR, dB")
        axes.legend(frameon=False, ncols=4, fontsize=8)

    return drawn(draw, width=5.4, height=3.4, kind="svg")


def ranges_svg(report: LayerReport) -> bytes:
    """Bits that hold every membrane over the blocks, below those of the accelerator."""

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        _lines(axes, report.layers, lambda layer: layer.membrane_bits)
        label = f"{report.membrane_bits} in the accelerator"
        axes.axhline(report.membrane_bits, color=INK, linewidth=0.9, linestyle="--", label=label)
        _axes(axes, "bits of the largest membrane")
        axes.set_ylim(0, 1.12 * max(report.membrane_bits, *(layer.membrane_bits for layer in report.layers)))
        axes.legend(frameon=False, ncols=4, fontsize=8, loc="lower center")

    return drawn(draw, width=5.4, height=3.4, kind="svg")


def ratios_svg(report: LayerReport) -> bytes:
    """Shares of salient and of silent values over the blocks, a line a kind of input."""
    parts: dict[str, Callable[[SiteFigures], float]] = {
        "salient values, %": lambda site: 100 * site.salient_ratio,
        "silent values, %": lambda site: 100 * site.silent_ratio,
    }
    groups = list(dict.fromkeys(site.group for site in report.sites))

    def draw(figure: Figure) -> None:
        for axes, (label, value) in zip(figure.subplots(1, 2), parts.items(), strict=True):
            for group, colour in zip(groups, COLOURS * len(groups), strict=False):
                sites = [site for site in report.sites if site.group == group]
                heights = [value(site) for site in sites]
                axes.plot([site.block for site in sites], heights, marker=".", color=colour, label=group)
            _axes(axes, label)
            axes.set_ylim(bottom=0)
            axes.legend(frameon=False, fontsize=8)

    return drawn(draw, width=11, height=3.2, kind="svg")
