"""The energy report on the terminal and as a plot."""

from collections.abc import Callable, Iterable
from io import BytesIO
from typing import TypeVar

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from spikequant.golden.energy.methods import FIRST_SPIKE
from spikequant.golden.energy.models import EnergyModel
from spikequant.golden.energy.report import EnergyReport, EnergyTable, MethodCounts, claim_lines, loss_lines
from spikequant.golden.energy.work import Component

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


def _columns(table: Table, *headings: str) -> None:
    for heading in headings:
        table.add_column(heading, justify="right")


def _users(report: EnergyReport, entries: Callable[[EnergyModel], Iterable[Entry]]) -> dict[Entry, str]:
    """What several energy models have in common, once, with the models that have it."""
    users: dict[Entry, list[str]] = {}
    for part in report.tables:
        for entry in entries(part.model):
            users.setdefault(entry, []).append(part.model.name)
    return {entry: "all" if len(names) == len(report.tables) else "\n".join(names) for entry, names in users.items()}


def constants_table(report: EnergyReport) -> Table:
    """Every constant of every energy model with its source."""
    table = Table(title="constants", show_lines=True)
    table.add_column("constant")
    _columns(table, "value")
    table.add_column("models")
    table.add_column("source")
    for constant, models in _users(report, lambda model: model.constants).items():
        table.add_row(constant.name, f"{constant.value:.4g} {constant.unit}", models, constant.source)
    return table


def _rules_table(report: EnergyReport) -> Table:
    """How the constants become prices, and what each model leaves out."""
    table = Table(title="rules", show_lines=True)
    table.add_column("models")
    table.add_column("rule")

    def rules(model: EnergyModel) -> tuple[str, ...]:
        return (*model.rules, f"Costs nothing here: {', '.join(model.left_out)}.")

    for rule, models in _users(report, rules).items():
        table.add_row(models, rule)
    return table


def _activity_table(report: EnergyReport) -> Table:
    """What fires an input, over all layers weighted by their inputs."""
    inputs = sum(layer.inputs for layer in report.layers)
    events = [layer.events for layer in report.layers]
    gif = [layer.gif for layer in report.layers]
    table = Table(title=f"spikes, {report.layers[0].tokens} tokens, {len(report.layers)} layers", show_header=False)
    for name, value in (
        ("silent inputs", sum(item.silent for item in events) / inputs),
        ("salient inputs", sum(item.salient for item in events) / inputs),
        ("spikes an input, time to first spike", sum(item.spikes for item in events) / inputs),
        (
            "spikes an input, count coding",
            sum(item.normal_levels + item.salient_codes for item in events) / inputs,
        ),
        ("spikes an input, SpikeLLM-like binary", sum(item.binary for item in gif) / inputs),
        ("spikes an input, SpikeLLM-like signed", sum(item.signed for item in gif) / inputs),
        ("spikes an input, SpikeLLM-like bits", sum(item.bits for item in gif) / inputs),
        ("ticks of all phases, a layer", sum(item.ticks for item in events) / len(events)),
        ("additions that double charges, a layer", sum(item.doublings for item in events) / len(events)),
        ("phases, a layer", sum(item.phases for item in events) / len(events)),
    ):
        table.add_row(name, f"{value:.4g}")
    return table


def _microjoules(value: float) -> str:
    """Three figures at least, without an exponent."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _energy_table(part: EnergyTable) -> Table:
    """Energy, ratio and the two largest shares of each method."""
    table = Table(title=part.model.title)
    table.add_column("method")
    _columns(table, "uJ a token", "x TTFS", "best layer", "layers lost")
    table.add_column("largest shares")
    for row in part.rows:
        largest = sorted(row.picojoules.items(), key=lambda item: -item[1])[:2]
        shares = ", ".join(f"{component} {share / row.total:.0%}" for component, share in largest)
        cells = (
            _microjoules(row.total / 1e6),
            f"{row.ratio:.2f}",
            f"{row.best_ratio:.2f}",
            str(row.lost_layers),
            shares,
        )
        style = "bold" if row.method is FIRST_SPIKE else ("red" if row.ratio < 1 else "")
        table.add_row(row.method.title, *cells, style=style)
    return table


def _counts_table(rows: tuple[MethodCounts, ...]) -> Table:
    table = Table(title="counts alone, millions a token")
    table.add_column("method")
    _columns(
        table,
        "int adds",
        "int muls",
        "float ops",
        "weight bits read",
        "weight bits fetched",
        "input, output bits moved",
        "spikes",
    )
    for row in rows:
        values = [value for name, value in vars(row).items() if name != "method"]
        table.add_row(row.method.title, *(f"{value / 1e6:.4g}" for value in values))
    return table


def show_report(report: EnergyReport, console: Console) -> None:
    """Print the constants, what fired, a table for each energy model, the counts, and the verdicts."""
    console.print(
        Group(
            constants_table(report),
            _rules_table(report),
            _activity_table(report),
            *(_energy_table(part) for part in report.tables),
            _counts_table(report.counts),
            Text('\n"Up to 4.6 times less energy" (abstract of arXiv 2510.19498), time to first spike:', "bold"),
            *(Text(line) for line in claim_lines(report)),
            Text("\nWhere time to first spike needs more energy than another method:", "bold"),
            *(Text(line) for line in loss_lines(report)),
            Text("\nEnergy says nothing of accuracy, in which these methods differ: see eval.\n"),
        )
    )


def plot_report(report: EnergyReport) -> bytes:
    """A PNG with a panel for each energy model: a bar a method, stacked by component, in microjoules a token."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - only a plot needs it
    from matplotlib.patches import Patch  # noqa: PLC0415

    figure = Figure(figsize=(12, 2 + 2.8 * ((len(report.tables) + 1) // 2)), layout="constrained")
    panels = figure.subplots((len(report.tables) + 1) // 2, 2, squeeze=False).flatten().tolist()
    for panel, part in zip(panels, report.tables, strict=False):
        titles = [row.method.title for row in part.rows]
        left = [0.0] * len(part.rows)
        for component in Component:
            shares = [row.picojoules.get(component, 0.0) / 1e6 for row in part.rows]
            if any(shares):
                panel.barh(titles, shares, left=left, color=COLOURS[component], height=0.7)
                left = [start + share for start, share in zip(left, shares, strict=True)]
        # the two longest bars would squeeze all others
        limit = 1.3 * sorted(left)[-3]
        panel.set_xlim(0, limit)
        for place, (total, row) in enumerate(zip(left, part.rows, strict=True)):
            inside = total > 0.9 * limit
            panel.text(
                0.98 * limit if inside else total + 0.01 * limit,
                place,
                f"{_microjoules(total)} ({row.ratio:.2f} x)",
                va="center",
                ha="right" if inside else "left",
                fontsize=7,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 1, "alpha": 0.8},
            )
        panel.invert_yaxis()
        panel.set_title(part.model.title, fontsize=10)
        panel.set_xlabel("µJ a token, all linear layers (x time to first spike); long bars are cut", fontsize=8)
        panel.tick_params(labelsize=8)
    for panel in panels[len(report.tables) :]:
        panel.set_axis_off()
    shown = [component for component in Component if any(component in row.picojoules for row in report.tables[-1].rows)]
    handles = [Patch(color=COLOURS[component], label=str(component)) for component in shown]
    figure.legend(handles=handles, loc="outside lower center", ncols=4, fontsize=8)
    content = BytesIO()
    figure.savefig(content, format="png", dpi=130)
    return content.getvalue()
