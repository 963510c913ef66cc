"""Table and plot of the trade between silence and accuracy."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich.table import Table

from spikequant.gen.silence.points import SilencePoint
from spikequant.golden.support.plotting import COLOURS, drawn


def silence_table(points: Sequence[SilencePoint]) -> Table:
    """Accuracy, cycles and traffic, a line for each point."""
    table = Table(title="silence, accuracy and cycles")
    for column in ("silent", "perplexity", "divergence", "top-1", "cycles", "twin's", "traffic"):
        table.add_column(column, justify="right")
    for point in points:
        table.add_row(
            f"{point.silent_ratio:.1%}",
            f"{point.ratio:.3f} x fp",
            f"{point.divergence:.3f}",
            f"{point.agreement:.1%}",
            f"{point.cycles:,}",
            f"{point.twin_cycles / point.cycles:.3f} x",
            f"{point.traffic / point.whole_traffic:.1%}",
        )
    return table


def energy_table(points: Sequence[SilencePoint]) -> Table:
    """Energy of a plain W4A4 array over the spiking one's: a line for each energy model, a column for each point."""
    table = Table(title="energy of a W4A4 array, times the spiking array's")
    table.add_column("silent")
    for point in points:
        table.add_column(f"{point.silent_ratio:.1%}", justify="right")
    for model in points[0].energy:
        table.add_row(model, *(f"{point.energy[model]:.2f}" for point in points))
    return table


def silence_plot(points: Sequence[SilencePoint]) -> bytes:
    """Accuracy, cycles, traffic and energy over the share of silent inputs, as PNG."""
    silent = [100 * point.silent_ratio for point in points]

    def line(axes: Axes, values: Sequence[float], label: str, colour: str) -> None:
        axes.plot(silent, values, "o-", color=colour, label=label)

    def draw(figure: Figure) -> None:
        accuracy, divergence, work, energy = figure.subplots(2, 2, sharex=True).flat
        line(accuracy, [point.ratio for point in points], "perplexity over the float model's", COLOURS[0])
        line(divergence, [point.divergence for point in points], "divergence, nats a token", COLOURS[1])
        line(work, [point.twin_cycles / point.cycles for point in points], "speed over the twin's", COLOURS[2])
        saved = [point.whole_traffic / point.traffic for point in points]
        line(work, saved, "weights over weights fetched", COLOURS[3])
        for index, model in enumerate(points[0].energy):
            colour = COLOURS[index % len(COLOURS)]
            line(energy, [point.energy[model] for point in points], f"W4A4 array, {model}", colour)
        energy.axhline(1, color="#66737f", linewidth=0.8)
        work.axhline(1, color="#66737f", linewidth=0.8)
        for axes, title in (
            (accuracy, "perplexity, x float"),
            (divergence, "divergence"),
            (work, "cycles and traffic, times fewer"),
            (energy, "energy, times less"),
        ):
            axes.set_title(title, loc="left", fontsize=9)
            axes.grid(axis="y")
        for axes in (work, energy):
            axes.set_xlabel("silent inputs, %")
            axes.legend(frameon=False, fontsize=7)

    return drawn(draw, width=8, height=5.6)
