"""What streaming a real model's layers achieves: ``python -m spikequant.benchmarks.memory_bandwidth --checkpoint DIR``.

The layers of one block run a token on the accelerator behind the memory, in Verilator with the strict chip at its pins,
and every output is compared with the golden model. For the whole model it counts what tokens of real text read, one
at a time as in generation, and how many blocks the chip holds.
"""

# The command imports what it needs when it runs, so that --help answers at once; its options have names anyway.

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from spikequant.fpga.link.codec import BYTES_PER_WORD
from spikequant.fpga.sdram.bench import build_bench, run_bench
from spikequant.fpga.sdram.layout import place_layer, store_layer
from spikequant.fpga.sdram.program import active_inputs, streamed_program
from spikequant.fpga.sdram.timing import CHIPS, DEFAULT_CHIP, SdramTiming, find_chip
from spikequant.golden.layer.integer import run_layer
from spikequant.golden.layer.spec import Spec, load_spec
from spikequant.golden.layer.vectors import LayerVectors
from spikequant.golden.support.command_line import run_command
from spikequant.golden.support.errors import InputError
from spikequant.golden.support.files import check_writable, write_json
from spikequant.golden.support.options import JsonFile, SpecName
from spikequant.golden.support.store import default_cache_folder
from spikequant.rtl.driver.packets import parse_result
from spikequant.rtl.driver.program import gather

BLOCK_MARK = "layers"
"""The part of a layer's name in front of the number of its block."""

BENCH_TOKEN = slice(-1, None)
"""The token that runs: the last one traced, which is like those of a long text."""


def block_of(layer: str) -> int:
    """The number of the decoder block that a layer belongs to.

    Raises:
        InputError: its name has none.
    """
    parts = layer.split(".")
    if BLOCK_MARK not in parts[:-1] or not parts[parts.index(BLOCK_MARK) + 1].isdigit():
        raise InputError(f"layer: {layer} names no decoder block, expected ...{BLOCK_MARK}.N....")
    return int(parts[parts.index(BLOCK_MARK) + 1])


@dataclass(frozen=True)
class Streamed:
    """A layer that has run a token.

    Attributes:
        layer: its name.
        words: 32-bit words that the chip gave.
        all_words: that it would have given with the rows of silent inputs.
        memory_cycles: from the first command to the last result.
        mismatches: outputs that are not those of the golden model.
        violations: rules of the chip that were broken.
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
    """What a block's layers hold, and what a token reads of them, in 32-bit words.

    Attributes:
        held: weights and constants, which is what a token reads with the rows of silent inputs.
        read: a token's mean, without them.
        silent: share of a token's activations that are silent.
    """

    held: int
    read: float
    silent: float


def count_traffic(spec: Spec, layers: Mapping[str, LayerVectors]) -> dict[int, Traffic]:
    """The traffic of each block, from the tokens of each of its layers."""
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
    """What a token reads of a layer, in the mean of its tokens."""
    place = place_layer(spec, vectors)
    rows = []
    for token in range(vectors.tokens):
        active = active_inputs(vectors.of_tokens(slice(token, token + 1)))
        rows.append(int(active.sum()) + int(active[vectors.wide].sum()))
    return place.tiles * (place.constants_words + float(np.mean(rows)) * spec.words_per_row)


def fitting_blocks(blocks: Mapping[int, Traffic], words: int) -> list[int]:
    """The first blocks that a memory of so many words holds together."""
    fitting: list[int] = []
    for block, traffic in blocks.items():
        words -= traffic.held
        if words < 0:
            break
        fitting.append(block)
    return fitting


def summarize(
    streamed: list[Streamed], blocks: Mapping[int, Traffic], timing: SdramTiming, *, clock_hz: float
) -> dict[str, Any]:
    """The figures of ``--json``."""
    words, cycles = (sum(getattr(one, name) for one in streamed) for name in ("words", "memory_cycles"))
    share = 2 * words / cycles
    sustained = share * timing.peak_bytes
    held, read = (sum(getattr(traffic, name) for traffic in blocks.values()) for name in ("held", "read"))
    chips = {}
    for chip in CHIPS.values():
        fitting = fitting_blocks(blocks, chip.words)
        held_bytes, read_bytes = (
            BYTES_PER_WORD * sum(getattr(blocks[block], name) for block in fitting) for name in ("held", "read")
        )
        chips[chip.name] = {
            "megabytes": chip.bytes / 1e6,
            "blocks": len(fitting),
            "of_blocks": len(blocks),
            "held_megabytes": held_bytes / 1e6,
            "read_megabytes_per_token": read_bytes / 1e6,
            "tokens_per_second": sustained / read_bytes if fitting else None,
            "tokens_per_second_with_silent_rows": sustained / held_bytes if fitting else None,
        }
    return {
        "ok": not any(one.mismatches or one.violations for one in streamed),
        "chip": timing.chip.name,
        "clock_mhz": clock_hz / 1e6,
        "memory_clock_mhz": timing.clock_hz / 1e6,
        "peak_megabytes_per_second": timing.peak_bytes / 1e6,
        "peak_share": share,
        "sustained_megabytes_per_second": sustained / 1e6,
        "silent": float(np.mean([traffic.silent for traffic in blocks.values()])),
        "traffic_saved": 1 - read / held,
        "mismatches": sum(one.mismatches for one in streamed),
        "violations": sum(one.violations for one in streamed),
        "layers": [
            {
                "layer": one.layer,
                "peak_share": one.peak_share,
                "traffic_saved": 1 - one.words / one.all_words,
                "mismatches": one.mismatches,
                "violations": one.violations,
            }
            for one in streamed
        ],
        "chips": chips,
    }


def measure(
    layers: Mapping[str, LayerVectors],
    spec: Spec,
    timing: SdramTiming,
    *,
    clock_hz: float,
    block: int,
    cache: Path,
    progress: Callable[[str], None] = lambda _layer: None,
) -> dict[str, Any]:
    """All figures; ``progress`` is told the name of each layer of the block that is about to run.

    Raises:
        InputError: there is no such block.
        PacketError, ToolError: as ``stream_layer``.
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
    """Every decoder layer of a quantized model with tokens of real text.

    Raises:
        InputError: no such checkpoint, too little text, or a spec of other widths than the quantizer's.
    """
    from spikequant.golden.checkpoint.checkpoint import load_checkpoint
    from spikequant.golden.evaluation.trace import trace_layers
    from spikequant.golden.quantizer.linear import quantized_layers

    model = load_checkpoint(checkpoint).language_model
    return {
        name: vectors for name, vectors, _ in trace_layers(model, list(quantized_layers(model.model)), tokens, spec)
    }


def main(
    checkpoint: Annotated[Path, typer.Option(metavar="DIR", help="quantized model, as spikequant quantize writes it")],
    config: SpecName = "base",
    tokens: Annotated[int, typer.Option(metavar="T", min=1, help="tokens to count the traffic of")] = 64,
    block: Annotated[int, typer.Option(metavar="N", min=0, help="block whose layers run")] = 5,
    chip: Annotated[str, typer.Option(metavar="CHIP", help="SDRAM to control")] = DEFAULT_CHIP,
    frequency: Annotated[float, typer.Option(metavar="MHZ", help="clock of the accelerator")] = 75.0,
    memory_frequency: Annotated[float, typer.Option(metavar="MHZ", help="clock of the SDRAM")] = 120.0,
    json_file: JsonFile = None,
) -> None:
    """Tell how fast real layers stream from the memory. Exit status 0 if all outputs are right, 1 if not."""
    from rich.console import Console

    console = Console(stderr=True)
    spec = load_spec(config)
    timing = SdramTiming(find_chip(chip), memory_frequency * 1e6)
    if json_file is not None:
        check_writable(json_file)
    with console.status("tracing the model") as status:
        layers = trace_all(checkpoint, spec, tokens)
        figures = measure(
            layers,
            spec,
            timing,
            clock_hz=frequency * 1e6,
            block=block,
            cache=default_cache_folder(),
            progress=lambda layer: status.update(f"running {layer}"),
        )
    if json_file is not None:
        write_json(json_file, figures)
    show(figures)
    if not figures["ok"]:
        raise typer.Exit(1)


def show(figures: dict[str, Any]) -> None:
    """Print the figures of ``summarize``."""
    for one in figures["layers"]:
        typer.echo(
            f"{one['layer']}: {one['peak_share']:.1%} of the peak, {one['traffic_saved']:.1%} of the traffic saved, "
            f"{one['mismatches']} mismatches, {one['violations']} violations"
        )
    typer.echo(
        f"together {figures['peak_share']:.1%} of {figures['peak_megabytes_per_second']:g} MB/s; over the whole model "
        f"{figures['silent']:.1%} of the activations are silent, which saves {figures['traffic_saved']:.1%}"
    )
    for name, chip in figures["chips"].items():
        held = "holds no block"
        if chip["blocks"]:
            held = (
                f"the first {chip['blocks']} of {chip['of_blocks']} blocks, {chip['held_megabytes']:.1f} MB, "
                f"{chip['tokens_per_second']:.2f} tokens/s "
                f"({chip['tokens_per_second_with_silent_rows']:.2f} with the rows of silent inputs)"
            )
        typer.echo(f"{name}, {chip['megabytes']:.1f} MB: {held}")


if __name__ == "__main__":
    run_command(main, name="spikequant.benchmarks.memory_bandwidth")
