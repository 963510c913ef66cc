"""Plots of the report, as SVG."""

from collections.abc import Callable
from statistics import fmean
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.transforms import blended_transform_factory
from matplotlib.typing import RcKeyType

from spikequant.gen.demo.spike_trace import SpikeTrace
from spikequant.golden.layer.integer import Integers
from spikequant.golden.layer.spec import Spec
from spikequant.golden.support.plotting import MUTED, STYLE, drawn

EXCITING = "#1f5fa8"
"""Spikes that add their weight."""

INHIBITING = "#d1495b"
"""Spikes that subtract it."""

SALIENT = "#e0a526"
SALIENT_PHASE = "#fdf3dc"
NORMAL = "#6b7f96"
SILENT = "#cfd7e0"
NEURONS = ("#0b7a75", "#7b4fa3", "#3d405b", "#8a5a2b", "#2f8f4e")

LABEL_SHARE = 0.07
"""Least share of all ticks for a phase with a label, so that labels do not overlap."""

FINE: dict[RcKeyType, Any] = {
    **STYLE,
    "axes.labelsize": 9,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "grid.linewidth": 0.7,
}
"""Small fonts for figures with many marks."""


def to_svg(draw: Callable[[Figure], None], *, width: float, height: float) -> bytes:
    """Draw an SVG file of this size in inches; equal drawings give equal bytes."""
    return drawn(draw, width=width, height=height, kind="svg", dots=100, style=FINE)


def spread_labels(heights: list[float], *, gap: float) -> list[float]:
    """Move heights apart to at least ``gap`` between neighbours, in order, with the least sum of squared moves.

    Minus a gap per rank, the result must not decrease: pools of adjacent violators take their mean.
    """
    order = sorted(range(len(heights)), key=lambda index: heights[index])
    pools: list[list[float]] = []
    for rank, index in enumerate(order):
        pools.append([heights[index] - rank * gap])
        while len(pools) > 1 and fmean(pools[-2]) > fmean(pools[-1]):
            pools[-2:] = [pools[-2] + pools[-1]]
    level = [fmean(pool) for pool in pools for _ in pool]
    placed = list(heights)
    for rank, index in enumerate(order):
        placed[index] = level[rank] + rank * gap
    return placed


def phase_starts(trace: SpikeTrace) -> Integers:
    """Tick at which each phase begins, and the end of the last one: int64 [P + 1]."""
    return np.concatenate([[0], np.cumsum(trace.phase_ticks)])


def spike_times(trace: SpikeTrace) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Time at which each spike is drawn, in ticks: spikes of a tick are spread over it, in the order of the trace."""
    tick = phase_starts(trace)[trace.spike_phase] + trace.spike_tick
    first = np.searchsorted(tick, tick)
    count = np.searchsorted(tick, tick, side="right") - first
    return np.asarray(tick + 0.08 + 0.84 * (np.arange(tick.size) - first + 0.5) / count, np.float64)


def threshold_units(trace: SpikeTrace, spec: Spec) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Membranes after each tick in units of the neuron's own threshold, float64 [ticks + 1, M], starting at 0.

    The unit is a step of the output code: ``V * 2**F / theta``.
    """
    scaled = np.ldexp(trace.membrane.astype(np.float64), spec.theta_fraction_bits)
    return np.vstack([np.zeros(trace.neuron.size), scaled / trace.theta])


def token_svg(trace: SpikeTrace, spec: Spec, *, inputs: int) -> bytes:
    """Spike raster of a token, and below it the membranes of some neurons over the same ticks.

    Args:
        trace: of the token.
        spec: of the accelerator.
        inputs: K of the layer.
    """

    def draw(figure: Figure) -> None:
        raster, membranes = figure.subplots(2, 1, height_ratios=(3, 2.4))
        for axes in (raster, membranes):
            _phases(axes, trace)
        _raster(raster, trace, inputs)
        _membranes(membranes, trace, spec)

    return to_svg(draw, width=11.2, height=5.4)


def _phases(axes: Axes, trace: SpikeTrace) -> None:
    starts = phase_starts(trace)
    for index, salient in enumerate(trace.phase_salient):
        if salient:
            axes.axvspan(starts[index], starts[index + 1], color=SALIENT_PHASE, linewidth=0, zorder=0)
        if index:
            axes.axvline(starts[index], color="#b8c2cc", linewidth=0.9, linestyle=(0, (3, 2)), zorder=1)
    axes.set_xlim(0, max(1, int(starts[-1])))


def _labelled_phases(trace: SpikeTrace) -> list[tuple[int, float]]:
    """Phases with room for a label, and the tick in the middle of each."""
    starts = phase_starts(trace)
    lengths = trace.phase_ticks.tolist()
    return [
        (index, float(starts[index]) + length / 2)
        for index, length in enumerate(lengths)
        if length >= LABEL_SHARE * float(starts[-1])
    ]


def _phase_name(trace: SpikeTrace, index: int) -> str:
    name = "salient" if trace.phase_salient[index] else "normal"
    if trace.phase_low.any():
        name += "\nlow halves" if trace.phase_low[index] else "\nwhole weights"
    return name


def _raster(axes: Axes, trace: SpikeTrace, inputs: int) -> None:
    times = spike_times(trace)
    for sign, colour in ((1, EXCITING), (-1, INHIBITING)):
        for salient, size, edge in ((False, 7.0, 0.0), (True, 24.0, 0.5)):
            chosen = (trace.spike_sign == sign) & (trace.phase_salient[trace.spike_phase] == salient)
            axes.scatter(
                times[chosen],
                trace.spike_row[chosen],
                s=size,
                color=colour,
                linewidth=edge,
                edgecolor="white",
                zorder=3,
            )
    starts = phase_starts(trace)
    above = blended_transform_factory(axes.transData, axes.transAxes)
    for index, middle in _labelled_phases(trace):
        axes.text(middle, 1.015, _phase_name(trace, index), transform=above, ha="center", va="bottom", fontsize=8.5)
    # a level of the ramp fires that many ticks before its phase ends
    step = 1 + int(starts[-1]) // 40
    levels = [(index, level) for index, length in enumerate(trace.phase_ticks) for level in range(1, length + 1, step)]
    axes.set_xticks(
        [float(starts[index + 1]) - level + 0.5 for index, level in levels], [str(level) for _, level in levels]
    )
    axes.tick_params(axis="x", length=2)
    axes.set_xlabel("level of the ramp that fires in this tick (an input above the ramp's top fires several times)")
    axes.set_ylim(-inputs * 0.02, inputs * 1.02)
    axes.set_ylabel("input (index)")
    marks = [
        Line2D([], [], marker="o", linestyle="", markersize=5, color=EXCITING, label="positive: adds its weight"),
        Line2D([], [], marker="o", linestyle="", markersize=5, color=INHIBITING, label="negative: subtracts it"),
    ]
    axes.legend(
        handles=marks, loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize=8.5, handletextpad=0.1
    )


def _membranes(axes: Axes, trace: SpikeTrace, spec: Spec) -> None:
    values = threshold_units(trace, spec)
    ticks = np.arange(len(values))
    axes.axhline(0, color="#b8c2cc", linewidth=0.9, zorder=1)
    for index in range(trace.neuron.size):
        colour = NEURONS[index % len(NEURONS)]
        axes.plot(ticks, values[:, index], color=colour, linewidth=1.7, solid_joinstyle="round", zorder=3)
        axes.plot(ticks[-1], values[-1, index], "o", color=colour, markersize=4.5, clip_on=False, zorder=4)
    low, high = axes.get_ylim()
    labels = spread_labels(values[-1].tolist(), gap=(high - low) * 0.095)
    right = blended_transform_factory(axes.transAxes, axes.transData)
    for index, height in enumerate(labels):
        axes.text(
            1.012,
            height,
            f"neuron {trace.neuron[index]}: V' = {trace.final[index]}, code {trace.code[index]}".replace(
                "-", "\N{MINUS SIGN}"
            ),
            transform=right,
            va="center",
            fontsize=8.5,
            color=NEURONS[index % len(NEURONS)],
        )
    top = blended_transform_factory(axes.transData, axes.transAxes)
    for index, middle in _labelled_phases(trace):
        if trace.phase_shift[index]:
            text = f"charge ≪ {trace.phase_shift[index]}"
            axes.text(middle, 1.0, text, transform=top, ha="center", va="bottom", fontsize=8)
    axes.grid(axis="y")
    axes.set_ylim(low, high)
    axes.set_xlabel("time (ticks of this token)")
    axes.set_ylabel("membrane / threshold\n(output steps)")


def levels_svg(trace: SpikeTrace) -> bytes:
    """Histogram of normal levels and salient codes, in percent of all inputs."""
    total = int(trace.normal_count.sum() + trace.salient_count.sum())

    def draw(figure: Figure) -> None:
        normal, salient = figure.subplots(1, 2, width_ratios=(2, 3))
        share = 100 * trace.normal_count / total
        colours = [SILENT if level == 0 else NORMAL for level in trace.normal_level]
        normal.bar(trace.normal_level, share, width=0.85, color=colours)
        for level, height in zip(trace.normal_level.tolist(), share.tolist(), strict=True):
            if level == 0:
                normal.text(0, height, f"silent\n{height:.1f} %", ha="center", va="bottom", fontsize=8, color=MUTED)
        normal.margins(y=0.22)
        normal.set_xlabel("normal level n")
        normal.set_ylabel("share of all inputs (%)")
        salient.bar(trace.salient_code, 100 * trace.salient_count / total, width=0.85, color=SALIENT)
        salient.set_xlabel("salient code (level n = code · 2ᵐ)")
        for axes in (normal, salient):
            axes.grid(axis="y")
            axes.xaxis.get_major_locator().set_params(integer=True)
        if not trace.salient_count.size:
            salient.text(0.5, 0.5, "no salient input", transform=salient.transAxes, ha="center", color=MUTED)

    return to_svg(draw, width=6.0, height=2.5)
