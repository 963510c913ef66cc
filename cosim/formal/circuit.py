"""Input of solvers: files, and the Yosys commands that make a flat circuit of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from spikequant.cosim.formal.harness import TOP, Harness, rtlil_of

DESIGN = "design.il"


@dataclass(frozen=True)
class Circuit:
    """A circuit with checks.

    Attributes:
        files: texts by file name.
        commands: Yosys commands that read the files and leave a flat circuit with its checks; the last one optimizes.
        compares: whether two whole designs are compared, and there is no component in a harness.
    """

    files: Mapping[str, str]
    commands: tuple[str, ...]
    compares: bool = False


def around(
    make_harness: Callable[[], Harness],
    *,
    platform: Callable[[], object] | None = None,
    models: Mapping[str, str] | None = None,
    prepare: tuple[str, ...] = (),
) -> Circuit:
    """Make the circuit of a harness, with arbitrary initial values in registers and memories.

    Args:
        make_harness: makes the harness.
        platform: makes the platform to elaborate for; plain logic if None.
        models: Verilog models of cells, by file name; names that begin with ``+/`` are Yosys's own files.
        prepare: Yosys commands after flattening.
    """
    models = models or {}
    own = {name: text for name, text in models.items() if not name.startswith("+/")}
    design = rtlil_of(make_harness(), platform=platform() if platform else None)
    commands = (
        *(f"read_verilog -sv -defer {'' if name in own else '-D NO_INCLUDES '}{name}" for name in models),
        f"read_rtlil {DESIGN}",
        f"hierarchy -check -top {TOP}",
        # the state before the reset is arbitrary
        "setattr -unset init w:*",
        "delete t:$meminit_v2",
        "proc",
        "flatten",
        *prepare,
        f"prep -top {TOP}",
    )
    return Circuit({**own, DESIGN: design}, commands)
