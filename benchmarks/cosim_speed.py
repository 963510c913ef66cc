"""Cost of cocotb: the same words played with and without it, alternately, in one run."""

import subprocess
import tempfile
from pathlib import Path
from statistics import median

from spikequant.cosim.simulator.build import SimulationError, accelerator_sources, compile_model
from spikequant.cosim.simulator.burst import BURST_IN, BURST_OUT, burst_bytes, recorded_packets
from spikequant.cosim.simulator.device import SimulatedDevice
from spikequant.golden.layer.spec import Spec
from spikequant.golden.layer.vectors import LayerVectors
from spikequant.golden.support.figures import Figures
from spikequant.rtl.driver.device import Played
from spikequant.rtl.driver.program import layer_program
from spikequant.rtl.packet_sizes import WORDS_PER_TRAILER
from spikequant.rtl.verilog import TOP

GOAL = 0.8
"""Least speed of the bench, as a fraction of the C++ program's."""


class Speeds(Figures):
    """Speeds in thousand cycles per second.

    Attributes:
        ok: the words are equal, and the bench is fast enough.
        cocotb: of the bench, one for each round.
        cpp: of the C++ program that plays the same words, alternating with the bench.
        ratio: speed of the bench over that of the C++ program, median over the rounds.
        cycles: clock cycles of one run.
        equal: whether both returned the same words.
    """

    ok: bool
    cocotb: list[float]
    cpp: list[float]
    ratio: float
    cycles: int
    equal: bool


class SpeedFigures(Speeds):
    """Speeds, and what ran.

    Attributes:
        config: preset or file of the accelerator.
        tokens: tokens of the layer.
    """

    config: str
    tokens: int


def build_program(spec: Spec, *, cache: Path | None = None) -> Path:
    """The C++ program around the spec's Verilog, with the options of the bench's own simulator.

    Raises:
        InputError: a tool is missing.
        SimulationError: Verilator or the compiler failed.
    """
    program = Path(__file__).with_suffix(".cpp")
    sources = {**accelerator_sources(spec), program.name: program.read_text(encoding="utf-8")}
    return compile_model("speed", TOP, sources, cache=cache) / TOP


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
    """Play a layer with both, alternately, so that other load on the machine slows both.

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
            # the totals are those of the cycle in which they leave, and one program waits longer after its reset
            same = (a[:-WORDS_PER_TRAILER].tolist() == b[:-WORDS_PER_TRAILER].tolist() for a, b in pairs)
            equal &= all(same) and pairs[-1][0].tolist() == pairs[-1][1].tolist()
    ratio = median(a / b for a, b in zip(cocotb, cpp, strict=True))
    return Speeds(ok=equal and ratio >= GOAL, cocotb=cocotb, cpp=cpp, ratio=ratio, cycles=ours.cycles, equal=equal)
