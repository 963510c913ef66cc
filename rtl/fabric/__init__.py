"""ECP5 primitives, each with portable logic of identical behaviour: carry chains, registers, memories, queues."""

from pathlib import Path

from amaranth.vendor import LatticePlatform

CELL_MODELS = Path(__file__).with_name("models")
"""Folder of Verilog models of primitives that Yosys has no model of, or an incorrect one."""


def on_ecp5(platform: object) -> bool:
    """Whether a design is elaborated for an ECP5."""
    return isinstance(platform, LatticePlatform) and platform.device.startswith("LFE5")


class Ecp5(LatticePlatform):
    """An ECP5 without a board, as a platform that selects the fabric of blocks."""

    device = "LFE5U-85F"
    package = "BG381"
    speed = "6"
    resources = ()
    connectors = ()
