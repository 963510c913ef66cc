"""Random packets on random accelerators, compared with the packets' meaning.

A seed determines an accelerator and its programs. Results of seeds are kept, so that a later run resumes.
"""

import shutil
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
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


class Totals(Figures):
    """Totals of correct programs.

    Attributes:
        programs: number of programs.
        packets, results, outputs: packets, RESULT packets and outputs in them.
        resets: programs that were interrupted by a reset first, and then played whole.
        cycles: simulated clock cycles.
    """

    programs: int
    packets: int
    results: int
    outputs: int
    resets: int
    cycles: int


class SeedResult(Totals):
    """Result of a seed, with totals up to the first program that failed.

    Attributes:
        seed: the seed.
        spec: its accelerator.
        design: digest of the accelerator's Verilog.
        steps: packets of each program after those that load weights and constants.
        seconds: wall time.
        failure: one line on the program that failed; empty if none did.
    """

    seed: int
    spec: Spec
    design: str
    steps: int
    seconds: float
    failure: str


class VerifyFigures(Totals):
    """Figures of several seeds, with their totals.

    Attributes:
        ok: no seed failed.
        seeds: the seeds.
    """

    ok: bool
    seeds: list[SeedResult]

    @classmethod
    def of(cls, seeds: Sequence[SeedResult]) -> "VerifyFigures":
        """Sum up the results of seeds."""
        sums = {name: sum(getattr(seed, name) for seed in seeds) for name in Totals.model_fields}
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


def play_programs(
    device: SimulatedDevice,
    seed: int,
    *,
    programs: int,
    steps: int,
    seen: Callable[[list[Completed], list[Words]], None] = lambda _expected, _received: None,
) -> tuple[Totals, str]:
    """Play random programs, up to the first that fails.

    Args:
        device: the accelerator.
        seed: seed of the programs.
        programs: number of programs.
        steps: packets of each after those that load weights and constants.
        seen: called with the expected and the received results of each correct program.

    Returns:
        Totals of the correct programs, and one line on the failure; empty if there is none.
    """
    spec, failure = device.spec, ""
    totals = Counter(dict.fromkeys(Totals.model_fields, 0))
    for number in range(programs):
        packets, traffic, cut = _program(spec, seed, number, steps)
        expected = expected_results(spec, packets)
        try:
            if cut:
                device.play(packets, len(expected), traffic=replace(traffic, cut=cut))
            played = device.play(packets, len(expected), traffic=traffic)
            failure = first_error(spec, expected, played.packets)
        except (SimulationError, PacketError) as error:
            failure = str(error)
        if failure:
            failure = f"program {number}: {failure}"
            break
        seen(expected, played.packets)
        results = len(expected)
        totals.update(programs=1, packets=len(packets), results=results, outputs=results * spec.neurons)
        totals.update(resets=bool(cut), cycles=played.cycles + cut)
    return Totals(**totals), failure


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
        totals, failure = play_programs(device, seed, programs=programs, steps=steps)
        if failure and waves is not None:
            waves.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(device.folder / WAVES, waves / WAVES)
    return SeedResult(
        seed=seed,
        spec=spec,
        design=design_of(sources),
        steps=steps,
        seconds=time.perf_counter() - began,
        failure=failure,
        **dict(totals),
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
