"""``make coverage``: what random programs and the short regression reach, and what they do not."""

import inspect
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import Annotated

import typer

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
    Coverage,
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
from spikequant.golden.support.command_line import run_command
from spikequant.golden.support.files import check_writable, writable_folder, write_json
from spikequant.golden.support.options import JsonFile
from spikequant.golden.support.store import digest_of
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
"""Small accelerators that have all that can be built between them; random programs are played on each, right
ones and such as break rules, and the short regression on the one that it is made for."""

BROKEN_CYCLES = 6000
"""For a scene that has no certain number of results."""

LATEST_RESET = 2500
"""Cycle in which a program against the rules ends at the latest."""


ONE_BY_ONE = 0.95
"""Share of cycles without a word, so that a run is over before the next one is there."""

HARDLY_TAKEN = 0.99
"""Share of cycles without room for a result's word, so that all queues on the way out fill."""


@dataclass(frozen=True)
class Design:
    """What is played on.

    Attributes:
        name: in ``DESIGNS``.
        sources: Verilog by file name, with what is watched.
        scenes: of the short regression, to be played too.
    """

    name: str
    sources: Mapping[str, str]
    scenes: Sequence[Scene]


def _measure(design: Design, *, seed: int, programs: int, steps: int, points: Path) -> Counter[Point]:
    """Play it all on one design; ``points`` is where its simulator writes."""
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

        play(single_runs(spec), Traffic(pause_in=ONE_BY_ONE, pause_out=0.0, seed=seed))
        play(waiting_results(spec), Traffic(pause_in=0.0, pause_out=HARDLY_TAKEN, seed=seed))
        played = play_programs(device, seed, programs=programs, steps=steps, seen=seen)
        if played.failure:
            raise SimulationError(f"{design.name}, {played.failure}")
        random = Random(f"broken programs of {seed}")
        for _ in range(programs):
            packets = broken_program(spec, random, steps=steps)
            pause_in, pause_out = (random.choice((0.0, 0.5, 0.95)) for _ in range(2))
            cut = random.randint(1, LATEST_RESET)
            traffic = Traffic(pause_in=pause_in, pause_out=pause_out, seed=random.getrandbits(31), cut=cut)
            device.play(packets, len(packets), traffic=traffic)
        play(totals_program(spec))
        # more results than can come, so that the end is that of the cycles
        overflowing = overflowing_sums(spec)
        device.play(overflowing, len(overflowing), traffic=Traffic(cut=BROKEN_CYCLES))
        for scene in design.scenes:
            certain = scene.results and scene.cut is None
            pause_in, pause_out = (share / 100 for share in scene.pauses)
            cut = 0 if certain else scene.cut or BROKEN_CYCLES
            traffic = Traffic(pause_in=pause_in, pause_out=pause_out, seed=seed, cut=cut)
            device.play(scene.packets, scene.results if certain else len(scene.packets) + 1, traffic=traffic)
    return found


def _kept(folder: Path, design: Design, *, seed: int, programs: int, steps: int) -> Counter[Point]:
    """Counts of one design and seed, from an earlier run if there was one."""
    played = [inspect.getsource(module) for module in (rare, random_programs)]
    numbers = repr((seed, programs, steps, ONE_BY_ONE, HARDLY_TAKEN, BROKEN_CYCLES, LATEST_RESET))
    parts: list[str | bytes] = [*design.sources.values(), bench_words(design.scenes), *played, numbers]
    base = folder / f"{design.name}-{seed}-{digest_of(parts)[:16]}"
    points, counts = base.with_suffix(".dat"), base.with_suffix(".json")
    if not counts.is_file() or not points.is_file():
        found = _measure(design, seed=seed, programs=programs, steps=steps, points=points)
        write_json(counts, {point.name: count for point, count in found.items()})
    kept = Counter({Point(PROGRAM, key): count for key, count in json.loads(counts.read_text("utf-8")).items()})
    kept.update(read_points(points, design.sources[GENERATED], list(events(DESIGNS[design.name]))))
    return kept


def _ruled_out(folder: Path, verilog: str, missing: Mapping[str, Coverage]) -> set[Point]:
    """Lines and bits that were not reached and cannot be; what earlier runs have proved, or could not, is kept."""
    unseen = [Point(kind, name) for kind in (LINE, TOGGLE, UNNAMED) for name in missing[kind].missing]
    kept = folder / f"proof-{digest_of([verilog, *PROOF_SOURCES])[:16]}.json"
    known = json.loads(kept.read_text("utf-8")) if kept.is_file() else {"never": [], "open": []}
    never, unanswered = set(known["never"]), set(known["open"])
    asked = {point.name for point in unseen} - never - unanswered
    if asked:
        proved = unreachable(verilog, sorted(asked))
        never |= proved
        write_json(kept, {"never": sorted(never), "open": sorted(unanswered | (asked - proved))})
    return {point for point in unseen if point.name in never}


def _total(parts: list[Coverage]) -> dict[str, int | float]:
    sums = {key: sum(getattr(part, key) for part in parts) for key in ("points", "excluded", "impossible", "reached")}
    return sums | {"share": Coverage(**sums, missing=[]).share}


def measure(
    seeds: Annotated[int, typer.Option(min=1, help="runs of each design, with programs of their own")] = 1,
    programs: Annotated[int, typer.Option(min=1, help="of each run, and as many against the rules")] = 300,
    steps: Annotated[int, typer.Option(min=1, help="packets of each program")] = 120,
    out: Annotated[Path, typer.Option(metavar="DIR", help="where counts are kept")] = Path("build/coverage"),
    show: Annotated[int, typer.Option(min=0, help="names to print of what is not reached, of each kind")] = 20,
    json_file: JsonFile = None,
) -> None:
    """Count what random programs and the short regression reach: lines, bits, events, and values.

    Bits that were not seen to change are set aside where that is proved to be impossible. Exit status 0 if all else is
    reached but for what is excluded, 1 if not, 2 for bad input.
    """
    from rich.console import Console
    from rich.table import Table

    writable_folder(out)
    if json_file is not None:
        check_writable(json_file)
    exclusions = read_exclusions(EXCLUSIONS)
    found: dict[str, dict[str, Coverage]] = {}
    meanings: dict[str, dict[str, str]] = {}
    for name, spec in DESIGNS.items():
        counts: Counter[Point] = Counter()
        with Console(stderr=True).status(f"design {name}") as status:
            sources = {**accelerator_sources(spec), f"{WATCH}.v": watch_verilog(spec)}
            design = Design(name, sources, regression() if spec == SPEC else [])
            for seed in range(1, seeds + 1):
                status.update(f"design {name}, seed {seed}")
                counts.update(_kept(out, design, seed=seed, programs=programs, steps=steps))
            status.update(f"design {name}, proving what cannot be reached")
            meanings[name] = defined = definitions(sources[GENERATED], TOP)
            ruled_out = _ruled_out(out, sources[GENERATED], coverage(counts, exclusions, defined=defined))
        found[name] = coverage(counts, exclusions, ruled_out, defined=defined)

    table = Table(box=None, pad_edge=False)
    for title in ("kind", "points", "excluded", "impossible", "reached", "share"):
        table.add_column(title, justify="left" if title == "kind" else "right")
    totals = {kind: _total([found[name][kind] for name in found]) for kind in KINDS}
    for kind, row in totals.items():
        numbers = [str(row[key]) for key in ("points", "excluded", "impossible", "reached")]
        table.add_row(kind, *numbers, f"{row['share']:.2%}")
    Console().print(table)
    for name, kinds in found.items():
        for kind, part in kinds.items():
            for missing in part.missing[:show]:
                typer.echo(f"not reached: {name}, {kind}: {spelled(missing, meanings[name])}")
            if len(part.missing) > show:
                typer.echo(f"not reached: {name}, {kind}: and {len(part.missing) - show} more")
    ok = all(row["share"] == 1 for row in totals.values())
    if json_file is not None:
        designs = {name: {kind: asdict(part) for kind, part in kinds.items()} for name, kinds in found.items()}
        rules = [{"kind": one.kind, "name": one.pattern.pattern, "reason": one.reason} for one in exclusions]
        write_json(json_file, {"ok": ok, "kinds": totals, "designs": designs, "exclusions": rules})
    if not ok:
        raise typer.Exit(1)


if __name__ == "__main__":
    run_command(measure, name="spikequant.cosim.coverage")
