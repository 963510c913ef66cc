"""Proofs by Yosys alone that the primitive form of a circuit equals its portable form."""

import subprocess
from collections.abc import Callable
from pathlib import Path

from amaranth.back import verilog
from amaranth.lib.wiring import Component
from amaranth_boards.ulx3s import ULX3S_85F_Platform

from spikequant.cosim.formal.fabric import MODELS, SideBySide
from spikequant.fpga.toolchain import find_tool


def text_of(circuit: Callable[[], Component]) -> str:
    return verilog.convert(SideBySide(circuit), name="both", platform=ULX3S_85F_Platform(), strip_internal_attrs=True)


def proof(text: str, folder: Path, method: str = "-show-inputs") -> subprocess.CompletedProcess[str]:
    """Run a proof that the forms never differ."""
    (folder / "both.v").write_text(text)
    script = [
        f"read_verilog -D NO_INCLUDES {MODELS}",
        "read_verilog both.v",
        "hierarchy -check -top both",
        "proc",
        "flatten",
        f"sat -verify -prove differs 0 -set-def-inputs {method} both",
    ]
    command = [str(find_tool("yosys").path), "-q", "-p", "; ".join(script)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=120)
