"""Energy of one token's linear layers, method by method, and where a published claim about it holds."""

from dataclasses import asdict, dataclass
from typing import Any

from spikequant.golden.energy.activity import LayerActivity
from spikequant.golden.energy.methods import ATOM, FIRST_SPIKE, GIF, METHODS, EnergyMethod, output_tiles
from spikequant.golden.energy.models import MODELS, EnergyModel
from spikequant.golden.energy.work import Component, Kind, Work
from spikequant.golden.layer.spec import Spec

CLAIM = 4.6
"""SpikeQuant's abstract (arXiv 2510.19498): "up to 4.6 times" less energy than existing methods."""


@dataclass(frozen=True)
class MethodEnergy:
    """One method under one energy model.

    Attributes:
        method: what runs the layers.
        picojoules: energy of a token in all layers, by component; components without a share are left out.
        total: their sum, pJ.
        ratio: total over that of SpikeQuant with time-to-first-spike.
        best_layer: the layer with the largest such ratio.
        best_ratio: that ratio.
        lost_layers: layers in which SpikeQuant with time-to-first-spike needs more energy.
    """

    method: EnergyMethod
    picojoules: dict[Component, float]
    total: float
    ratio: float
    best_layer: str
    best_ratio: float
    lost_layers: int


@dataclass(frozen=True)
class EnergyTable:
    """All methods under one energy model."""

    model: EnergyModel
    rows: tuple[MethodEnergy, ...]


@dataclass(frozen=True)
class MethodCounts:
    """One method's operations for a token in all layers: no constants, no energy.

    Attributes:
        method: what runs the layers.
        integer_adds: additions, subtractions and comparisons of integers.
        integer_multiplies: multiplications of integers.
        float_operations: additions and multiplications of floats.
        weight_bits_read: beside the array, scales included.
        weight_bits_fetched: from main memory, if the weights are there.
        activation_bits_moved: codes to every tile of outputs, and outputs.
        spikes: at the inputs, each counted once.
    """

    method: EnergyMethod
    integer_adds: float
    integer_multiplies: float
    float_operations: float
    weight_bits_read: float
    weight_bits_fetched: float
    activation_bits_moved: float
    spikes: float


@dataclass(frozen=True)
class Verdict:
    """Whether SpikeQuant needs 4.6 times less energy than another method, under one model.

    Attributes:
        model: name of the energy model.
        method: name of the other method.
        title: of the other method.
        ratio: its energy over SpikeQuant's, all layers together.
        best_layer: where the ratio is largest.
        best_ratio: the ratio there.
        holds: whether all layers together reach 4.6.
        holds_in_a_layer: whether some layer does.
    """

    model: str
    method: str
    title: str
    ratio: float
    best_layer: str
    best_ratio: float
    holds: bool
    holds_in_a_layer: bool


@dataclass(frozen=True)
class EnergyReport:
    """Everything about one model's token.

    Attributes:
        layers: what fired.
        spec: of the array.
        tables: a table an energy model.
        counts: the table without energies.
        verdicts: on the claim, for each energy model against Atom and SpikeLLM.
    """

    layers: tuple[LayerActivity, ...]
    spec: Spec
    tables: tuple[EnergyTable, ...]
    counts: tuple[MethodCounts, ...]
    verdicts: tuple[Verdict, ...]


def evaluate_energy(layers: list[LayerActivity], spec: Spec) -> EnergyReport:
    """Price one token's work in all layers under every energy model.

    Args:
        layers: one or more.
        spec: of the array: its neurons, memory depth and widths.
    """
    work = {method: [method.work(layer, spec) for layer in layers] for method in METHODS}
    tables = tuple(_table(model, layers, work) for model in MODELS)
    return EnergyReport(
        layers=tuple(layers),
        spec=spec,
        tables=tables,
        counts=tuple(_counts(method, layers, parts, spec) for method, parts in work.items()),
        verdicts=tuple(_verdict(table, row) for table in tables for row in table.rows if row.method in (ATOM, *GIF)),
    )


def _table(model: EnergyModel, layers: list[LayerActivity], work: dict[EnergyMethod, list[list[Work]]]) -> EnergyTable:
    def layer_totals(method: EnergyMethod) -> list[float]:
        return [sum(model.energy(item) for item in items) for items in work[method]]

    reference = layer_totals(FIRST_SPIKE)
    rows = []
    for method, parts in work.items():
        totals = layer_totals(method)
        ratios = [total / other for total, other in zip(totals, reference, strict=True)]
        best = max(range(len(layers)), key=ratios.__getitem__)
        shares = {
            component: sum(model.energy(item) for items in parts for item in items if item.component is component)
            for component in Component
        }
        rows.append(
            MethodEnergy(
                method=method,
                picojoules={component: share for component, share in shares.items() if share},
                total=sum(totals),
                ratio=sum(totals) / sum(reference),
                best_layer=layers[best].name,
                best_ratio=ratios[best],
                lost_layers=sum(ratio < 1 for ratio in ratios),
            )
        )
    return EnergyTable(model, tuple(rows))


def _counts(method: EnergyMethod, layers: list[LayerActivity], parts: list[list[Work]], spec: Spec) -> MethodCounts:
    def count(*kinds: Kind) -> float:
        return sum(item.count for items in parts for item in items if item.kind in kinds)

    spikes = sum(
        item.count / output_tiles(layer, spec)
        for layer, items in zip(layers, parts, strict=True)
        for item in items
        if item.kind is Kind.SPIKE_MOVE
    )
    return MethodCounts(
        method=method,
        integer_adds=count(Kind.INTEGER_ADD),
        integer_multiplies=count(Kind.INTEGER_MULTIPLY),
        float_operations=count(Kind.FLOAT_ADD, Kind.FLOAT_MULTIPLY),
        weight_bits_read=count(Kind.WEIGHT_READ),
        weight_bits_fetched=count(Kind.WEIGHT_FETCH),
        activation_bits_moved=count(Kind.CODE_MOVE, Kind.SPIKE_CODE_MOVE),
        spikes=spikes,
    )


def _verdict(table: EnergyTable, row: MethodEnergy) -> Verdict:
    return Verdict(
        model=table.model.name,
        method=row.method.name,
        title=row.method.title,
        ratio=row.ratio,
        best_layer=row.best_layer,
        best_ratio=row.best_ratio,
        holds=row.ratio >= CLAIM,
        holds_in_a_layer=row.best_ratio >= CLAIM,
    )


def claim_lines(report: EnergyReport) -> list[str]:
    """Where "up to 4.6 times less" holds and where not: a plain line for each energy model, then one for all."""
    lines = []
    for table in report.tables:
        verdicts = [verdict for verdict in report.verdicts if verdict.model == table.model.name]
        holds = [f"{item.title} ({item.ratio:.2f} x)" for item in verdicts if item.holds]
        single = [f"{item.title} ({_both(item)})" for item in verdicts if item.holds_in_a_layer and not item.holds]
        never = [f"{item.title} ({_both(item)})" for item in verdicts if not item.holds_in_a_layer]
        parts = [
            f"{answer} {', '.join(names)}"
            for answer, names in (
                ("holds against", holds),
                ("holds in single layers only against", single),
                ("does not hold against", never),
            )
            if names
        ]
        lines.append(f"{table.model.title}: {'; '.join(parts)}.")
    held = sum(verdict.holds for verdict in report.verdicts)
    atom = max(verdict.ratio for verdict in report.verdicts if verdict.method == ATOM.name)
    lines.append(
        f"All in all: holds in {held} of {len(report.verdicts)} pairs of energy model and other method; "
        f"at most {atom:.2f} x against {ATOM.title}."
    )
    return lines


def _both(verdict: Verdict) -> str:
    return f"{verdict.ratio:.2f} x, best layer {verdict.best_ratio:.2f} x"


def loss_lines(report: EnergyReport) -> list[str]:
    """Where SpikeQuant with time-to-first-spike needs more energy than another method, a line for each model."""
    lines = []
    for table in report.tables:
        parts = [
            f"{row.method.title} ({row.ratio:.2f} x in all, less in {row.lost_layers} of {len(report.layers)} layers)"
            for row in table.rows
            if row.lost_layers
        ]
        lines.append(f"{table.model.title}: " + ("; ".join(parts) + "." if parts else "nowhere."))
    return lines


def energy_figures(report: EnergyReport) -> dict[str, Any]:
    """The whole report for a JSON file: activity, energies in pJ, counts, constants with their sources, verdicts."""
    return {
        "config": report.spec.model_dump(),
        "layers": len(report.layers),
        "claim": CLAIM,
        "verdicts": [asdict(verdict) for verdict in report.verdicts],
        "claim_lines": claim_lines(report),
        "loss_lines": loss_lines(report),
        "methods": [{"name": item.name, "title": item.title, "note": item.note} for item in METHODS],
        "models": [
            {
                "name": table.model.name,
                "title": table.model.title,
                "rules": list(table.model.rules),
                "left_out": list(table.model.left_out),
                "constants": [asdict(constant) for constant in table.model.constants],
                "energy": {
                    row.method.name: {
                        "picojoules": row.total,
                        "ratio": row.ratio,
                        "best_layer": row.best_layer,
                        "best_ratio": row.best_ratio,
                        "lost_layers": row.lost_layers,
                        "components": {str(component): share for component, share in row.picojoules.items()},
                    }
                    for row in table.rows
                },
            }
            for table in report.tables
        ],
        "counts": {
            row.method.name: {name: value for name, value in vars(row).items() if name != "method"}
            for row in report.counts
        },
        "activity": [asdict(layer) for layer in report.layers],
    }
