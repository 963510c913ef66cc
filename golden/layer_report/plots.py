"""Plots of a layer report, as SVG."""

from collections.abc import Iterable

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from spikequant.golden.layer_report.report import LayerReport
from spikequant.golden.quantizer.tally import HISTOGRAM_REACH
from spikequant.golden.support.plotting import COLOURS, INK, drawn

LEAST_SHARE = 1e-6
"""Share at the dark end of the histograms' colours."""


def _lines(axes: Axes, label: str, points: Iterable[tuple[str, int, float | None]]) -> None:
    """A line for each kind of layer or input over the decoder blocks; unknown values are left out."""
    lines: dict[str, tuple[list[int], list[float]]] = {}
    for kind, block, value in points:
        blocks, values = lines.setdefault(kind, ([], []))
        if value is not None:
            blocks.append(block)
            values.append(value)
    for (kind, line), colour in zip(lines.items(), COLOURS * len(lines), strict=False):
        axes.plot(*line, marker=".", color=colour, label=kind)
    axes.set_xlabel("decoder block")
    axes.set_ylabel(label)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid()


def histograms_svg(report: LayerReport) -> bytes:
    """Share of values at each level, with a panel for each kind of input and a row for each block."""
    groups = list(dict.fromkeys(site.group for site in report.sites))

    def draw(figure: Figure) -> None:
        panels = figure.subplots(1, len(groups), squeeze=False, sharey=True)[0]
        for axes, group in zip(panels, groups, strict=True):
            sites = [site for site in report.sites if site.group == group]
            counts = np.array([site.histogram for site in sites], dtype=np.float64)
            shares = counts / counts.sum(1, keepdims=True)
            edges = np.arange(-HISTOGRAM_REACH, HISTOGRAM_REACH + 2) - 0.5
            # a block between two of this kind may be of another one
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


def noise_svg(report: LayerReport) -> bytes:
    """Signal to quantization noise over the blocks, with a line for each kind of layer."""

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        _lines(axes, "output SQNR, dB", ((layer.kind, layer.block, layer.sqnr_db) for layer in report.layers))
        axes.legend(frameon=False, ncols=4, fontsize=8)

    return drawn(draw, width=5.4, height=3.4, kind="svg")


def ranges_svg(report: LayerReport) -> bytes:
    """Bits of the largest membrane over the blocks, with a line for each kind of layer."""

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        points = [(layer.kind, layer.block, layer.membrane_bits) for layer in report.layers]
        _lines(axes, "bits of the largest membrane", points)
        label = f"{report.membrane_bits} in the accelerator"
        axes.axhline(report.membrane_bits, color=INK, linewidth=0.9, linestyle="--", label=label)
        axes.set_ylim(0, 1.12 * max(report.membrane_bits, *(bits for _, _, bits in points)))
        axes.legend(frameon=False, ncols=4, fontsize=8, loc="lower center")

    return drawn(draw, width=5.4, height=3.4, kind="svg")


def ratios_svg(report: LayerReport) -> bytes:
    """Shares of salient and of silent values over the blocks, with a line for each kind of input."""

    def draw(figure: Figure) -> None:
        left, right = figure.subplots(1, 2)
        _lines(left, "salient values, %", ((site.group, site.block, 100 * site.salient_ratio) for site in report.sites))
        _lines(right, "silent values, %", ((site.group, site.block, 100 * site.silent_ratio) for site in report.sites))
        for axes in (left, right):
            axes.set_ylim(bottom=0)
            axes.legend(frameon=False, fontsize=8)

    return drawn(draw, width=11, height=3.2, kind="svg")
