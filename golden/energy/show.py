"""The energy report on the terminal and as a plot."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, TypeVar

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from spikequant.golden.energy.methods import FIRST_SPIKE
from spikequant.golden.energy.report import EnergyReport, MethodEnergy, ModelEnergy
from spikequant.golden.energy.work import Component

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Entry = TypeVar("Entry")

COLOURS = {
    Component.MULTIPLY: "#d1495b",
    Component.ADD: "#1f5fa8",
    Component.TICK: "#e0a526",
    Component.NEURON: "#2f8f4e",
    Component.SCALE: "#7b4fa3",
    Component.CODE: "#8a5a2b",
    Component.WEIGHT: "#6b7f96",
    Component.FETCH: "#cfd7e0",
    Component.MOVE: "#0b7a75",
    Component.STATE: "#3d405b",
}


def _table(title: str, first: str, *headings: str) -> Table:
    """A table whose first column is text and whose other columns are figures."""
    table = Table(first, title=title)
    for heading in headings:
        table.add_column(heading, justify="right")
    return table


def _users(report: EnergyReport, entries: Callable[[ModelEnergy], Iterable[Entry]]) -> dict[Entry, str]:
    """Entries of all energy models, each once, with the names of the models that have it."""
    users: dict[Entry, list[str]] = {}
    for model in report.models:
        for entry in entries(model):
            users.setdefault(entry, []).append(model.name)
    return {entry: "all" if len(names) == len(report.models) else "\n".join(names) for entry, names in users.items()}


def constants_table(report: EnergyReport) -> Table:
    """Every constant of every energy model with its source."""
    table = _table("constants", "constant", "value")
    table.show_lines = True
    table.add_column("models")
    table.add_column("source")
    for constant, models in _users(report, lambda model: model.constants).items():
        table.add_row(constant.name, f"{constant.value:.4g} {constant.unit}", models, constant.source)
    return table


def _rules_table(report: EnergyReport) -> Table:
    """How the constants become prices, and what each model leaves out."""
    table = Table("models", "rule", title="rules", show_lines=True)

    def rules(model: ModelEnergy) -> tuple[str, ...]:
        return (*model.rules, f"Costs nothing here: {', '.join(model.left_out)}.")

    for rule, models in _users(report, rules).items():
        table.add_row(models, rule)
    return table


def _activity_table(report: EnergyReport) -> Table:
    """Spikes an input over all layers, and ticks and phases a layer."""
    inputs = sum(layer.inputs for layer in report.activity)
    events = [layer.events for layer in report.activity]
    gif = [layer.gif for layer in report.activity]
    table = Table(title=f"spikes, {report.tokens} tokens, {report.layers} layers", show_header=False)
    for name, total, count in (
        ("silent inputs", sum(item.silent for item in events), inputs),
        ("salient inputs", sum(item.salient for item in events), inputs),
        ("spikes an input, time to first spike", sum(item.spikes for item in events), inputs),
        ("spikes an input, count coding", sum(item.normal_levels + item.salient_codes for item in events), inputs),
        ("spikes an input, SpikeLLM-like binary", sum(item.binary for item in gif), inputs),
        ("spikes an input, SpikeLLM-like signed", sum(item.signed for item in gif), inputs),
        ("spikes an input, SpikeLLM-like bits", sum(item.bits for item in gif), inputs),
        ("ticks of all phases, a layer", sum(item.ticks for item in events), report.layers),
        ("additions that double charges, a layer", sum(item.doublings for item in events), report.layers),
        ("phases, a layer", sum(item.phases for item in events), report.layers),
    ):
        table.add_row(name, f"{total / count:.4g}")
    return table


def _microjoules(value: float) -> str:
    """Three digits at least, without an exponent."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _rows(report: EnergyReport, model: ModelEnergy) -> list[tuple[str, MethodEnergy]]:
    """Title and energy of every method."""
    return [(method.title, model.energy[method.name]) for method in report.methods]


def _energy_table(report: EnergyReport, model: ModelEnergy) -> Table:
    """Energy, ratio and the two largest shares of each method."""
    table = _table(model.title, "method", "uJ a token", "x TTFS", "best layer", "layers lost")
    table.add_column("largest shares")
    for title, row in _rows(report, model):
        largest = sorted(row.components.items(), key=lambda item: -item[1])[:2]
        table.add_row(
            title,
            _microjoules(row.picojoules / 1e6),
            f"{row.ratio:.2f}",
            f"{row.best_ratio:.2f}",
            str(row.lost_layers),
            ", ".join(f"{component} {share / row.picojoules:.0%}" for component, share in largest),
            style="bold" if title == FIRST_SPIKE.title else "red" if row.ratio < 1 else "",
        )
    return table


def _counts_table(report: EnergyReport) -> Table:
    headings = ("int adds", "int muls", "float ops", "weight bits read", "weight bits fetched")
    table = _table("counts, millions a token", "method", *headings, "input, output bits moved", "spikes")
    for method in report.methods:
        values = report.counts[method.name].model_dump().values()
        table.add_row(method.title, *(f"{value / 1e6:.4g}" for value in values))
    return table


def show_report(report: EnergyReport, console: Console) -> None:
    """Print constants, activity, a table for each energy model, counts, and verdicts."""
    console.print(
        Group(
            constants_table(report),
            _rules_table(report),
            _activity_table(report),
            *(_energy_table(report, model) for model in report.models),
            _counts_table(report),
            Text('\n"Up to 4.6 times less energy" (abstract of arXiv 2510.19498), time to first spike:', "bold"),
            *map(Text, report.claim_lines),
            Text("\nWhere time to first spike needs more energy than another method:", "bold"),
            *map(Text, report.loss_lines),
            Text("\nThese methods also differ in accuracy, which eval measures.\n"),
        )
    )


def plot_report(report: EnergyReport) -> bytes:
    """A PNG with a panel for each energy model: a bar a method, stacked by component, in microjoules a token."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - only a plot needs it
    from matplotlib.patches import Patch  # noqa: PLC0415

    from spikequant.golden.support.plotting import drawn  # noqa: PLC0415

    rows = -(-len(report.models) // 2)

    def draw(figure: Figure) -> None:
        panels = figure.subplots(rows, 2, squeeze=False).flatten().tolist()
        for panel in panels[len(report.models) :]:
            panel.set_axis_off()
        for panel, model in zip(panels, report.models, strict=False):
            _draw_bars(panel, _rows(report, model))
            panel.set_title(model.title, fontsize=10)
            panel.set_xlabel("µJ a token, all linear layers (x time to first spike); long bars are cut", fontsize=8)
            panel.tick_params(labelsize=8)
        used = {component for row in report.models[-1].energy.values() for component in row.components}
        handles = [Patch(color=COLOURS[item], label=str(item)) for item in Component if item in used]
        figure.legend(handles=handles, loc="outside lower center", ncols=4, fontsize=8)

    return drawn(draw, width=12, height=2 + 2.8 * rows)


def _draw_bars(axes: "Axes", rows: list[tuple[str, MethodEnergy]]) -> None:
    titles = [title for title, _ in rows]
    left = [0.0] * len(rows)
    for component in Component:
        shares = [row.components.get(component, 0.0) / 1e6 for _, row in rows]
        axes.barh(titles, shares, left=left, color=COLOURS[component], height=0.7)
        left = [start + share for start, share in zip(left, shares, strict=True)]
    # the two longest bars would squeeze all others
    limit = 1.3 * sorted(left)[-3]
    axes.set_xlim(0, limit)
    for place, (total, (_, row)) in enumerate(zip(left, rows, strict=True)):
        inside = total > 0.9 * limit
        axes.text(
            0.98 * limit if inside else total + 0.01 * limit,
            place,
            f"{_microjoules(total)} ({row.ratio:.2f} x)",
            va="center",
            ha="right" if inside else "left",
            fontsize=7,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1, "alpha": 0.8},
        )
    axes.invert_yaxis()
