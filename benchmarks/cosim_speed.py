"""Cost of cocotb: the same words played with it and without it, alternately, in one run."""

# Commands import what they need when they run, so that --help answers at once.

import subprocess
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Annotated

import typer

from spikequant.golden.support.command_line import run_command
from spikequant.golden.support.options import JsonFile, SpecName

if TYPE_CHECKING:
    from spikequant.golden.layer.spec import Spec
    from spikequant.golden.layer.vectors import LayerVectors
    from spikequant.rtl.driver.device import Played

GOAL = 0.8
"""Of the speed of the C++ program, which the bench must reach."""


@dataclass(frozen=True)
class Speeds:
    """Speeds in thousand cycles per second.

    Attributes:
        cocotb: of the bench, one for each round.
        cpp: of the C++ program that plays the same words, taking turns with it.
        ratio: median over the rounds of the bench's speed over that of the C++ program.
        cycles: of one run.
        equal: both gave the same words.
    """

    cocotb: list[float]
    cpp: list[float]
    ratio: float
    cycles: int
    equal: bool


def build_program(spec: "Spec", *, cache: Path | None = None) -> Path:
    """The C++ program around the spec's Verilog, with the options of the bench's own simulator.

    Raises:
        InputError: a tool is missing.
        SimulationError: Verilator or the compiler failed.
    """
    from spikequant.cosim.simulator.build import accelerator_sources, compile_model
    from spikequant.rtl.verilog import TOP

    program = Path(__file__).with_suffix(".cpp")
    sources = {**accelerator_sources(spec), program.name: program.read_text(encoding="utf-8")}
    return compile_model("speed", TOP, sources, cache=cache) / TOP


def play_program(program: Path, burst: bytes, results: int) -> "Played":
    """Play a burst on the C++ program.

    Raises:
        SimulationError: the accelerator hangs.
    """
    from spikequant.cosim.simulator.build import SimulationError
    from spikequant.cosim.simulator.burst import BURST_IN, BURST_OUT, recorded_packets
    from spikequant.rtl.driver.device import Played

    with tempfile.TemporaryDirectory(prefix="spikequant-") as name:
        folder = Path(name)
        (folder / BURST_IN).write_bytes(burst)
        command = [str(program), str(folder / BURST_IN), str(folder / BURST_OUT), str(results)]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        if ended.returncode:
            raise SimulationError(f"{program} failed with status {ended.returncode}")
        cycles, seconds = ended.stdout.split()
        packets = recorded_packets((folder / BURST_OUT).read_bytes())
        return Played(packets=packets, cycles=int(cycles), seconds=float(seconds))


def measure(spec: "Spec", vectors: "LayerVectors", *, rounds: int, cache: Path | None = None) -> Speeds:
    """Play a layer with both, by turns, so that whatever else the machine does slows both.

    Raises:
        InputError: a tool is missing.
        SimulationError: a build or a run failed.
    """
    from spikequant.cosim.simulator.burst import burst_bytes
    from spikequant.cosim.simulator.device import SimulatedDevice
    from spikequant.rtl.driver.program import layer_program
    from spikequant.rtl.packet_sizes import WORDS_PER_TRAILER

    program = layer_program(spec, vectors)
    results = len(program.places)
    burst = burst_bytes(program.packets)
    other = build_program(spec, cache=cache)
    cocotb, cpp, equal = [], [], True
    with SimulatedDevice(spec, cache=cache) as device:
        for _ in range(rounds):
            ours = device.play(program.packets, results)
            theirs = play_program(other, burst, results)
            cocotb.append(ours.cycles / ours.seconds / 1e3)
            cpp.append(theirs.cycles / theirs.seconds / 1e3)
            pairs = list(zip(ours.packets, theirs.packets, strict=True))
            # the totals are those of the cycle in which they leave, and one program waits longer after its reset
            same = (a[:-WORDS_PER_TRAILER].tolist() == b[:-WORDS_PER_TRAILER].tolist() for a, b in pairs)
            equal &= all(same) and pairs[-1][0].tolist() == pairs[-1][1].tolist()
    ratio = median(a / b for a, b in zip(cocotb, cpp, strict=True))
    return Speeds(cocotb=cocotb, cpp=cpp, ratio=ratio, cycles=ours.cycles, equal=equal)


def speed(
    config: SpecName = "base",
    tokens: Annotated[int, typer.Option(metavar="T", min=1, help="tokens of a random layer")] = 8,
    rounds: Annotated[int, typer.Option(metavar="N", min=1, help="turns that each takes")] = 7,
    json_file: JsonFile = None,
) -> None:
    """Simulate a random layer of 576 x 1536 in cocotb's bench and in bare C++, and compare their speeds.

    Exit status 0 if both give the same words and the bench has at least 0.8 of the speed, 1 if not.
    """
    from rich.console import Console

    from spikequant.cosim.simulator.build import SimulationError
    from spikequant.golden.layer.random_layers import random_vectors
    from spikequant.golden.layer.spec import load_spec
    from spikequant.golden.support.files import check_writable, write_json

    spec = load_spec(config)
    if json_file is not None:
        check_writable(json_file)
    vectors = random_vectors(spec, outputs=576, inputs=1536, tokens=tokens, salient_fraction=0.02, seed=1)
    try:
        with Console(stderr=True).status("simulating"):
            speeds = measure(spec, vectors, rounds=rounds)
    except SimulationError as error:
        typer.echo(f"spikequant.benchmarks.cosim_speed: {error}", err=True)
        raise typer.Exit(1) from None
    ok = speeds.equal and speeds.ratio >= GOAL
    if json_file is not None:
        write_json(json_file, {"ok": ok, "config": config, "tokens": tokens, **asdict(speeds)})
    typer.echo(
        f"{speeds.cycles} cycles of {spec.neurons} x {spec.lanes}, {rounds} turns each, in thousand cycles/s\n"
        f"cocotb: median {median(speeds.cocotb):.0f}, best {max(speeds.cocotb):.0f}\n"
        f"C++:    median {median(speeds.cpp):.0f}, best {max(speeds.cpp):.0f}\n"
        f"cocotb / C++: {speeds.ratio:.2f}, expected {GOAL} or more; "
        f"{'same words' if speeds.equal else 'DIFFERENT WORDS'}"
    )
    if not ok:
        raise typer.Exit(1)


if __name__ == "__main__":
    run_command(speed, name="spikequant.benchmarks.cosim_speed")
