"""Fuzz the board's end of the serial line: ``python -m spikequant.fpga.link.fuzz --frames 1000000``.

The hardware runs in Verilator beside a reference in C++ that judges the very bytes it gets: random frames, frames of
other sessions and positions, broken, cut, doubled and spliced ones, and garbage. Every word that reaches the
accelerator must be the next one of a frame that a board must take; every 500 frames all counters must agree, a good
frame must pass, and all words of the accelerator must arrive.
"""

import json
import subprocess
from pathlib import Path
from typing import Annotated, Any

import typer
from amaranth.back import verilog
from amaranth.hdl import Signal, Value

from spikequant.fpga.link.link import Link
from spikequant.fpga.link.protocol import Identity
from spikequant.fpga.native import build_program
from spikequant.golden.support.command_line import run_command
from spikequant.golden.support.errors import SpikeQuantError
from spikequant.golden.support.files import check_writable, write_json
from spikequant.golden.support.options import JsonFile
from spikequant.golden.support.store import default_cache_folder

NAME = "link"
HARNESS = Path(__file__).with_name("fuzz_link.cpp")

BUFFER_WORDS = 32
"""Small, so that buffers fill up and positions go round often."""


class FuzzError(SpikeQuantError):
    """The hardware did what it must not, or hangs: one line."""


def build_fuzzer(*, cache: Path) -> Path:
    """The program that fuzzes.

    Raises:
        InputError: a tool is missing.
        ToolError: it cannot be compiled.
    """
    link = Link(Identity(name="Fuzz", digest=0xC0DBDCDD_00C0C0DB), buffer_words=BUFFER_WORDS)
    members = (("_".join(path), Value.cast(value)) for path, _, value in link.signature.flatten(link))
    # the ready signal of a stream that is always ready is a constant
    ports = {name: (value, None) for name, value in members if isinstance(value, Signal)}
    text = verilog.convert(link, name=NAME, ports=ports, emit_src=False, strip_internal_attrs=True)
    return build_program(NAME, {HARNESS.name: HARNESS.read_text(), f"{NAME}.v": text}, cache=cache)


def fuzz(program: Path, *, frames: int, seed: int, seconds: float) -> dict[str, Any]:
    """Send that many frames, and give the figures.

    Raises:
        FuzzError: something is wrong, or it takes longer than ``seconds``.
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
        raise FuzzError(f"seed {seed}: not over after {seconds:g} s") from None
    if process.returncode:
        raise FuzzError(f"seed {seed}: {process.stdout.strip() or f'status {process.returncode}'}")
    return {"seed": seed, **json.loads(process.stdout)}


def main(
    frames: Annotated[int, typer.Option(metavar="N", min=1, help="frames to send")] = 1_000_000,
    seed: Annotated[int, typer.Option(min=0, help="of all that is random")] = 1,
    seconds: Annotated[float, typer.Option(metavar="S", min=1.0, help="time after which it hangs")] = 3600.0,
    json_file: JsonFile = None,
) -> None:
    """Fuzz the board's end of the serial line. Exit status 0 if nothing is wrong, 1 if something is."""
    from rich.console import Console

    if json_file is not None:
        check_writable(json_file)
    with Console(stderr=True).status(f"sending {frames} frames"):
        figures = fuzz(build_fuzzer(cache=default_cache_folder()), frames=frames, seed=seed, seconds=seconds)
    if json_file is not None:
        write_json(json_file, figures)
    typer.echo(", ".join(f"{value} {name}" for name, value in figures.items() if name not in {"ok", "seed"}))


if __name__ == "__main__":
    run_command(main, name="spikequant.fpga.link.fuzz")
