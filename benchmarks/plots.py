"""Plots of a benchmark."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from matplotlib.figure import Figure

from spikequant.benchmarks.results import ALL, Benchmark
from spikequant.benchmarks.routing import Routing
from spikequant.benchmarks.shapes import FAMILY
from spikequant.benchmarks.tables import NAMES
from spikequant.benchmarks.work import STAGES
from spikequant.golden.support.plotting import MUTED, drawn

THROUGHPUT = "throughput.png"
TOGGLES = "toggles.png"

COLOURS = {"spiking": "#d1495b", "mac": "#2e6f95"}


def plots(benchmark: Benchmark) -> dict[str, bytes]:
    """PNG images by file name; figures that were not built are left out."""
    parts = len({one.device for one in benchmark.routed()})
    wide = max(9.0, 0.55 * len(_columns(benchmark)))
    drawings: dict[str, tuple[Callable[..., None], float, float]] = {THROUGHPUT: (_throughput, 9, 4.2)}
    if parts:
        drawings |= {
            "fmax.png": (_fmax, wide, 4.2),
            "cost.png": (_cost, 9, 6.5),
            "pareto.png": (_pareto, 9, 3.6 * parts),
        }
    if benchmark.toggles:
        drawings[TOGGLES] = (_toggles, 9, 4.2)
    return {
        name: drawn(partial(draw, benchmark=benchmark), width=width, height=height)
        for name, (draw, width, height) in drawings.items()
    }


def _columns(benchmark: Benchmark) -> dict[str, list[Routing]]:
    columns: dict[str, list[Routing]] = {}
    for routing in benchmark.routed():
        part = routing.device.removeprefix(FAMILY)
        columns.setdefault(f"{routing.candidate.shape}\n{part}", []).append(routing)
    return columns


def _legend(axes: Any) -> None:
    for array, colour in COLOURS.items():
        axes.plot([], [], "s", color=colour, label=NAMES[array])
    axes.legend(frameon=False)


def _fmax(figure: Figure, benchmark: Benchmark) -> None:
    """Clock of each seed as a dot, the median as a line."""
    axes = figure.add_subplot(ylabel="Fmax, MHz", title="Clock over the seeds; the line is the median")
    columns = _columns(benchmark)
    for place, routings in enumerate(columns.values()):
        for routing in routings:
            array = routing.candidate.array
            x = place + (-0.15 if array == "spiking" else 0.15)
            colour = COLOURS[array]
            axes.plot([x] * len(routing.fmax_mhz), routing.fmax_mhz, ".", color=colour, alpha=0.6)
            axes.plot([x - 0.12, x + 0.12], [routing.median_mhz] * 2, color=colour)
    axes.set_xticks(range(len(columns)), list(columns), fontsize=7)
    axes.grid(axis="y")
    _legend(axes)


def _cost(figure: Figure, benchmark: Benchmark) -> None:
    """Resources per weight-op and cycle; equal on all devices, so the first one of each shape is shown."""
    shapes: dict[str, dict[str, Routing]] = {}
    for routing in benchmark.routed():
        shapes.setdefault(routing.candidate.shape, {}).setdefault(routing.candidate.array, routing)
    for number, (name, label) in enumerate((("luts", "LUT"), ("ffs", "FF"), ("ebrs", "EBR"), ("dsps", "DSP"))):
        axes = figure.add_subplot(2, 2, number + 1, title=f"{label} per weight-op and cycle")
        for place, routings in enumerate(shapes.values()):
            for array, routing in routings.items():
                x = place + (-0.2 if array == "spiking" else 0.2)
                share = getattr(routing.used, name) / routing.candidate.operations
                axes.bar(x, share, width=0.38, color=COLOURS[array])
        axes.set_xticks(range(len(shapes)), list(shapes), fontsize=7, rotation=30)
        axes.grid(axis="y")
        if not number:
            _legend(axes)


def _pareto(figure: Figure, benchmark: Benchmark) -> None:
    """Throughput over LUT and over EBR, for each device; Pareto-optimal shapes are filled."""
    devices = list(dict.fromkeys(one.device for one in benchmark.routed()))
    for row, device in enumerate(devices):
        best = {id(one) for one in benchmark.pareto(device)}
        found = [one for one in benchmark.routed() if one.device == device]
        for number, (name, label) in enumerate((("luts", "LUT"), ("ebrs", "EBR"))):
            axes = figure.add_subplot(
                len(devices), 2, 2 * row + number + 1, xlabel=label, ylabel="useful weight-ops, 1e9/s", title=device
            )
            for routing in found:
                array = routing.candidate.array
                x, y = getattr(routing.used, name), benchmark.effective_gops(routing)
                filled = id(routing) in best
                axes.plot(x, y, "o", color=COLOURS[array], markerfacecolor=COLOURS[array] if filled else "none")
                # ours to the right of the point, the twin's to the left
                offset, align = (5, "left") if array == "spiking" else (-5, "right")
                axes.annotate(
                    routing.candidate.shape,
                    (x, y),
                    fontsize=6,
                    color=MUTED,
                    textcoords="offset points",
                    xytext=(offset, -2),
                    ha=align,
                )
            axes.margins(x=0.15)
            axes.set_xlim(left=0)
            axes.set_ylim(bottom=0)
            axes.grid()
            if not row:
                _legend(axes)


def _throughput(figure: Figure, benchmark: Benchmark) -> None:
    """The twin's cycles over the accelerator's, stage by stage."""
    axes = figure.add_subplot(
        ylabel="twin's cycles / ours", title=f"Throughput at one clock on real traces of {benchmark.model}"
    )
    for place, layers in enumerate(benchmark.work.values()):
        for number, stage in enumerate(STAGES):
            ratio = layers[ALL].ratio(stage)
            label = f"up to {stage!r}" if not place else None
            axes.bar(place + 0.16 * (number - 2), ratio, width=0.15, color=f"C{number}", label=label)
    axes.margins(y=0.15)
    axes.axhline(1, color=MUTED, linewidth=0.8)
    axes.set_xticks(range(len(benchmark.work)), list(benchmark.work))
    axes.grid(axis="y")
    axes.legend(frameon=False, fontsize=7, ncols=5, loc="upper center")


def _toggles(figure: Figure, benchmark: Benchmark) -> None:
    """Switched bits for each useful weight-op, stacked by what drives them, and by component."""
    found = [toggles for pair in benchmark.toggles for toggles in pair]
    places = [f"{NAMES[toggles.array]}\n{toggles.shape}" for toggles in found]
    titles = {"kinds": "Switched bits for each useful weight-op", "components": "The same by component"}
    for number, (field, title) in enumerate(titles.items()):
        axes = figure.add_subplot(1, 2, number + 1, title=title)
        shares = [_large_groups(getattr(toggles, field)) for toggles in found]
        bottoms = [0.0] * len(found)
        for index, group in enumerate(dict.fromkeys(group for share in shares for group in share)):
            heights = [share.get(group, 0) / one.operations for share, one in zip(shares, found, strict=True)]
            axes.bar(places, heights, bottom=bottoms, width=0.6, color=f"C{index}", label=group)
            bottoms = [bottom + height for bottom, height in zip(bottoms, heights, strict=True)]
        axes.grid(axis="y")
        axes.margins(x=0.1)
        axes.legend(frameon=False, fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5))


def _large_groups(bits: Mapping[str, int]) -> dict[str, int]:
    """Groups with a visible share of all bits, and the others together."""
    visible = 0.02 * sum(bits.values())
    large = {group: count for group, count in bits.items() if count >= visible}
    return large | {"others": sum(bits.values()) - sum(large.values())}
