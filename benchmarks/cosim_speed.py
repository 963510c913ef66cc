"""Simulation speed of the cocotb bench, compared with a C++ program that plays the same words."""

import subprocess
import tempfile
from pathlib import Path
from statistics import median

from spikequant.cosim.simulator.build import SimulationError, accelerator_sources, compile_model, verilator_command
from spikequant.cosim.simulator.burst import BURST_IN, BURST_OUT, burst_bytes, recorded_packets
from spikequant.cosim.simulator.device import SimulatedDevice
from spikequant.cosim.simulator.verilator import tool_environment
from spikequant.golden.layer.spec import Spec
from spikequant.golden.layer.vectors import LayerVectors
from spikequant.golden.support.figures import Figures
from spikequant.rtl.driver.device import Played
from spikequant.rtl.driver.program import layer_program
from spikequant.rtl.packet_sizes import WORDS_PER_TRAILER
from spikequant.rtl.verilog import TOP

GOAL = 0.8
"""Least ratio of the bench's speed to that of the C++ program."""


class Speeds(Figures):
    """Speeds in thousand cycles per second.

    Attributes:
        cocotb: speed of the bench in each round.
        cpp: speed of the C++ program in each round.
        ratio: median over the rounds of the bench's speed divided by that of the C++ program.
        cycles: simulated cycles of one run.
        equal: both returned the same words.
    """

    cocotb: list[float]
    cpp: list[float]
    ratio: float
    cycles: int
    equal: bool


def build_program(spec: Spec, *, cache: Path | None = None) -> Path:
    """Build the C++ program around the spec's Verilog, with the options of the bench's own simulator.

    Raises:
        InputError: a tool is missing.
        SimulationError: Verilator or the compiler failed.
    """
    program = Path(__file__).with_suffix(".cpp")
    sources = {**accelerator_sources(spec), program.name: program.read_text(encoding="utf-8")}
    command = verilator_command(TOP, *reversed(sources))
    folder = compile_model("speed", sources, command, environment=tool_environment(), cache=cache)
    return folder / TOP


def play_program(program: Path, burst: bytes, results: int) -> Played:
    """Play a burst on the C++ program.

    Raises:
        SimulationError: the accelerator hangs.
    """
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


def measure(spec: Spec, vectors: LayerVectors, *, rounds: int, cache: Path | None = None) -> Speeds:
    """Play a layer on both, alternating, so that other load of the machine slows both.

    Raises:
        InputError: a tool is missing.
        SimulationError: a build or a run failed.
    """
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
            # a trailer counts cycles until it leaves, and one program waits longer after its reset
            same = (a[:-WORDS_PER_TRAILER].tolist() == b[:-WORDS_PER_TRAILER].tolist() for a, b in pairs)
            equal &= all(same) and pairs[-1][0].tolist() == pairs[-1][1].tolist()
    ratio = median(a / b for a, b in zip(cocotb, cpp, strict=True))
    return Speeds(cocotb=cocotb, cpp=cpp, ratio=ratio, cycles=ours.cycles, equal=equal)
