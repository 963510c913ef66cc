"""The memory under random packets, with the strict chip at its pins: ``python -m fpga.sdram.soak --packets 20000``.

Each word that comes out is compared with what the packets mean, and each command with the data sheet. Streams pause at
random, rows begin anywhere, also where they leave a row of the chip, and the run is longer than the time in which every
row has to be refreshed.
"""

# The command imports what it needs when it runs, so that --help answers at once; its options have names anyway.

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.random import Generator

from spikequant.fpga.sdram.bench import BenchRun, Stalls, build_bench, run_bench
from spikequant.fpga.sdram.packets import MASK_WORDS, select_packet, store_packet, stream_packet
from spikequant.fpga.sdram.timing import DEFAULT_CHIP, NANOSECONDS, SdramTiming, find_chip
from spikequant.golden.layer.spec import WORD_BITS
from spikequant.golden.support.command_line import run_command
from spikequant.golden.support.files import check_writable, write_json
from spikequant.golden.support.options import JsonFile
from spikequant.golden.support.store import default_cache_folder
from spikequant.rtl.driver.packets import Words

OPENING = 0xAB
"""First word of the packets that are put together."""

FOREIGN = 3
"""An operation that is none of the memory's."""

REGION = 1024
"""Words around each place that random packets use: they cross rows and banks of the chip."""


@dataclass
class PacketReference:
    """What packets for the memory mean.

    Attributes:
        cells: uint32 [words], what the chip holds.
        rng: draws what is stored, selected and passed on.
        sent: packets so far.
        expected: what comes of them.
    """

    cells: Words
    rng: Generator
    sent: list[Words] = field(default_factory=list)
    expected: list[Words] = field(default_factory=list)
    mask: np.ndarray = field(default_factory=lambda: np.zeros(WORD_BITS * MASK_WORDS, np.bool_))

    def _words(self, count: int) -> Words:
        return self.rng.integers(0, 2**WORD_BITS, count, dtype=np.uint64).astype(np.uint32)

    def store(self, address: int, count: int) -> None:
        """Write random words."""
        self.cells[address : address + count] = self._words(count)
        self.sent.append(store_packet(self.cells[address : address + count], address=address))

    def select(self, place: int, rows: int, share: float) -> None:
        """Select a share of rows."""
        chosen = self.rng.random(rows) < share
        first = WORD_BITS * place
        self.mask[first : first + -(-rows // WORD_BITS) * WORD_BITS] = np.pad(chosen, (0, -rows % WORD_BITS))
        self.sent.append(select_packet(chosen, place=place))

    def stream(self, address: int, rows: int, row_words: int, place: int | None) -> None:
        """Stream rows, or those that are selected from a place of the mask on."""
        self.sent.append(stream_packet(OPENING, address=address, rows=rows, row_words=row_words, place=place))
        body = self.cells[address : address + rows * row_words].reshape(rows, row_words)
        if place is not None:
            body = body[self.mask[WORD_BITS * place : WORD_BITS * place + rows]]
        # a packet without rows is none of the accelerator's
        packet = np.concatenate([[OPENING], body.reshape(-1)]) if body.size else np.zeros(1)
        self.expected.append(packet.astype(np.uint32))

    def foreign(self, count: int) -> None:
        """A packet that passes."""
        packet = self._words(count)
        packet[0] = packet[0] & ~np.uint32(15) | np.uint32(FOREIGN)
        self.sent.append(packet)
        self.expected.append(packet)

    def mismatches(self, run: BenchRun) -> int:
        """Packets that are missing, wrong or too many."""
        pairs = zip(run.packets, self.expected, strict=False)
        wrong = sum(not np.array_equal(found, expected) for found, expected in pairs)
        return wrong + abs(len(run.packets) - len(self.expected))


def random_packets(reference: PacketReference, packets: int) -> None:
    """Random packets around places where rows, banks and the chip end, each of which is stored first."""
    rng, size = reference.rng, reference.cells.size
    bases = [0, 256 - 7, 1024 - 9, 3 * 256 + 900, 5 * 1024 - 3, size // 2, *(size - REGION * n for n in (1, 9))]
    for base in bases:
        reference.store(base, REGION)
    for _ in range(packets):
        base = int(rng.choice(bases)) + int(rng.integers(0, REGION // 8))
        place = int(rng.integers(0, 20))
        match rng.choice(["store", "select", "stream", "foreign"], p=[0.15, 0.1, 0.6, 0.15]):
            case "store":
                reference.store(base, int(rng.integers(1, 60)))
            case "select":
                reference.select(place, int(rng.integers(1, 400)), float(rng.choice([0.05, 0.75, 1.0])))
            case "stream":
                row_words = int(rng.choice([1, 2, 3, 8, 17, 96]))
                rows = int(rng.integers(1, (REGION - REGION // 8) // row_words + 1))
                reference.stream(base, rows, row_words, None if rng.random() < 0.3 else place)
            case _:
                reference.foreign(int(rng.integers(1, 30)))


def soak(timing: SdramTiming, *, clock_hz: float, packets: int, seed: int, cache: Path) -> dict[str, Any]:
    """Figures of a run with random packets, half of it with pauses.

    Raises:
        InputError: a tool is missing.
        ToolError: the simulator could not be built, or the memory hangs.
    """
    program = build_bench(timing, cache=cache)
    began = time.perf_counter()
    figures: dict[str, int] = {}
    longest = 0.0
    for pauses in (0.0, 0.5):
        reference = PacketReference(
            cells=np.zeros(timing.chip.words, np.uint32), rng=np.random.default_rng([seed, int(2 * pauses)])
        )
        random_packets(reference, packets // 2)
        run = run_bench(
            program,
            [],
            reference.sent,
            results=len(reference.expected),
            clock_hz=clock_hz,
            timing=timing,
            stalls=Stalls(sending=pauses / 4, taking=pauses, seed=seed),
        )
        counts = {
            "packets": len(reference.sent),
            "memory_cycles": run.all_memory_cycles,
            "activates": run.activates,
            "reads": run.reads,
            "writes": run.writes,
            "refreshes": run.refreshes,
            "mismatches": reference.mismatches(run),
            "violations": run.violations,
        }
        figures = {name: figures.get(name, 0) + count for name, count in counts.items()}
        longest = max(longest, run.all_memory_cycles / timing.clock_hz)
    return {
        "chip": timing.chip.name,
        "clock_mhz": clock_hz / 1e6,
        "memory_clock_mhz": timing.clock_hz / 1e6,
        "seed": seed,
        **figures,
        "refresh_times": longest / (timing.chip.t_ref / NANOSECONDS),
        "seconds": time.perf_counter() - began,
    }


def main(
    packets: Annotated[int, typer.Option(metavar="N", min=2, help="packets to send")] = 40_000,
    chip: Annotated[str, typer.Option(metavar="CHIP", help="SDRAM to control")] = DEFAULT_CHIP,
    frequency: Annotated[float, typer.Option(metavar="MHZ", help="clock of the accelerator")] = 75.0,
    memory_frequency: Annotated[float, typer.Option(metavar="MHZ", help="clock of the SDRAM")] = 120.0,
    seed: Annotated[int, typer.Option(min=0, help="of all that is random")] = 1,
    json_file: JsonFile = None,
) -> None:
    """Send random packets to the memory. Exit status 0 if all is right and no rule of the chip is broken, else 1."""
    from rich.console import Console

    timing = SdramTiming(find_chip(chip), memory_frequency * 1e6)
    if json_file is not None:
        check_writable(json_file)
    with Console(stderr=True).status(f"sending {packets} packets"):
        figures = soak(timing, clock_hz=frequency * 1e6, packets=packets, seed=seed, cache=default_cache_folder())
    if json_file is not None:
        write_json(json_file, figures)
    counted = ("packets", "memory_cycles", "activates", "reads", "writes", "refreshes", "mismatches", "violations")
    typer.echo(", ".join(f"{figures[name]} {name.replace('_', ' ')}" for name in counted))
    typer.echo(f"{figures['refresh_times']:.2f} times the time in which all rows are refreshed, without a pause")
    if figures["mismatches"] or figures["violations"]:
        raise typer.Exit(1)


if __name__ == "__main__":
    run_command(main, name="spikequant.fpga.sdram.soak")
