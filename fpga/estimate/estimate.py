"""Resources and speed of an accelerator, estimated before synthesis.

Block RAMs follow from the memories, lookup tables and flip-flops from prices that are fitted to packed designs, and
cycles from the average levels at the sites of a real model.
"""

from dataclasses import dataclass

from rich.table import Table

from spikequant.fpga.boards import Board, Resources
from spikequant.fpga.estimate.expectation import site_cycles
from spikequant.fpga.estimate.measurement import Measured, hardware_digest
from spikequant.fpga.estimate.prices import estimate_total
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
    bits = spec.cluster.neurons * spec.weight_bits
    return spec.clusters * spec.pairs * block_rams(bits, spec.memory_rows, dual=spec.lanes > 1)


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


class EstimateFigures(Figures):
    """Figures of an ``Estimate`` for a board and a clock.

    Attributes:
        fits: the device holds the accelerator.
        errors: largest relative error of ``luts``, ``ffs``, ``ebrs`` and ``cycles``, as last measured.
        notes: caveats, a line each.
        source: one line on the designs that were measured.
    """

    config: str
    board: str
    device: str
    fits: bool
    luts: int
    ffs: int
    ebrs: int
    cycles_per_token: float
    frequency_mhz: float
    tokens_per_second: float
    errors: dict[str, float]
    notes: list[str]
    model: str
    source: str


@dataclass(frozen=True)
class Estimate:
    """An accelerator before synthesis.

    Attributes:
        luts, ffs, ebrs: resources, without the rest of a board's design.
        cycles: cycles of one token in all layers of the model.
        notes: caveats, a line each.
        measured: measurements that the estimate is based on.
    """

    luts: int
    ffs: int
    ebrs: int
    cycles: float
    notes: tuple[str, ...]
    measured: Measured

    def tokens_per_second(self, frequency_hz: float) -> float:
        """Rate of the model's decoder layers, with weights at hand."""
        return frequency_hz / self.cycles

    def fits(self, capacity: Resources) -> bool:
        """Whether a device of this capacity holds the accelerator, if the estimate is right."""
        return self.luts <= capacity.luts and self.ffs <= capacity.ffs and self.ebrs <= capacity.ebrs

    def figures(self, *, config: str, board: Board, frequency_hz: float) -> EstimateFigures:
        """The figures for a board and a clock; ``config`` names the accelerator."""
        return EstimateFigures(
            config=config,
            board=board.name,
            device=board.device,
            fits=self.fits(board.capacity),
            luts=self.luts,
            ffs=self.ffs,
            ebrs=self.ebrs,
            cycles_per_token=self.cycles,
            frequency_mhz=frequency_hz / 1e6,
            tokens_per_second=self.tokens_per_second(frequency_hz),
            errors=dict(self.measured.errors),
            notes=list(self.notes),
            model=self.measured.model,
            source=self.measured.source,
        )


def estimate_table(found: Estimate, board: Board, frequency_hz: float) -> Table:
    """An estimate for a terminal."""
    errors, capacity = found.measured.errors, board.capacity
    table = Table("", "estimate", "error", "of", title=f"{board.name}, {board.device}, before synthesis")

    def error(name: str) -> str:
        return f"up to {errors[name]:.1%}"

    table.add_row("LUT", str(found.luts), error("luts"), str(capacity.luts))
    table.add_row("FF", str(found.ffs), error("ffs"), str(capacity.ffs))
    table.add_row("EBR", str(found.ebrs), error("ebrs"), str(capacity.ebrs))
    table.add_row("cycles a token", f"{found.cycles:.0f}", error("cycles"), "")
    rate = found.tokens_per_second(frequency_hz)
    table.add_row("tokens a second", f"{rate:.1f}", error("cycles"), f"{frequency_hz / 1e6:.1f} MHz")
    lines = (f"{found.measured.model}, weights at hand; errors over {found.measured.source}", *found.notes)
    table.caption = "\n".join(lines)
    return table


def estimate(spec: Spec, measured: Measured) -> Estimate:
    """Estimate an accelerator by measured prices and sites."""
    notes = []
    if spec.neurons * spec.lanes > measured.largest:
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
        notes=tuple(notes),
        measured=measured,
    )
