"""ECP5 primitives, each with portable logic of identical behaviour: carry chains, registers, memories, queues."""

from pathlib import Path

from amaranth.vendor import LatticePlatform

CELL_MODELS = Path(__file__).with_name("models")
"""Folder of Verilog models of primitives that Yosys has no model of, or an incorrect one."""


def on_ecp5(platform: object) -> bool:
    """Whether a design is elaborated for an ECP5."""
    return isinstance(platform, LatticePlatform) and platform.device.startswith("LFE5")
