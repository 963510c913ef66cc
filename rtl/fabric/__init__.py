"""ECP5 primitives, each with a portable twin: carry chains, memories, queues."""

from pathlib import Path

CELL_MODELS = Path(__file__).with_name("models")
"""Verilog of what the blocks do that Yosys has no model of, or none that holds."""
