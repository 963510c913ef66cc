"""Bandwidth of the memory while it streams the layers of a real model.

The layers of one block run a token on the accelerator, which reads its weights from the memory, in Verilator with the
strict chip at its pins; every output is compared with the golden model. For the whole model, traffic is counted: what
tokens of real text read, one at a time as in generation, and how many blocks the chip holds.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spikequant.fpga.link.codec import BYTES_PER_WORD
from spikequant.fpga.sdram.bench import build_bench, run_bench
from spikequant.fpga.sdram.layout import place_layer, store_layer
from spikequant.fpga.sdram.program import active_inputs, streamed_program
from spikequant.fpga.sdram.timing import CHIPS, SdramChip, SdramTiming
from spikequant.golden.layer.integer import run_layer
from spikequant.golden.layer.spec import Spec
from spikequant.golden.layer.vectors import LayerVectors
from spikequant.golden.support.errors import InputError
from spikequant.golden.support.figures import Figures
from spikequant.rtl.driver.packets import parse_result
from spikequant.rtl.driver.program import gather

BLOCK_MARK = "layers"
"""The part of a layer's name before the number of its block."""

BENCH_TOKEN = slice(-1, None)
"""The token that runs: the last one traced, whose context is the longest."""


def block_of(layer: str) -> int:
    """Number of the decoder block that a layer belongs to.

    Raises:
        InputError: its name has none.
    """
    parts = layer.split(".")
    if BLOCK_MARK not in parts[:-1] or not parts[parts.index(BLOCK_MARK) + 1].isdigit():
        raise InputError(f"layer: {layer} names no decoder block, expected ...{BLOCK_MARK}.N....")
    return int(parts[parts.index(BLOCK_MARK) + 1])


@dataclass(frozen=True)
class Streamed:
    """Run of a layer for one token.

    Attributes:
        layer: name of the layer.
        words: 32-bit words read from the chip.
        all_words: 32-bit words with the rows of silent inputs included.
        memory_cycles: cycles of the chip from the first command to the last result.
        mismatches: outputs that differ from the golden model.
        violations: broken rules of the chip.
    """

    layer: str
    words: int
    all_words: int
    memory_cycles: int
    mismatches: int
    violations: int

    @property
    def peak_share(self) -> float:
        """Share of the chip's peak bandwidth."""
        return 2 * self.words / self.memory_cycles


def stream_layer(
    program: Path, name: str, vectors: LayerVectors, spec: Spec, timing: SdramTiming, *, clock_hz: float
) -> Streamed:
    """Store a layer, then run its tokens; only the run is timed.

    Raises:
        InputError: the layer does not fit the chip.
        PacketError: the accelerator refused a packet or sent a broken one.
        ToolError: it hangs.
    """
    stored = store_layer(spec, vectors, chip=timing.chip)
    streamed = streamed_program(stored, vectors)
    run = run_bench(
        program,
        stored.packets(),
        streamed.packets,
        results=len(streamed.places),
        clock_hz=clock_hz,
        timing=timing,
    )
    output = gather(vectors, streamed.places, [parse_result(spec, packet) for packet in run.packets])
    expected = run_layer(vectors, spec)
    wrong = (output.code != expected.code) | (output.membrane != expected.membrane)
    return Streamed(
        layer=name,
        words=run.columns // 2,
        all_words=stored.place.words,
        memory_cycles=run.memory_cycles,
        mismatches=int(wrong.sum()),
        violations=run.violations,
    )


@dataclass(frozen=True)
class Traffic:
    """Memory traffic of a block, in 32-bit words.

    Attributes:
        held: weights and constants: what a token reads with the rows of silent inputs included.
        read: mean over tokens, without these rows.
        silent: share of silent activations.
    """

    held: int
    read: float
    silent: float


def count_traffic(spec: Spec, layers: Mapping[str, LayerVectors]) -> dict[int, Traffic]:
    """Traffic of each block, from the tokens of its layers."""
    blocks: dict[int, list[LayerVectors]] = {}
    for name, vectors in layers.items():
        blocks.setdefault(block_of(name), []).append(vectors)
    return {block: _block_traffic(spec, blocks[block]) for block in sorted(blocks)}


def _block_traffic(spec: Spec, layers: list[LayerVectors]) -> Traffic:
    silent = [float((vectors.level == 0).mean()) for vectors in layers]
    return Traffic(
        held=sum(place_layer(spec, vectors).words for vectors in layers),
        read=sum(_words_read(spec, vectors) for vectors in layers),
        silent=float(np.average(silent, weights=[vectors.inputs for vectors in layers])),
    )


def _words_read(spec: Spec, vectors: LayerVectors) -> float:
    """Words that a token reads of a layer, mean over its tokens."""
    place = place_layer(spec, vectors)
    rows = []
    for token in range(vectors.tokens):
        active = active_inputs(vectors.of_tokens(slice(token, token + 1)))
        rows.append(int(active.sum()) + int(active[vectors.wide].sum()))
    return place.tiles * (place.constants_words + float(np.mean(rows)) * spec.words_per_row)


def fitting_blocks(blocks: Mapping[int, Traffic], words: int) -> list[int]:
    """The first blocks that fit together into a memory of ``words`` words."""
    fitting: list[int] = []
    for block, traffic in blocks.items():
        words -= traffic.held
        if words < 0:
            break
        fitting.append(block)
    return fitting


class LayerFigures(Figures):
    """Figures of a ``Streamed`` layer; shares are 0..1."""

    layer: str
    peak_share: float
    traffic_saved: float
    mismatches: int
    violations: int


class ChipFigures(Figures):
    """Capacity of a chip for the model, and generation speed through the blocks that it holds.

    Attributes:
        megabytes: size of the chip.
        blocks, of_blocks: first blocks of the model that fit, and all blocks.
        tokens_per_second: None if no block fits.
        tokens_per_second_with_silent_rows: the same if silent inputs saved nothing.
    """

    megabytes: float
    blocks: int
    of_blocks: int
    held_megabytes: float
    read_megabytes_per_token: float
    tokens_per_second: float | None
    tokens_per_second_with_silent_rows: float | None


class BandwidthFigures(Figures):
    """Bandwidth of the memory for a model; shares are 0..1.

    Attributes:
        ok: no output differs and no rule of the chip is broken.
        peak_share: share of the peak bandwidth that the simulated block achieves.
        silent: share of silent activations in the whole model, mean over blocks.
        traffic_saved: share of the whole model's traffic that silent inputs save.
        layers: the simulated layers.
        chips: capacity of each known chip by name.
    """

    ok: bool
    chip: str
    clock_mhz: float
    memory_clock_mhz: float
    peak_megabytes_per_second: float
    peak_share: float
    sustained_megabytes_per_second: float
    silent: float
    traffic_saved: float
    mismatches: int
    violations: int
    layers: list[LayerFigures]
    chips: dict[str, ChipFigures]


def _chip_figures(chip: SdramChip, blocks: Mapping[int, Traffic], bytes_per_second: float) -> ChipFigures:
    fitting = fitting_blocks(blocks, chip.words)
    held = BYTES_PER_WORD * sum(blocks[block].held for block in fitting)
    read = BYTES_PER_WORD * sum(blocks[block].read for block in fitting)
    return ChipFigures(
        megabytes=chip.bytes / 1e6,
        blocks=len(fitting),
        of_blocks=len(blocks),
        held_megabytes=held / 1e6,
        read_megabytes_per_token=read / 1e6,
        tokens_per_second=bytes_per_second / read if fitting else None,
        tokens_per_second_with_silent_rows=bytes_per_second / held if fitting else None,
    )


def summarize(
    streamed: list[Streamed], blocks: Mapping[int, Traffic], timing: SdramTiming, *, clock_hz: float
) -> BandwidthFigures:
    """Combine the simulated layers with the traffic of all blocks."""
    share = 2 * sum(one.words for one in streamed) / sum(one.memory_cycles for one in streamed)
    sustained = share * timing.peak_bytes
    mismatches, violations = sum(one.mismatches for one in streamed), sum(one.violations for one in streamed)
    return BandwidthFigures(
        ok=not mismatches and not violations,
        chip=timing.chip.name,
        clock_mhz=clock_hz / 1e6,
        memory_clock_mhz=timing.clock_hz / 1e6,
        peak_megabytes_per_second=timing.peak_bytes / 1e6,
        peak_share=share,
        sustained_megabytes_per_second=sustained / 1e6,
        silent=float(np.mean([traffic.silent for traffic in blocks.values()])),
        traffic_saved=1 - sum(traffic.read for traffic in blocks.values()) / sum(t.held for t in blocks.values()),
        mismatches=mismatches,
        violations=violations,
        layers=[
            LayerFigures(
                layer=one.layer,
                peak_share=one.peak_share,
                traffic_saved=1 - one.words / one.all_words,
                mismatches=one.mismatches,
                violations=one.violations,
            )
            for one in streamed
        ],
        chips={chip.name: _chip_figures(chip, blocks, sustained) for chip in CHIPS.values()},
    )


def measure_bandwidth(
    layers: Mapping[str, LayerVectors],
    spec: Spec,
    timing: SdramTiming,
    *,
    clock_hz: float,
    block: int,
    cache: Path,
    progress: Callable[[str], None] = lambda _layer: None,
) -> BandwidthFigures:
    """Run the layers of one block, and count the traffic of all blocks.

    Args:
        layers: every decoder layer of the model by name, with tokens of real text.
        spec: the accelerator.
        timing: the chip and its clock.
        clock_hz: clock of the accelerator.
        block: number of the block whose layers run.
        cache: root of the cache.
        progress: called with the name of each layer as its run begins.

    Raises:
        InputError: there is no such block.
        PacketError, SimulationError, ToolError: as ``build_bench`` and ``stream_layer``.
    """
    chosen = {name: vectors for name, vectors in layers.items() if block_of(name) == block}
    if not chosen:
        raise InputError(f"block: {block}, expected one of 0..{max(map(block_of, layers))}")
    program = build_bench(timing, spec, cache=cache)
    streamed = []
    for name, vectors in chosen.items():
        progress(name)
        token = vectors.of_tokens(BENCH_TOKEN)
        streamed.append(stream_layer(program, name, token, spec, timing, clock_hz=clock_hz))
    return summarize(streamed, count_traffic(spec, layers), timing, clock_hz=clock_hz)


def trace_all(checkpoint: Path, spec: Spec, tokens: int) -> dict[str, LayerVectors]:
    """Trace every decoder layer of a quantized model on real text.

    Raises:
        InputError: no such checkpoint, too little text, or a spec whose widths differ from the quantizer's.
    """
    # these load PyTorch
    from spikequant.golden.checkpoint.checkpoint import load_checkpoint
    from spikequant.golden.evaluation.trace import trace_layers
    from spikequant.golden.quantizer.linear import quantized_layers

    model = load_checkpoint(checkpoint).language_model
    return {
        name: vectors for name, vectors, _ in trace_layers(model, list(quantized_layers(model.model)), tokens, spec)
    }
