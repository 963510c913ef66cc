"""Plots of comparisons, as PNG."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from spikequant.golden.comparison.rows import Row
from spikequant.golden.evaluation.methods import FLOAT
from spikequant.golden.support.plotting import COLOURS, INK, drawn

LOG_SPAN = 10.0
"""Ratio of the largest to the smallest value from which an axis is logarithmic."""


def _logarithmic(axes: Axes, low: float, high: float) -> None:
    """Make the y axis logarithmic for values in low..high, with ticks as plain decimal numbers."""
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1,) if high > low * LOG_SPAN**2 else (1, 1.5, 2, 3, 5, 7)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def comparison_plot(rows: Sequence[Row]) -> bytes:
    """Bar chart of the perplexity over the float model's, with a group for each method and a colour for each text.

    Args:
        rows: compared with a reference.
    """
    bars = [row for row in rows if row.method != FLOAT and row.ratio is not None]
    labels = list(dict.fromkeys(row.label for row in bars))
    texts = list(dict.fromkeys(row.text for row in bars))
    ratios = {(row.label, row.text): row.ratio or 0.0 for row in bars}
    tokens = {row.text: row.tokens for row in bars}
    thickness = 0.8 / len(texts)

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        logarithmic = max(ratios.values()) > LOG_SPAN * min(ratios.values())
        if logarithmic:
            _logarithmic(axes, 1, max(ratios.values()))
        for index, text in enumerate(texts):
            heights = [ratios[label, text] for label in labels]
            places = [place + (index - (len(texts) - 1) / 2) * thickness for place in range(len(labels))]
            drawn_bars = axes.bar(
                places,
                heights,
                0.92 * thickness,
                label=f"{Path(text).name}, {tokens[text]} tokens",
                color=COLOURS[index % len(COLOURS)],
            )
            axes.bar_label(
                drawn_bars, fmt=lambda value: f"{value:,.3g}" if value < 1e3 else f"{value:,.0f}", fontsize=7
            )
        axes.axhline(1, color=INK, linewidth=0.8, linestyle="--")
        axes.set_ylim(bottom=0.9 if logarithmic else 0)
        axes.set_xticks(range(len(labels)), labels, rotation=20 if len(labels) > 4 else 0, rotation_mode="default")
        axes.set_ylabel(f"perplexity, x {FLOAT}{' (log scale)' if logarithmic else ''}")
        axes.grid(axis="y")
        axes.legend(frameon=False, loc="lower left", bbox_to_anchor=(0, 1), ncols=len(texts))

    return drawn(draw, width=2.5 + 1.1 * len(labels), height=4)


def sweep_plot(rows: Sequence[Row]) -> bytes:
    """Perplexity over width on a logarithmic axis, with a line for each method and a panel for each text."""
    texts = list(dict.fromkeys(row.text for row in rows))
    methods = list(dict.fromkeys(row.method for row in rows if row.bits is not None))
    widths = sorted({row.bits for row in rows if row.bits is not None})

    def draw(figure: Figure) -> None:
        panels = figure.subplots(1, len(texts), squeeze=False, sharey=True)[0]
        for axes, text in zip(panels, texts, strict=True):
            part = [row for row in rows if row.text == text]
            for method, colour in zip(methods, COLOURS, strict=False):
                line = {row.bits: row.perplexity for row in part if row.method == method}
                axes.plot(list(line), list(line.values()), marker="o", markersize=4, color=colour, label=method)
            floats = [row.perplexity for row in part if row.bits is None]
            if floats:
                axes.axhline(floats[0], color=INK, linewidth=0.9, linestyle="--", label=f"{FLOAT} {floats[0]:.4g}")
            perplexities = [row.perplexity for row in rows]
            _logarithmic(axes, min(perplexities), max(perplexities))
            axes.set_xticks(widths)
            axes.set_xlabel("bits of weights and activations")
            axes.set_title(f"{Path(text).name}, {part[0].tokens} tokens", fontsize=9)
            axes.grid()
        panels[0].set_ylabel("perplexity (log scale)")
        panels[0].legend(frameon=False)

    return drawn(draw, width=1 + 4.5 * len(texts), height=4)
