"""Figures of a token's budget, and their table."""

from collections.abc import Sequence

from rich.table import Table

from spikequant.fpga.boards import Board
from spikequant.fpga.budget.setup import Setup
from spikequant.fpga.budget.token import Site
from spikequant.fpga.link.codec import BYTES_PER_WORD
from spikequant.golden.support.figures import Figures

ON_HOST = "embedding, norms, attention, activation function, output head"
"""What of a model is on the host."""

LINE, MEMORY = "line", "memory"
"""Sources of weights."""


class LineFigures(Figures):
    """Use of the serial line, with a board that answers at once.

    Attributes:
        bytes_sent, bytes_received: from the host's point of view, frames included.
        cycles: of the accelerator's clock.
    """

    bytes_sent: float
    bytes_received: float
    cycles: float
    milliseconds: float


class MemoryFigures(Figures):
    """Use of the board's memory; ``cycles`` of its own clock."""

    bytes: float
    cycles: float
    milliseconds: float


class ArrayFigures(Figures):
    """Use of the accelerator: encoder, array and read-out, with weights at hand."""

    cycles: float
    milliseconds: float


class BoardFigures(Figures):
    """Time of memory and array together, if the line took none; ``cycles`` of the accelerator's clock."""

    cycles: float
    milliseconds: float


class NeedFigures(Figures):
    """What a token takes in some layers, mean over the traced tokens.

    Attributes:
        kind: last parts of the names of layers that run together.
        layers: number of layers.
        exchanges: number of runs.
        weights: source of the weights, ``memory`` or ``line``; ``mixed`` for both.
        cycles: of the accelerator's clock, from the first bit sent to the last one received.
        milliseconds: the same as time.
    """

    kind: str
    layers: int
    exchanges: int
    weights: str
    line: LineFigures
    memory: MemoryFigures
    array: ArrayFigures
    board: BoardFigures
    cycles: float
    milliseconds: float


class BudgetFigures(Figures):
    """Budget of a token on a board.

    Attributes:
        config: preset or file of the accelerator.
        memory: SDRAM chip; None without one.
        baud: bits a second on the serial line.
        model: the traced model.
        kinds: by kind of layer, and by source of the weights.
        total: of all layers.
        binds: what takes longest alone: ``line``, ``memory`` or ``array``.
        tokens_per_second: through all layers, without the time of the host.
        tokens_per_second_alone: what each of the three would allow if the others took no time; None without a memory.
        stored_layers: layers in the memory.
        stored_bytes: bytes that they take there.
        upload_bytes, upload_seconds: to store them, once.
        on_host: what is not counted.
    """

    board: str
    device: str
    config: str
    memory: str | None
    clock_mhz: float
    memory_clock_mhz: float | None
    baud: float
    model: str
    kinds: list[NeedFigures]
    total: NeedFigures
    binds: str
    tokens_per_second: float
    tokens_per_second_alone: dict[str, float | None]
    stored_layers: int
    stored_bytes: int
    upload_bytes: float
    upload_seconds: float
    on_host: str


def budget_figures(setup: Setup, sites: Sequence[Site], *, board: Board, config: str, model: str) -> BudgetFigures:
    """Figures of a model's sites; ``config`` and ``model`` describe accelerator and model."""
    by_kind: dict[tuple[str, bool], list[Site]] = {}
    for site in sites:
        by_kind.setdefault((site.kind, bool(site.stored_words)), []).append(site)
    total = _need(setup, sites, "all")
    alone = {LINE: total.line.milliseconds, MEMORY: total.memory.milliseconds, "array": total.array.milliseconds}
    stored = [site for site in sites if site.stored_words]
    memory = setup.memory
    return BudgetFigures(
        board=board.name,
        device=board.device,
        config=config,
        memory=memory.chip.name if memory else None,
        clock_mhz=setup.clock_hz / 1e6,
        memory_clock_mhz=memory.clock_hz / 1e6 if memory else None,
        baud=setup.baud,
        model=model,
        kinds=[_need(setup, found, kind) for (kind, _), found in by_kind.items()],
        total=total,
        binds=max(alone, key=lambda name: alone[name]),
        tokens_per_second=1e3 / total.milliseconds,
        tokens_per_second_alone={
            name: 1e3 / milliseconds if milliseconds else None for name, milliseconds in alone.items()
        },
        stored_layers=sum(len(site.layers) for site in stored),
        stored_bytes=sum(site.stored_words for site in stored) * BYTES_PER_WORD,
        upload_bytes=sum(site.upload.sent for site in stored),
        upload_seconds=sum(site.upload.cycles for site in stored) / setup.clock_hz,
        on_host=ON_HOST,
    )


def _need(setup: Setup, sites: Sequence[Site], kind: str) -> NeedFigures:
    """Sum over sites of the mean over tokens."""
    costs = [cost for site in sites for cost in site.costs]
    tokens = len(sites[0].costs)

    def mean(total: float) -> float:
        return total / tokens

    memory_hz = setup.memory.clock_hz if setup.memory else setup.clock_hz
    line, memory = mean(sum(cost.line.cycles for cost in costs)), mean(sum(cost.memory_cycles for cost in costs))
    array, cycles = mean(sum(cost.array_cycles for cost in costs)), mean(sum(cost.cycles for cost in costs))
    board = mean(sum(cost.board_cycles for cost in costs))
    sources = {MEMORY if site.stored_words else LINE for site in sites}
    return NeedFigures(
        kind=kind,
        layers=sum(len(site.layers) for site in sites),
        exchanges=len(sites),
        weights=sources.pop() if len(sources) == 1 else "mixed",
        line=LineFigures(
            bytes_sent=mean(sum(cost.line.sent for cost in costs)),
            bytes_received=mean(sum(cost.line.received for cost in costs)),
            cycles=line,
            milliseconds=line / setup.clock_hz * 1e3,
        ),
        memory=MemoryFigures(
            bytes=mean(sum(cost.memory_words for cost in costs)) * BYTES_PER_WORD,
            cycles=memory,
            milliseconds=memory / memory_hz * 1e3,
        ),
        array=ArrayFigures(cycles=array, milliseconds=array / setup.clock_hz * 1e3),
        board=BoardFigures(cycles=board, milliseconds=board / setup.clock_hz * 1e3),
        cycles=cycles,
        milliseconds=cycles / setup.clock_hz * 1e3,
    )


def budget_tables(figures: BudgetFigures) -> tuple[Table, Table]:
    """A budget for a terminal: by kind of layer, and in all."""
    total = figures.total
    kinds = Table(title=f"A token on {figures.board}: {figures.config} at {figures.clock_mhz:g} MHz")
    kinds.add_column("layers")
    for name in ("bytes\nto board", "bytes\nfrom board", "bytes\nfrom memory", "cycles\nof array", "ms\nin all"):
        kinds.add_column(name, justify="right")
    for need in figures.kinds:
        kinds.add_row(*_cells(need, with_source=bool(figures.memory)))
    kinds.add_section()
    kinds.add_row(*_cells(total, with_source=False))
    parts = Table()
    parts.add_column("all layers")
    for name in ("bytes", "cycles", "MHz", "ms", "tokens/s"):
        parts.add_column(name, justify="right")
    memory_mhz = figures.memory_clock_mhz
    line, memory, array = total.line, total.memory, total.array
    both_ways = line.bytes_sent + line.bytes_received
    for name, size, part, mhz in (
        (f"line alone, {figures.baud / 1e6:.3g} Mbaud", f"{both_ways:,.0f}", line, figures.clock_mhz),
        (f"memory alone, {figures.memory}", f"{memory.bytes:,.0f}", memory, memory_mhz),
        ("array alone", "", array, figures.clock_mhz),
        ("memory and array", "", total.board, memory_mhz and figures.clock_mhz),
        ("together", "", total, figures.clock_mhz),
    ):
        if mhz is not None:
            rate = 1e3 / part.milliseconds if part.milliseconds else None
            parts.add_row(
                name,
                size,
                f"{part.cycles:,.0f}",
                f"{mhz:g}",
                f"{part.milliseconds:,.1f}",
                f"{rate:,.3g}" if rate else "",
            )
    parts.caption = "\n".join(_lines(figures))
    return kinds, parts


def _cells(need: NeedFigures, *, with_source: bool) -> list[str]:
    source = f", weights from {need.weights}" if with_source and need.weights == LINE else ""
    return [
        f"{need.kind} ({need.layers}{source})",
        f"{need.line.bytes_sent:,.0f}",
        f"{need.line.bytes_received:,.0f}",
        f"{need.memory.bytes:,.0f}",
        f"{need.array.cycles:,.0f}",
        f"{need.milliseconds:,.1f}",
    ]


def _lines(figures: BudgetFigures) -> list[str]:
    lines = [f"the {figures.binds} binds: {figures.tokens_per_second:.3g} tokens/s"]
    if figures.memory:
        lines.append(
            f"{figures.stored_layers} of {figures.total.layers} layers in the memory, "
            f"{figures.stored_bytes / 1e6:.1f} MB, stored once in {figures.upload_seconds:.0f} s"
        )
    return [
        *lines,
        f"mean over tokens; {figures.model}",
        f"on the host, not counted: {figures.on_host}",
    ]
