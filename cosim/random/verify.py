"""Random accelerators under random packets, until one errs.

A seed is an accelerator and its programs. What a seed gave is kept; a run that is broken off goes on.
"""

import json
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from random import Random
from typing import Annotated, Any

import typer
from rich.progress import Progress

from spikequant.cosim.diagnosis.trace_probe import PROBE, WAVES, WINDOW_OPTIONS, probe_verilog
from spikequant.cosim.random.programs import random_program, random_spec
from spikequant.cosim.simulator.build import SimulationError, accelerator_sources
from spikequant.cosim.simulator.burst import Traffic
from spikequant.cosim.simulator.device import SimulatedDevice
from spikequant.golden.layer.spec import Spec
from spikequant.golden.support.command_line import run_command
from spikequant.golden.support.errors import InputError
from spikequant.golden.support.files import check_writable, writable_folder, write_json
from spikequant.golden.support.options import JsonFile
from spikequant.golden.support.store import digest_of
from spikequant.rtl.driver.packet_model import Completed, PacketModel
from spikequant.rtl.driver.packets import PacketError, Words, parse_result

MOST_CUT = 4000
"""Cycle up to which a program may be broken off by a reset."""


@dataclass(frozen=True)
class SeedResult:
    """What a seed gave.

    Attributes:
        seed: which.
        spec: its accelerator.
        design: digest of its Verilog.
        steps: packets of each program behind those that load it.
        programs: that were right; all of the seed's, unless there is a failure.
        packets, results, outputs: of them.
        resets: programs that were broken off by a reset, and played again.
        cycles: simulated.
        seconds: wall time.
        failure: one line on the program behind them; empty if there is none.
    """

    seed: int
    spec: dict[str, Any]
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


def seed_spec(seed: int) -> Spec:
    """The accelerator of a seed."""
    return random_spec(Random(f"spec of {seed}"))


def design_of(sources: Mapping[str, str]) -> str:
    """Digest of a design's files."""
    return digest_of([part for text in sorted(sources.items()) for part in text])


def expected_results(spec: Spec, packets: list[Words]) -> list[Completed]:
    """What the packets are to give."""
    model = PacketModel(spec)
    return [completed for packet in packets if (completed := model.take(packet)) is not None]


def first_error(spec: Spec, expected: list[Completed], received: list[Words]) -> str:
    """One line on the first result that is not as it should be; empty if there is none.

    Raises:
        PacketError: a broken packet.
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
    """A program of a seed, how it is played, and the cycle in which it is broken off before; 0 if it is not."""
    random = Random(f"program {number} of {seed}")
    packets = random_program(spec, random, steps=steps)
    pauses = [random.choice((0.0, 0.0, 0.3, 0.9)) for _ in range(2)]
    cut = random.randrange(1, MOST_CUT) if random.random() < 0.4 else 0
    return packets, Traffic(pause_in=pauses[0], pause_out=pauses[1], seed=random.getrandbits(31)), cut


@dataclass
class Played:
    """Programs that were right, up to the first that was not.

    Attributes:
        programs: how many.
        packets, results: of them.
        resets: programs that were broken off by a reset, and played again.
        cycles: simulated.
        failure: one line on the program behind them; empty if there is none.
    """

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
    """Random programs on an accelerator, up to the first that fails.

    Args:
        device: the accelerator.
        seed: of the programs.
        programs: how many.
        steps: packets of each behind those that load it.
        seen: given the results of each program that was right, as they were to be and as they came.
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
    """All programs of a seed, up to the first that fails.

    Args:
        seed: which.
        programs: how many.
        steps: packets of each behind those that load it.
        sources: Verilog of the seed's accelerator by file name.
        waves: folder for a waveform of the program that fails; None for none, and for a faster simulator.

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
        spec=spec.model_dump(),
        design=design_of(sources),
        steps=steps,
        outputs=played.results * spec.neurons,
        seconds=time.perf_counter() - began,
        **asdict(played),
    )


def kept_result(path: Path, design: str, *, programs: int, steps: int) -> dict[str, Any] | None:
    """What an earlier run gave for the same design, if it was right and had the same programs."""
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    same = (found.get("design"), found.get("programs"), found.get("steps")) == (design, programs, steps)
    return found if same and not found.get("failure") else None


def _range(text: str) -> range:
    first, _, last = text.partition("-")
    if not first.isdecimal() or not (last or first).isdecimal():
        raise InputError(f"seeds {text!r}: expected a number, or two with a - between, such as 1-40")
    return range(int(first), int(last or first) + 1)


def verify(
    seeds: Annotated[str, typer.Option(metavar="A-B", help="seeds to run, first to last")] = "1-40",
    programs: Annotated[int, typer.Option(min=1, help="of each seed")] = 40,
    steps: Annotated[int, typer.Option(min=1, help="packets of each program")] = 200,
    minutes: Annotated[float, typer.Option(help="begin no seed after so long")] = 1e9,
    out: Annotated[Path, typer.Option(metavar="DIR", help="where results are kept")] = Path("build/verify"),
    waves: Annotated[
        Path | None, typer.Option(metavar="DIR", help="write a waveform of what fails", show_default=False)
    ] = None,
    json_file: JsonFile = None,
) -> None:
    """Run random packets on random accelerators, and compare all results with what the packets mean.

    Exit status 0 if all are equal, 1 if not, 2 for bad input.
    """
    numbers = _range(seeds)
    writable_folder(out)
    if json_file is not None:
        check_writable(json_file)
    began = time.perf_counter()
    found: list[dict[str, Any]] = []
    with Progress(transient=True) as bar:
        task = bar.add_task("verifying", total=len(numbers))
        for seed in numbers:
            if time.perf_counter() - began > minutes * 60:
                break
            path = out / f"seed-{seed}.json"
            sources = accelerator_sources(seed_spec(seed))
            kept = None if waves else kept_result(path, design_of(sources), programs=programs, steps=steps)
            if kept is None:
                kept = asdict(run_seed(seed, programs=programs, steps=steps, sources=sources, waves=waves))
                write_json(path, kept)
            found.append(kept)
            bar.update(task, advance=1, description=f"seed {seed}")
    failed = [one for one in found if one["failure"]]
    counts = ("programs", "packets", "results", "outputs", "resets", "cycles")
    total = {key: sum(one[key] for one in found) for key in counts}
    typer.echo(
        f"{len(found)} accelerators, {total['programs']} programs, {total['packets']} packets, "
        f"{total['results']} results, {total['outputs']} outputs, {total['resets']} resets in the middle, "
        f"{total['cycles']} cycles: {len(failed)} failed"
    )
    for one in failed:
        typer.echo(f"seed {one['seed']}, {one['failure']}", err=True)
        typer.echo(
            f"  python -m spikequant.cosim.random.verify --seeds {one['seed']} --programs {programs} "
            f"--steps {steps} --waves build/waves",
            err=True,
        )
    if json_file is not None:
        write_json(json_file, {"ok": not failed, **total, "seeds": found})
    if failed:
        raise typer.Exit(1)


if __name__ == "__main__":
    run_command(verify, name="spikequant.cosim.random.verify")
