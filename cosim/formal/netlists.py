"""What Yosys makes of the accelerator behaves as the design that it was made from, cycle by cycle, for ever."""

from collections.abc import Iterator
from functools import partial

from cosim.formal.circuit import Circuit
from cosim.formal.property import Property, Reachable
from fpga.build import FLATTEN, NAME, find_tools, synthesize
from fpga.netlist import accelerator_design, yosys_models
from gen.cache import default_cache_folder
from golden.spec import PRESETS, Spec

GOLD, GATE = f"{NAME}.il", f"{NAME}.json"
"""The design for the device, with the cells that it names itself, and the netlist."""

BLOCKS = "t:DP16KD t:PDPW16KD t:MULT18X18D"
"""Cells that are no logic. The design names each of them, so they are the same on both sides: what they are given is
compared, and what they give is anything, the same on both sides."""

BOXES = ("cells_bb.v", "cells_sim.v")
MODELS = ("ccu2c_sim.vh", "common_sim.vh")
"""Yosys's own descriptions of the ECP5's cells: which there are, and what those do that are logic."""


def netlist_and_design(spec: Spec) -> Circuit:
    """Both on the same inputs, from the state that a configuration leaves the device in, with a check of all ports."""
    design = accelerator_design(spec)
    netlist = synthesize(design, find_tools(), cache=default_cache_folder()) / GATE
    files = {GOLD: design.files[GOLD].decode(), GATE: netlist.read_text(encoding="utf-8")}
    for name in BOXES + MODELS:
        files[name] = f"`define NO_INCLUDES\n{(yosys_models() / name).read_text(encoding='utf-8')}"

    def side(name: str, *reads: str) -> tuple[str, ...]:
        return (
            "design -reset",
            *reads,
            f"read_verilog -lib {' '.join(BOXES)}",
            f"read_verilog -overwrite {' '.join(MODELS)}",
            f"hierarchy -check -top {NAME}",
            "proc",
            "flatten -wb",
            "memory_map",
            "opt_clean",
            f"expose -evert {BLOCKS}",
            "setattr -unset keep *",
            "opt_clean -purge",
            f"rename {NAME} {name}",
            f"design -stash {name}",
        )

    commands = (
        *side("gold", f"read_rtlil {GOLD}", FLATTEN),
        # the descriptions of the cells come with the netlist, too
        *side("gate", f"read_json {GATE}", "delete =A:blackbox =A:whitebox =A:lib_whitebox"),
        "design -reset",
        "design -copy-from gold -as gold gold",
        "design -copy-from gate -as gate gate",
        "miter -equiv -make_assert -flatten gold gate miter",
        "hierarchy -top miter",
    )
    return Circuit(files, commands)


def properties() -> Iterator[Property]:
    """A small accelerator; larger ones take longer than a proof is given."""
    yield Property(
        name="netlist.tiny",
        component="Accelerator, tiny, behind synthesis",
        specification="the netlist gives what the design gives, to ports and to block RAMs",
        method=Reachable(),
        circuit=partial(netlist_and_design, PRESETS["tiny"]),
        solver="abc",
    )
