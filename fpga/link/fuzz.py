"""Fuzzing of the board's end of the serial line.

The hardware runs in Verilator next to a C++ reference that judges the same bytes: random frames, frames of other
sessions and positions, broken, cut, doubled and spliced ones, and garbage. Every word that reaches the accelerator must
be the next word of a frame that a board must accept. Every 500 frames all counters must agree, a good frame must pass,
and all words of the accelerator must have arrived.
"""

import json
import subprocess
from pathlib import Path

from amaranth.back import verilog
from amaranth.hdl import Signal, Value

from spikequant.cosim.simulator.program import build_program
from spikequant.fpga.link.link import Link
from spikequant.fpga.link.protocol import Identity
from spikequant.golden.support.errors import SpikeQuantError
from spikequant.golden.support.figures import Figures

NAME = "link"
HARNESS = Path(__file__).with_name("fuzz_link.cpp")

BUFFER_WORDS = 32
"""Small, so that buffers fill up and positions wrap around often."""


class FuzzError(SpikeQuantError):
    """The hardware broke the protocol, or hangs."""


class FuzzFigures(Figures):
    """Counts of a finished run; a failure raises ``FuzzError`` instead.

    Attributes:
        taken, damaged, refused, overruns: frames by what became of them.
        words: words delivered to the accelerator.
        answers: frames from the board.
        result_words: words from the accelerator that arrived.
    """

    seed: int
    ok: bool
    frames: int
    bytes: int
    taken: int
    damaged: int
    refused: int
    overruns: int
    sessions: int
    words: int
    answers: int
    result_words: int
    cycles: int
    seconds: float


def build_fuzzer(*, cache: Path) -> Path:
    """Compile the fuzzing program.

    Raises:
        InputError: a tool is missing.
        SimulationError: Verilator or the compiler failed.
    """
    link = Link(Identity(name="Fuzz", digest=0xC0DBDCDD_00C0C0DB), buffer_words=BUFFER_WORDS)
    members = (("_".join(path), Value.cast(value)) for path, _, value in link.signature.flatten(link))
    # the ready signal of a stream that is always ready is a constant
    ports = {name: (value, None) for name, value in members if isinstance(value, Signal)}
    text = verilog.convert(link, name=NAME, ports=ports, emit_src=False, strip_internal_attrs=True)
    return build_program(NAME, {HARNESS.name: HARNESS.read_text(), f"{NAME}.v": text}, cache=cache)


def fuzz(program: Path, *, frames: int, seed: int, seconds: float) -> FuzzFigures:
    """Send at least ``frames`` random frames.

    Raises:
        FuzzError: the hardware broke the protocol, or the run takes longer than ``seconds``.
    """
    try:
        process = subprocess.run(
            [program, str(frames), str(seed), str(BUFFER_WORDS)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise FuzzError(f"seed {seed}: not finished after {seconds:g} s") from None
    if process.returncode:
        raise FuzzError(f"seed {seed}: {process.stdout.strip() or f'status {process.returncode}'}")
    return FuzzFigures(seed=seed, **json.loads(process.stdout))
