"""Resources and speed of an accelerator, estimated before synthesis.

Block RAMs follow from the memories, lookup tables and flip-flops from prices that are fitted to packed designs, and
cycles from the average levels at the sites of a real model. What a board has around the accelerator has fixed prices.
"""

from dataclasses import dataclass

from rich.table import Table

from spikequant.fpga.boards import Board, Resources, shortages
from spikequant.fpga.estimate.expectation import site_cycles
from spikequant.fpga.estimate.measurement import Measured, hardware_digest
from spikequant.fpga.estimate.prices import estimate_total
from spikequant.fpga.sdram.timing import SdramChip
from spikequant.golden.layer.spec import GATHERED, THETA_BITS, Spec
from spikequant.golden.support.figures import Figures
from spikequant.rtl.charge_buffer import PHASES
from spikequant.rtl.cluster import FEW_CLUSTERS
from spikequant.rtl.encoder.bucket import bucket_count, bucket_rows, link_layout
from spikequant.rtl.fabric.memory import block_rams
from spikequant.rtl.neurons.packer import WORDS_WAITING
from spikequant.rtl.result_queue import waiting_rows
from spikequant.rtl.shapes import (
    beat_layout,
    bits_for_index,
    complete_layout,
    gathered_layout,
    membrane_layout,
    result_word_layout,
    size_of,
)


def synapse_blocks(spec: Spec) -> int:
    """Block RAMs of the weights."""
    return spec.clusters * spec.pairs * block_rams(spec.row_bits, spec.memory_rows, dual=spec.lanes > 1)


def estimate_ebrs(spec: Spec) -> int:
    """Block RAMs of all memories."""
    neurons = spec.cluster.neurons
    own = [
        (size_of(membrane_layout(spec)), spec.membrane_slots * 2 ** bits_for_index(neurons)),
        (size_of(complete_layout(spec)), waiting_rows(spec.cluster)),
        (THETA_BITS, 2 * neurons),
    ]
    if spec.clusters <= FEW_CLUSTERS:
        # with more clusters, these are in lookup tables
        charges = size_of(gathered_layout(spec)["charges"].shape)
        own += [
            (spec.weight_bits, neurons),
            (size_of(result_word_layout()), WORDS_WAITING),
            (charges, PHASES << bits_for_index(neurons // GATHERED)),
        ]
    links = 2 * (2 if spec.max_burst else 1) * 2 ** bits_for_index(bucket_rows(spec))
    return (
        synapse_blocks(spec)
        + spec.clusters * sum(block_rams(bits, depth, dual=False) for bits, depth in own)
        + bucket_count(spec) * block_rams(size_of(link_layout(spec)), links, dual=False)
        + block_rams(size_of(beat_layout(spec)), 2 * spec.score_words, dual=False)
    )


class ResourceFigures(Figures):
    """Lookup tables, flip-flops and block RAMs."""

    luts: int
    ffs: int
    ebrs: int


class EstimateFigures(ResourceFigures):
    """Figures of an ``Estimate`` for a board and a clock.

    Attributes:
        memory: SDRAM chip; None without one.
        fits: the device holds the design.
        luts, ffs, ebrs: of the design on the board.
        accelerator: of the accelerator alone.
        errors: largest relative error of ``luts``, ``ffs``, ``ebrs`` and ``cycles``, as last measured; they do not hold
            for a spec with settings ``outside``.
        outside: settings beyond those of all measured designs.
        notes: caveats, a line each.
        source: one line on the designs that were measured.
    """

    config: str
    board: str
    device: str
    memory: str | None
    fits: bool
    accelerator: ResourceFigures
    cycles_per_token: float
    frequency_mhz: float
    tokens_per_second: float
    errors: dict[str, float]
    outside: list[str]
    notes: list[str]
    model: str
    source: str


@dataclass(frozen=True)
class Estimate:
    """An accelerator before synthesis.

    Attributes:
        luts, ffs, ebrs: resources of the accelerator alone.
        cycles: cycles of one token in all layers of the model.
        outside: settings beyond those of all measured designs, so that no error is known.
        notes: caveats, a line each.
        measured: measurements that the estimate is based on.
    """

    luts: int
    ffs: int
    ebrs: int
    cycles: float
    outside: tuple[str, ...]
    notes: tuple[str, ...]
    measured: Measured

    def tokens_per_second(self, frequency_hz: float) -> float:
        """Rate of the model's decoder layers, with weights at hand."""
        return frequency_hz / self.cycles

    def on_board(self, *, memory: bool) -> Resources:
        """Resources of a board's whole design, with an SDRAM's controller or without."""
        around = {name: round(prices.total(memory=memory)) for name, prices in self.measured.around.items()}
        return Resources(
            luts=self.luts + around["luts"], ffs=self.ffs + around["ffs"], ebrs=self.ebrs + around["ebrs"], dsps=0
        )

    def figures(self, *, config: str, board: Board, frequency_hz: float, chip: SdramChip | None) -> EstimateFigures:
        """The figures for a board, with an SDRAM if there is a ``chip``, and a clock; ``config`` names the spec."""
        used = self.on_board(memory=chip is not None)
        return EstimateFigures(
            config=config,
            board=board.name,
            device=board.device,
            memory=chip.name if chip else None,
            fits=not shortages(used, board.capacity),
            luts=used.luts,
            ffs=used.ffs,
            ebrs=used.ebrs,
            accelerator=ResourceFigures(luts=self.luts, ffs=self.ffs, ebrs=self.ebrs),
            cycles_per_token=self.cycles,
            frequency_mhz=frequency_hz / 1e6,
            tokens_per_second=self.tokens_per_second(frequency_hz),
            errors=dict(self.measured.errors),
            outside=list(self.outside),
            notes=list(self.notes),
            model=self.measured.model,
            source=self.measured.source,
        )


def estimate_table(figures: EstimateFigures, board: Board) -> Table:
    """An estimate for a terminal."""
    alone, capacity = figures.accelerator, board.capacity
    memory = f", with {figures.memory}" if figures.memory else ""
    title = f"{figures.board}, {figures.device}{memory}, before synthesis"
    table = Table("", "accelerator", "on the board", "error", "of", title=title)

    def error(name: str) -> str:
        return "not known" if figures.outside else f"up to {figures.errors[name]:.1%}"

    table.add_row("LUT", str(alone.luts), str(figures.luts), error("luts"), str(capacity.luts))
    table.add_row("FF", str(alone.ffs), str(figures.ffs), error("ffs"), str(capacity.ffs))
    table.add_row("EBR", str(alone.ebrs), str(figures.ebrs), error("ebrs"), str(capacity.ebrs))
    table.add_row("cycles a token", "", f"{figures.cycles_per_token:.0f}", error("cycles"), "")
    clock = f"{figures.frequency_mhz:.1f} MHz"
    table.add_row("tokens a second", "", f"{figures.tokens_per_second:.1f}", error("cycles"), clock)
    lines = [f"{figures.model}, weights at hand; errors over {figures.source}", *figures.notes]
    if figures.outside:
        lines.append(f"beyond what the errors were measured with: {', '.join(figures.outside)}")
    table.caption = "\n".join(lines)
    return table


def estimate(spec: Spec, measured: Measured) -> Estimate:
    """Estimate an accelerator by measured prices and sites."""
    notes, outside = [], measured.outside(spec)
    operations = spec.neurons * spec.lanes
    if operations > measured.largest:
        outside.append(f"{operations} weight-ops a cycle (at most {measured.largest})")
        notes.append(
            f"larger than all measured designs (at most {measured.largest} weight-ops a cycle): errors may be larger"
        )
    if hardware_digest() != measured.hardware:
        notes.append("the hardware has changed since the measurement; `make prices` repeats it")
    return Estimate(
        luts=estimate_total(spec, measured.luts),
        ffs=estimate_total(spec, measured.ffs),
        ebrs=estimate_ebrs(spec),
        cycles=sum(site_cycles(spec, site) for site in measured.sites),
        outside=tuple(outside),
        notes=tuple(notes),
        measured=measured,
    )
