"""Properties of synthesis: the accelerator's netlist is equivalent to its design in every cycle."""

from collections.abc import Callable, Iterator
from functools import partial

from spikequant.cosim.formal.circuit import Circuit
from spikequant.cosim.formal.property import Property, Reachable
from spikequant.cosim.netlist import Synthesis
from spikequant.golden.layer.spec import PRESETS, Spec

GOLD, GATE = "gold.il", "gate.json"

BLOCKS = "t:DP16KD t:PDPW16KD t:MULT18X18D"
"""Cells that are not logic. The design instantiates them, so both sides have the same ones: their inputs are compared,
and their outputs are arbitrary but equal on both sides."""


def netlist_and_design(synthesize: Callable[[Spec], Synthesis], spec: Spec) -> Circuit:
    """Make a miter of netlist and design with a check of all ports, starting from the device's configured state."""
    made = synthesize(spec)
    cells = f"read_verilog -D NO_INCLUDES -lib {' '.join(made.cells)}"
    models = f"read_verilog -D NO_INCLUDES -overwrite {' '.join(made.models)}"

    def side(name: str, *reads: str) -> tuple[str, ...]:
        return (
            "design -reset",
            *reads,
            cells,
            models,
            f"hierarchy -check -top {made.top}",
            "proc",
            "flatten -wb",
            "memory_map",
            "opt_clean",
            f"expose -evert {BLOCKS}",
            "setattr -unset keep *",
            "opt_clean -purge",
            f"rename {made.top} {name}",
            f"design -stash {name}",
        )

    commands = (
        *side("gold", f"read_rtlil {GOLD}", made.flatten),
        # the netlist contains declarations of the cells, too
        *side("gate", f"read_json {GATE}", "delete =A:blackbox =A:whitebox =A:lib_whitebox"),
        "design -reset",
        "design -copy-from gold -as gold gold",
        "design -copy-from gate -as gate gate",
        "miter -equiv -make_assert -flatten gold gate miter",
        "hierarchy -top miter",
    )
    return Circuit({GOLD: made.design, GATE: made.netlist, **made.cells, **made.models}, commands, compares=True)


def properties(synthesize: Callable[[Spec], Synthesis]) -> Iterator[Property]:
    """Return a property each for the smallest accelerator and for the default one.

    Args:
        synthesize: synthesizes an accelerator.
    """
    for preset in ("tiny", "base"):
        yield Property(
            name=f"netlist.{preset}",
            component=f"Accelerator, {preset}, after synthesis",
            specification="netlist and design drive ports and block RAMs equally",
            method=Reachable(),
            circuit=partial(netlist_and_design, synthesize, PRESETS[preset]),
            solver="abc",
        )
