"""Random packets on random accelerators, compared with the packets' meaning.

A seed determines an accelerator and its programs. Results of seeds are kept, so that a later run resumes.
"""

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from random import Random

from spikequant.cosim.diagnosis.trace_probe import PROBE, WAVES, WINDOW_OPTIONS, probe_verilog
from spikequant.cosim.random.programs import random_program, random_spec
from spikequant.cosim.simulator.build import SimulationError, accelerator_sources
from spikequant.cosim.simulator.burst import Traffic
from spikequant.cosim.simulator.device import SimulatedDevice
from spikequant.golden.layer.spec import Spec
from spikequant.golden.support.figures import Figures
from spikequant.golden.support.store import ResultFolder, digest_of
from spikequant.rtl.driver.packet_model import Completed, PacketModel
from spikequant.rtl.driver.packets import PacketError, Words, parse_result

MOST_CUT = 4000
"""Latest clock cycle in which a reset interrupts a program."""


class SeedResult(Figures):
    """Result of a seed.

    Attributes:
        seed: the seed.
        spec: its accelerator.
        design: digest of the accelerator's Verilog.
        steps: packets of each program after those that load weights and constants.
        programs: correct programs; all of the seed's, unless one failed.
        packets, results, outputs: totals of the correct programs.
        resets: correct programs that were interrupted by a reset first, and then played whole.
        cycles: simulated clock cycles.
        seconds: wall time.
        failure: one line on the program that failed; empty if none did.
    """

    seed: int
    spec: Spec
    design: str
    steps: int
    programs: int
    packets: int
    results: int
    outputs: int
    resets: int
    cycles: int
    seconds: float
    failure: str


class VerifyFigures(Figures):
    """Figures of several seeds.

    Attributes:
        ok: no seed failed.
        programs, packets, results, outputs, resets, cycles: sums over the seeds.
        seeds: the seeds.
    """

    ok: bool
    programs: int
    packets: int
    results: int
    outputs: int
    resets: int
    cycles: int
    seeds: list[SeedResult]

    @classmethod
    def of(cls, seeds: Sequence[SeedResult]) -> "VerifyFigures":
        """Sum up the results of seeds."""
        names = ("programs", "packets", "results", "outputs", "resets", "cycles")
        sums = {name: sum(getattr(seed, name) for seed in seeds) for name in names}
        return cls(ok=not any(seed.failure for seed in seeds), seeds=list(seeds), **sums)


def seed_spec(seed: int) -> Spec:
    """Return the accelerator of a seed."""
    return random_spec(Random(f"spec of {seed}"))


def expected_results(spec: Spec, packets: list[Words]) -> list[Completed]:
    """Return the results that packets must produce."""
    model = PacketModel(spec)
    return [completed for packet in packets if (completed := model.take(packet)) is not None]


def first_error(spec: Spec, expected: list[Completed], received: list[Words]) -> str:
    """Return one line on the first wrong result; empty if there is none.

    Raises:
        PacketError: a packet is broken.
    """
    if len(received) != len(expected):
        return f"{len(received)} results, expected {len(expected)}"
    for number, (want, packet) in enumerate(zip(expected, received, strict=True)):
        got = parse_result(spec, packet)
        if got.slot != want.slot or (got.membrane is None) != want.brief:
            return f"result {number}: slot {got.slot}, expected slot {want.slot}, brief {want.brief}"
        for neuron in range(spec.neurons):
            if got.saturated[neuron]:
                if not want.saturated[neuron]:
                    return f"result {number}, neuron {neuron}: saturation flag, expected none"
                continue
            if got.code[neuron] != want.code[neuron]:
                return f"result {number}, neuron {neuron}: code {got.code[neuron]}, expected {want.code[neuron]}"
            if got.membrane is not None and got.membrane[neuron] != want.membrane[neuron]:
                return (
                    f"result {number}, neuron {neuron}: membrane {got.membrane[neuron]}, "
                    f"expected {want.membrane[neuron]}"
                )
    return ""


def _program(spec: Spec, seed: int, number: int, steps: int) -> tuple[list[Words], Traffic, int]:
    """Return a program of a seed, its pauses, and the cycle of the reset that first interrupts it; 0 for none."""
    random = Random(f"program {number} of {seed}")
    packets = random_program(spec, random, steps=steps)
    pauses = [random.choice((0.0, 0.0, 0.3, 0.9)) for _ in range(2)]
    cut = random.randrange(1, MOST_CUT) if random.random() < 0.4 else 0
    return packets, Traffic(pause_in=pauses[0], pause_out=pauses[1], seed=random.getrandbits(31)), cut


@dataclass
class Played:
    """Totals of correct programs, up to the first that failed; attributes as in ``SeedResult``."""

    programs: int = 0
    packets: int = 0
    results: int = 0
    resets: int = 0
    cycles: int = 0
    failure: str = ""


def play_programs(
    device: SimulatedDevice,
    seed: int,
    *,
    programs: int,
    steps: int,
    seen: Callable[[list[Completed], list[Words]], None] = lambda _expected, _received: None,
) -> Played:
    """Play random programs, up to the first that fails.

    Args:
        device: the accelerator.
        seed: seed of the programs.
        programs: number of programs.
        steps: packets of each after those that load weights and constants.
        seen: called with the expected and the received results of each correct program.
    """
    spec, found = device.spec, Played()
    for number in range(programs):
        packets, traffic, cut = _program(spec, seed, number, steps)
        expected = expected_results(spec, packets)
        try:
            if cut:
                device.play(packets, len(expected), traffic=replace(traffic, cut=cut))
            recording = device.play(packets, len(expected), traffic=traffic)
            found.failure = first_error(spec, expected, recording.packets)
        except (SimulationError, PacketError) as error:
            found.failure = str(error)
        if found.failure:
            found.failure = f"program {number}: {found.failure}"
            break
        seen(expected, recording.packets)
        found.programs += 1
        found.packets += len(packets)
        found.results += len(expected)
        found.resets += bool(cut)
        found.cycles += recording.cycles + cut
    return found


def run_seed(
    seed: int,
    *,
    programs: int,
    steps: int,
    sources: Mapping[str, str],
    waves: Path | None = None,
) -> SeedResult:
    """Play the programs of a seed, up to the first that fails.

    Args:
        seed: the seed.
        programs: number of programs.
        steps: packets of each after those that load weights and constants.
        sources: Verilog of the seed's accelerator by file name.
        waves: folder for a waveform of the program that fails; None for none, and a faster simulator.

    Raises:
        InputError: a tool is missing.
        SimulationError: the simulator could not be built.
    """
    began = time.perf_counter()
    spec = seed_spec(seed)
    texts = dict(sources)
    if waves is not None:
        texts[f"{PROBE}.v"] = probe_verilog(spec, 0)
    options, arguments = (WINDOW_OPTIONS, ["from=0"]) if waves is not None else ((), [])
    with SimulatedDevice(spec, sources=texts, options=options, arguments=arguments) as device:
        played = play_programs(device, seed, programs=programs, steps=steps)
        if played.failure and waves is not None:
            waves.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(device.folder / WAVES, waves / WAVES)
    return SeedResult(
        seed=seed,
        spec=spec,
        design=design_of(sources),
        steps=steps,
        outputs=played.results * spec.neurons,
        seconds=time.perf_counter() - began,
        **asdict(played),
    )


def design_of(sources: Mapping[str, str]) -> str:
    """Return the digest of a design's files."""
    return digest_of([part for text in sorted(sources.items()) for part in text])


def run_seeds(
    numbers: Sequence[int],
    *,
    programs: int,
    steps: int,
    out: Path,
    minutes: float = float("inf"),
    waves: Path | None = None,
    progress: Callable[[SeedResult], None] = lambda _: None,
) -> list[SeedResult]:
    """Run seeds; take from an earlier run what was correct there for the same design and programs.

    Args:
        numbers: the seeds.
        programs: programs of each seed.
        steps: packets of each program after those that load weights and constants.
        out: folder of the results, from which a later run resumes.
        minutes: time after which no seed is started.
        waves: folder for a waveform of a program that fails; every seed is then run again. None for none.
        progress: called with each result.

    Raises:
        InputError: a tool is missing, or the folder cannot be written to.
        SimulationError: a simulator could not be built.
    """
    began = time.perf_counter()
    kept, found = ResultFolder(out, SeedResult), []
    for seed in numbers:
        if time.perf_counter() - began > minutes * 60:
            break
        name, sources = f"seed-{seed}", accelerator_sources(seed_spec(seed))
        digest = digest_of([design_of(sources), str(programs), str(steps)])
        result = None if waves else kept.find(name, digest)
        if result is None or result.failure:
            result = run_seed(seed, programs=programs, steps=steps, sources=sources, waves=waves)
            kept.keep(name, digest, result)
        found.append(result)
        progress(result)
    return found
