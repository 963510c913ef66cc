"""Random packets through the memory, with a strict model of the chip at its pins.

Each word that comes out is compared with a reference, and each command with the data sheet. Streams pause at random,
rows begin anywhere, also where they cross a row of the chip, and the run is longer than the chip's refresh period.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.random import Generator

from spikequant.fpga.sdram.bench import BenchRun, Stalls, build_bench, run_bench
from spikequant.fpga.sdram.packets import MASK_WORDS, select_packet, store_packet, stream_packet
from spikequant.fpga.sdram.timing import NANOSECONDS, SdramTiming
from spikequant.golden.layer.spec import WORD_BITS
from spikequant.golden.support.figures import Figures
from spikequant.rtl.driver.packets import Words

OPENING = 0xAB
"""First word of the packets that the memory assembles."""

FOREIGN = 3
"""An operation code that is not one of the memory's."""

REGION = 1024
"""Words around each place that random packets use: they cross rows and banks of the chip."""


@dataclass
class PacketReference:
    """Reference for packets to the memory.

    Attributes:
        cells: uint32 [words], contents of the chip.
        rng: draws stored words, selections and passed words.
        sent: packets so far.
        expected: packets that must come out.
        mask: bool, the selected rows.
    """

    cells: Words
    rng: Generator
    sent: list[Words] = field(default_factory=list)
    expected: list[Words] = field(default_factory=list)
    mask: np.ndarray = field(default_factory=lambda: np.zeros(WORD_BITS * MASK_WORDS, np.bool_))

    def _words(self, count: int) -> Words:
        return self.rng.integers(0, 2**WORD_BITS, count, dtype=np.uint64).astype(np.uint32)

    def store(self, address: int, count: int) -> None:
        """Store random words."""
        self.cells[address : address + count] = self._words(count)
        self.sent.append(store_packet(self.cells[address : address + count], address=address))

    def select(self, place: int, rows: int, share: float) -> None:
        """Select a random share of rows."""
        chosen = self.rng.random(rows) < share
        first = WORD_BITS * place
        self.mask[first : first + -(-rows // WORD_BITS) * WORD_BITS] = np.pad(chosen, (0, -rows % WORD_BITS))
        self.sent.append(select_packet(chosen, place=place))

    def stream(self, address: int, rows: int, row_words: int, place: int | None) -> None:
        """Stream rows; with ``place``, those that the mask selects from there on."""
        self.sent.append(stream_packet(OPENING, address=address, rows=rows, row_words=row_words, place=place))
        body = self.cells[address : address + rows * row_words].reshape(rows, row_words)
        if place is not None:
            body = body[self.mask[WORD_BITS * place : WORD_BITS * place + rows]]
        # a packet without rows becomes one that the accelerator refuses
        packet = np.concatenate([[OPENING], body.reshape(-1)]) if body.size else np.zeros(1)
        self.expected.append(packet.astype(np.uint32))

    def foreign(self, count: int) -> None:
        """Send a random packet that the memory passes on."""
        packet = self._words(count)
        packet[0] = packet[0] & ~np.uint32(15) | np.uint32(FOREIGN)
        self.sent.append(packet)
        self.expected.append(packet)

    def mismatches(self, run: BenchRun) -> int:
        """Number of missing, wrong and excess packets."""
        pairs = zip(run.packets, self.expected, strict=False)
        wrong = sum(not np.array_equal(found, expected) for found, expected in pairs)
        return wrong + abs(len(run.packets) - len(self.expected))


def random_packets(reference: PacketReference, packets: int) -> None:
    """Send random packets around the ends of rows, of banks and of the chip; store these regions first."""
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


class SoakFigures(Figures):
    """Counts over both runs.

    Attributes:
        mismatches: missing, wrong and excess packets.
        violations: broken rules of the chip.
        refresh_times: length of the longer run, in refresh periods of the chip.
    """

    chip: str
    clock_mhz: float
    memory_clock_mhz: float
    seed: int
    packets: int
    memory_cycles: int
    activates: int
    reads: int
    writes: int
    refreshes: int
    mismatches: int
    violations: int
    refresh_times: float
    seconds: float

    @property
    def ok(self) -> bool:
        """Whether all packets are right and no rule is broken."""
        return not self.mismatches and not self.violations


COMMANDS = ("activates", "reads", "writes", "refreshes")


def soak(
    timing: SdramTiming,
    *,
    clock_hz: float,
    packets: int,
    seed: int,
    cache: Path,
    progress: Callable[[str], None] = lambda _step: None,
) -> SoakFigures:
    """Run random packets through the memory, half of them without pauses and half with pauses.

    ``progress`` is called with the name of each step as it begins.

    Raises:
        InputError: a tool is missing.
        SimulationError: the simulator cannot be built.
        ToolError: the memory hangs.
    """
    progress("building the memory")
    program = build_bench(timing, cache=cache)
    began = time.perf_counter()
    sent, mismatches = 0, 0
    runs = []
    for pauses in (0.0, 0.5):
        progress(f"sending {packets // 2} packets {'with' if pauses else 'without'} pauses")
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
        sent += len(reference.sent)
        mismatches += reference.mismatches(run)
        runs.append(run)
    return SoakFigures(
        chip=timing.chip.name,
        clock_mhz=clock_hz / 1e6,
        memory_clock_mhz=timing.clock_hz / 1e6,
        seed=seed,
        packets=sent,
        memory_cycles=sum(run.all_memory_cycles for run in runs),
        **{name: sum(getattr(run, name) for run in runs) for name in COMMANDS},
        mismatches=mismatches,
        violations=sum(run.violations for run in runs),
        refresh_times=max(run.all_memory_cycles for run in runs) / timing.clock_hz / (timing.chip.t_ref / NANOSECONDS),
        seconds=time.perf_counter() - began,
    )
