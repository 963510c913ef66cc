"""What Yosys makes of the accelerator behaves as the design that it was made from, cycle by cycle, for ever."""

from collections.abc import Callable, Iterator
from functools import partial

from spikequant.cosim.formal.circuit import Circuit
from spikequant.cosim.formal.property import Property, Reachable
from spikequant.cosim.netlist import Synthesis
from spikequant.golden.layer.spec import PRESETS, Spec

GOLD, GATE = "gold.il", "gate.json"

BLOCKS = "t:DP16KD t:PDPW16KD t:MULT18X18D"
"""Cells that are no logic. The design names each of them, so they are the same on both sides: what they are given is
compared, and what they give is anything, the same on both sides."""


def netlist_and_design(synthesize: Callable[[Spec], Synthesis], spec: Spec) -> Circuit:
    """Both on the same inputs, from the state that a configuration leaves the device in, with a check of all ports."""
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
        # the descriptions of the cells come with the netlist, too
        *side("gate", f"read_json {GATE}", "delete =A:blackbox =A:whitebox =A:lib_whitebox"),
        "design -reset",
        "design -copy-from gold -as gold gold",
        "design -copy-from gate -as gate gate",
        "miter -equiv -make_assert -flatten gold gate miter",
        "hierarchy -top miter",
    )
    return Circuit({GOLD: made.design, GATE: made.netlist, **made.cells, **made.models}, commands)


def properties(synthesize: Callable[[Spec], Synthesis]) -> Iterator[Property]:
    """The smallest accelerator, and the one that is the default.

    Args:
        synthesize: makes a netlist beside its design.
    """
    for preset in ("tiny", "base"):
        yield Property(
            name=f"netlist.{preset}",
            component=f"Accelerator, {preset}, behind synthesis",
            specification="the netlist gives what the design gives, to ports and to block RAMs",
            method=Reachable(),
            circuit=partial(netlist_and_design, synthesize, PRESETS[preset]),
            solver="abc",
        )
