"""Points of a sweep: their table, plot and Pareto front."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pydantic import computed_field
from rich.table import Table

from spikequant.gen.sweep.plan import SweepPlan
from spikequant.golden.support.figures import Figures
from spikequant.golden.support.plotting import MUTED, drawn

FRONT = "#1f5fa8"


class Point(Figures):
    """Figures of one combination.

    Attributes:
        spec: the values in which its accelerator differs from the others.
        recipe: recipe of the quantizer.
        board: board it is built for; empty if nothing is built.
        perplexity: on held-out text.
        cycles: mean clock cycles of a token through all layers, without loading weights.
        picojoules: energy of a token in all layers, by the first energy model.
        luts: of the routed design; None without one, as are the next two.
        ebrs: block RAMs.
        fmax_mhz: highest clock.
        note: reason why there is no routed design; empty if there is one, or none was wanted.
        tokens_per_second: at the highest clock, without loading weights.
    """

    spec: str
    recipe: str
    board: str
    perplexity: float
    cycles: float
    picojoules: float
    luts: int | None
    ebrs: int | None
    fmax_mhz: float | None
    note: str

    @computed_field  # type: ignore[prop-decorator] # pydantic documents it like this
    @property
    def tokens_per_second(self) -> float | None:
        """At the clock of the routed design, without loading weights."""
        return None if self.fmax_mhz is None else self.fmax_mhz * 1e6 / self.cycles

    @property
    def costs(self) -> tuple[float, ...]:
        """Quantities to minimize: perplexity, energy, and LUTs and seconds per token, or cycles if nothing is built."""
        if self.luts is None or self.tokens_per_second is None:
            return (self.perplexity, self.picojoules, self.cycles)
        return (self.perplexity, self.picojoules, float(self.luts), 1 / self.tokens_per_second)


class MarkedPoint(Point):
    """A point, and whether it is on the Pareto front."""

    front: bool


class SweepFigures(Figures):
    """All points of a sweep, in the order of its plan."""

    ok: bool
    plan: SweepPlan
    points: list[MarkedPoint]


def sweep_figures(plan: SweepPlan, points: Sequence[Point]) -> SweepFigures:
    """Figures of a finished sweep."""
    marked = [
        MarkedPoint(**point.model_dump(exclude={"tokens_per_second"}), front=on_front)
        for point, on_front in zip(points, pareto_front(points), strict=True)
    ]
    return SweepFigures(ok=True, plan=plan, points=marked)


def pareto_front(points: Sequence[Point]) -> list[bool]:
    """Whether each point is on the Pareto front: no other one is as good in everything and better in something.

    Points whose design does not fit are not on the front and do not affect it.
    """
    fit = [point for point in points if not point.note]

    def beaten(point: Point) -> bool:
        return any(
            other.costs != point.costs and all(a <= b for a, b in zip(other.costs, point.costs, strict=True))
            for other in fit
        )

    return [not point.note and not beaten(point) for point in points]


def sweep_table(points: Sequence[Point]) -> Table:
    """Table of all points by number, with those on the front marked."""
    table = Table(title="One token through all layers; * is on the Pareto front", box=None, pad_edge=False)
    table.add_column("", justify="right", no_wrap=True)
    table.add_column("spec, recipe, board", overflow="fold", min_width=16)
    for heading in ("ppl", "cycles", "uJ", "LUTs", "EBRs", "MHz", "tokens/s"):
        table.add_column(heading, justify="right", no_wrap=True)
    for number, (point, on_front) in enumerate(zip(points, pareto_front(points), strict=True), start=1):
        speed = point.tokens_per_second
        built = (
            [str(point.luts), str(point.ebrs), f"{point.fmax_mhz:.1f}", f"{speed:,.1f}"]
            if speed is not None
            else ["-", "-", "-", "-"]
        )
        table.add_row(
            f"{number}{'*' if on_front else ' '}",
            ", ".join(part for part in (point.spec, point.recipe, point.board, point.note) if part),
            f"{point.perplexity:.2f}",
            f"{point.cycles:,.0f}",
            f"{point.picojoules / 1e6:.3g}",
            *built,
        )
    return table


NEAR = 0.025
"""Fraction of an axis within which points share a label."""


def labels(places: Sequence[int], across: Sequence[float], up: Sequence[float]) -> dict[tuple[float, float], str]:
    """Labels of points by position: their numbers, several in one label where points are close together."""
    spans = [(max(values, default=0.0) - min(values, default=0.0)) or 1.0 for values in (across, up)]
    found: dict[tuple[float, float], str] = {}
    for place, *where in zip(places, across, up, strict=True):
        near = (
            other
            for other in found
            if all(abs(a - b) <= NEAR * span for a, b, span in zip(where, other, spans, strict=True))
        )
        other = next(near, None)
        number = str(place + 1)
        if other is None:
            found[where[0], where[1]] = number
        else:
            found[other] += f", {number}"
    return found


def pareto_plot(points: Sequence[Point]) -> bytes:
    """Plot of speed over LUTs, or of cycles over energy if nothing is built, and of perplexity over energy, as PNG.

    Points on the front have their numbers of ``sweep_table``.
    """
    front = pareto_front(points)
    fit = [place for place, point in enumerate(points) if not point.note]
    built = [place for place in fit if points[place].tokens_per_second is not None]

    def scatter(axes: Axes, places: Sequence[int], across: Sequence[float], up: Sequence[float]) -> None:
        def chosen(values: Sequence[float], *, on_front: bool) -> list[float]:
            return [value for value, place in zip(values, places, strict=True) if front[place] is on_front]

        axes.scatter(chosen(across, on_front=False), chosen(up, on_front=False), s=18, color=MUTED)
        best = chosen(across, on_front=True), chosen(up, on_front=True)
        axes.scatter(*best, s=38, color=FRONT)
        for at, name in labels([place for place in places if front[place]], *best).items():
            axes.annotate(name, at, xytext=(4, 4), textcoords="offset points", fontsize=7, color=FRONT)
        axes.grid(visible=True)

    def draw(figure: Figure) -> None:
        left, right = figure.subplots(1, 2)
        energy = [points[place].picojoules / 1e6 for place in fit]
        if built:
            luts = [float(points[place].luts or 0) for place in built]
            scatter(left, built, luts, [points[place].tokens_per_second or 0.0 for place in built])
            left.set_xlabel("LUTs")
            left.set_ylabel("tokens/s, without loading weights")
        else:
            scatter(left, fit, energy, [points[place].cycles for place in fit])
            left.set_xlabel("energy per token, uJ")
            left.set_ylabel("cycles per token")
        scatter(right, fit, energy, [points[place].perplexity for place in fit])
        right.set_xlabel("energy per token, uJ")
        right.set_ylabel("perplexity")
        figure.suptitle(f"{sum(front)} of {len(fit)} points are on the Pareto front (large, with their numbers)")

    return drawn(draw, width=10, height=4.4)
