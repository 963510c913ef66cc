"""Coverage that random programs and the short regression reach."""

import inspect
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from pydantic import computed_field

from spikequant.cosim.coverage import rare
from spikequant.cosim.coverage.events import WATCH, events, watch_verilog
from spikequant.cosim.coverage.points import (
    COVERAGE_OPTIONS,
    GENERATED,
    KINDS,
    LINE,
    PROGRAM,
    TOGGLE,
    UNNAMED,
    Counts,
    Coverage,
    Exclusion,
    Point,
    coverage,
    coverage_argument,
    definitions,
    read_exclusions,
    read_points,
    spelled,
)
from spikequant.cosim.coverage.programs import program_points
from spikequant.cosim.coverage.rare import overflowing_sums, single_runs, totals_program, waiting_results
from spikequant.cosim.coverage.unreachable import PROOF_SOURCES, unreachable
from spikequant.cosim.random import programs as random_programs
from spikequant.cosim.random.programs import broken_program
from spikequant.cosim.random.regression import SPEC, Scene, bench_words, regression
from spikequant.cosim.random.verify import expected_results, first_error, play_programs
from spikequant.cosim.simulator.build import SimulationError, accelerator_sources
from spikequant.cosim.simulator.burst import CALM, Traffic
from spikequant.cosim.simulator.device import SimulatedDevice
from spikequant.golden.layer.spec import Spec
from spikequant.golden.support.figures import Figures
from spikequant.golden.support.store import ResultFolder, cached_build, digest_of
from spikequant.rtl.driver.packet_model import Completed
from spikequant.rtl.driver.packets import Words
from spikequant.rtl.verilog import TOP

EXCLUSIONS = Path(__file__).with_name("exclusions.toml")

DESIGNS: Mapping[str, Spec] = {
    "halving": SPEC,
    "ramp": Spec(
        neurons=8,
        lanes=4,
        depth=16,
        weight_bits=8,
        activation_bits=5,
        salient_bits=6,
        max_salient_shift=4,
        population_bits=11,
        membrane_bits=20,
        membrane_slots=2,
        theta_fraction_bits=0,
        output_bits=4,
        ramp=16,
        score_words=64,
        readout="ramp",
    ),
    "plain": Spec(
        neurons=16,
        lanes=1,
        depth=48,
        weight_bits=2,
        activation_bits=3,
        salient_bits=0,
        max_salient_shift=0,
        population_bits=6,
        membrane_bits=10,
        membrane_slots=2,
        theta_fraction_bits=2,
        output_bits=12,
        ramp=4,
        score_words=64,
    ),
}
"""Small accelerators that together contain everything that can be generated. Each plays random programs, valid and
invalid ones; the first also plays the short regression, which is made for it."""

INVALID_CYCLES = 6000
"""Clock cycles of a program without a defined number of results."""

LATEST_RESET = 2500
"""Latest clock cycle of the reset that ends an invalid program."""

ONE_BY_ONE = 0.95
"""Share of input pauses with which a run ends before the next one arrives."""

RARELY_READY = 0.99
"""Share of output pauses with which all queues towards the output fill."""

POINTS, COUNTS = "points.dat", "counts.json"


class CoverageFigures(Figures):
    """Coverage of all designs.

    Attributes:
        kinds: totals over all designs, by kind.
        designs: coverage by design and kind; points without a name of their own are missing with their definition.
        exclusions: points that need not be reached.
    """

    kinds: dict[str, Counts]
    designs: dict[str, dict[str, Coverage]]
    exclusions: list[Exclusion]

    @computed_field  # type: ignore[prop-decorator]
    @property
    def ok(self) -> bool:
        """Whether every point is reached, excluded, or proved to be unreachable."""
        return all(kind.share == 1 for kind in self.kinds.values())


class _ProgramCounts(Figures):
    """How often each point of the programs was reached, by name."""

    counts: dict[str, int]


class _Proofs(Figures):
    """Names of points that are proved to be unreachable, and of points without a proof."""

    never: tuple[str, ...] = ()
    open: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Design:
    """A design to measure.

    Attributes:
        name: key in ``DESIGNS``.
        sources: Verilog by file name, including the counters of events.
        scenes: the short regression; empty if it is not made for this design.
    """

    name: str
    sources: Mapping[str, str]
    scenes: Sequence[Scene]


def _play_all(design: _Design, *, seed: int, programs: int, steps: int, points: Path) -> Counter[Point]:
    """Play everything on one design; its simulator writes to ``points``, and what the programs reach is returned."""
    spec = DESIGNS[design.name]
    found: Counter[Point] = Counter()

    def seen(expected: list[Completed], received: list[Words]) -> None:
        found.update(program_points(spec, expected, received))

    arguments = [coverage_argument(points.resolve())]
    with SimulatedDevice(spec, sources=design.sources, options=COVERAGE_OPTIONS, arguments=arguments) as device:

        def play(packets: list[Words], traffic: Traffic = CALM) -> None:
            wanted = expected_results(spec, packets)
            error = first_error(spec, wanted, device.play(packets, len(wanted), traffic=traffic).packets)
            if error:
                raise SimulationError(f"{design.name}, {error}")

        play(single_runs(spec), Traffic(pause_in=ONE_BY_ONE, seed=seed))
        play(waiting_results(spec), Traffic(pause_out=RARELY_READY, seed=seed))
        _, failure = play_programs(device, seed, programs=programs, steps=steps, seen=seen)
        if failure:
            raise SimulationError(f"{design.name}, {failure}")
        random = Random(f"broken programs of {seed}")
        for _ in range(programs):
            packets = broken_program(spec, random, steps=steps)
            pause_in, pause_out = (random.choice((0.0, 0.5, 0.95)) for _ in range(2))
            cut = random.randint(1, LATEST_RESET)
            device.play(packets, len(packets), traffic=Traffic(pause_in, pause_out, random.getrandbits(31), cut))
        play(totals_program(spec))
        # more results than can come, so that the number of cycles ends the burst
        overflowing = overflowing_sums(spec)
        device.play(overflowing, len(overflowing), traffic=Traffic(cut=INVALID_CYCLES))
        for scene in design.scenes:
            certain = scene.results and scene.cut is None
            pause_in, pause_out = (share / 100 for share in scene.pauses)
            cut = 0 if certain else scene.cut or INVALID_CYCLES
            results = scene.results if certain else len(scene.packets) + 1
            device.play(scene.packets, results, traffic=Traffic(pause_in, pause_out, seed, cut))
    return found


def _counts(folder: Path, design: _Design, *, seed: int, programs: int, steps: int) -> Counter[Point]:
    """Count the points of one design and seed, unless an earlier run did."""
    played = [inspect.getsource(module) for module in (rare, random_programs)]
    numbers = repr((seed, programs, steps, ONE_BY_ONE, RARELY_READY, INVALID_CYCLES, LATEST_RESET))
    digest = digest_of([*design.sources.values(), bench_words(design.scenes), *played, numbers])

    def build(target: Path) -> None:
        found = _play_all(design, seed=seed, programs=programs, steps=steps, points=target / POINTS)
        _ProgramCounts(counts={point.name: count for point, count in found.items()}).write(target / COUNTS)

    kept = cached_build(folder, f"{design.name}-{seed}", digest, build)
    counts = _ProgramCounts.read(kept / COUNTS, what="counts").counts
    found = Counter({Point(PROGRAM, name): count for name, count in counts.items()})
    found.update(read_points(kept / POINTS, design.sources[GENERATED], list(events(DESIGNS[design.name]))))
    return found


def ruled_out(folder: Path, verilog: str, missing: Mapping[str, Coverage]) -> set[Point]:
    """Find lines and bits that were not reached and are proved to be unreachable.

    Args:
        folder: root of the answers of earlier runs, which are not asked for again.
        verilog: the design.
        missing: coverage by kind.
    """
    unseen = [Point(kind, name) for kind in (LINE, TOGGLE, UNNAMED) for name in missing[kind].missing]
    digest = digest_of([verilog, *PROOF_SOURCES])
    kept, name = ResultFolder(folder, _Proofs), f"proof-{digest[:16]}"
    known = kept.find(name, digest) or _Proofs()
    never = set(known.never)
    asked = {point.name for point in unseen} - never - set(known.open)
    if asked:
        proved = unreachable(verilog, sorted(asked))
        never |= proved
        kept.keep(
            name, digest, _Proofs(never=tuple(sorted(never)), open=tuple(sorted({*known.open, *(asked - proved)})))
        )
    return {point for point in unseen if point.name in never}


def measure(
    *, seeds: int, programs: int, steps: int, out: Path, progress: Callable[[str], None] = lambda _: None
) -> CoverageFigures:
    """Measure the coverage of random programs and the short regression.

    Args:
        seeds: runs of each design, each with its own programs.
        programs: valid programs of each run, and as many invalid ones.
        steps: packets of each program.
        out: folder of counts and proofs, from which a later run resumes.
        progress: called with a description of each step.

    Raises:
        InputError: a tool is missing, or the folder cannot be written to.
        SimulationError: a simulator could not be built or died, or a result is wrong.
        YosysError: a proof failed.
    """
    exclusions = read_exclusions(EXCLUSIONS)
    found: dict[str, dict[str, Coverage]] = {}
    for name, spec in DESIGNS.items():
        progress(f"design {name}")
        sources = {**accelerator_sources(spec, instances=True), f"{WATCH}.v": watch_verilog(spec)}
        design = _Design(name, sources, regression() if spec == SPEC else [])
        counts: Counter[Point] = Counter()
        for seed in range(1, seeds + 1):
            progress(f"design {name}, seed {seed}")
            counts.update(_counts(out, design, seed=seed, programs=programs, steps=steps))
        progress(f"design {name}, proofs of unreachable points")
        defined = definitions(sources[GENERATED], TOP)
        impossible = ruled_out(out, sources[GENERATED], coverage(counts, exclusions, defined=defined))
        kinds = coverage(counts, exclusions, impossible, defined=defined)
        found[name] = {
            kind: part.model_copy(update={"missing": [spelled(missing, defined) for missing in part.missing]})
            for kind, part in kinds.items()
        }
    fields = Counts.model_fields
    totals = {
        kind: Counts(**{field: sum(getattr(found[name][kind], field) for name in found) for field in fields})
        for kind in KINDS
    }
    return CoverageFigures(kinds=totals, designs=found, exclusions=exclusions)
