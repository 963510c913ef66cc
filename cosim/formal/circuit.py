"""What solvers are given: files, and the Yosys commands that make one flat circuit of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from spikequant.cosim.formal.harness import TOP, Harness, rtlil_of

DESIGN = "design.il"


@dataclass(frozen=True)
class Circuit:
    """A circuit with what must hold of it.

    Attributes:
        files: texts by name.
        commands: of Yosys, which read them and leave a flat circuit with its checks.
    """

    files: Mapping[str, str]
    commands: tuple[str, ...]


def around(
    make_harness: Callable[[], Harness],
    *,
    platform: Callable[[], object] | None = None,
    models: Mapping[str, str] | None = None,
    prepare: tuple[str, ...] = (),
) -> Circuit:
    """The circuit of a harness, which begins with anything in its registers and memories.

    Args:
        make_harness: makes it.
        platform: makes what to elaborate for; plain logic if not given.
        models: texts in Verilog of cells in the circuit, by file name; a name that begins with ``+/`` is Yosys's own.
        prepare: Yosys commands behind flattening.
    """
    models = models or {}
    own = {name: text for name, text in models.items() if not name.startswith("+/")}
    design = rtlil_of(make_harness(), platform=platform() if platform else None)
    commands = (
        *(f"read_verilog -sv -defer {'' if name in own else '-D NO_INCLUDES '}{name}" for name in models),
        f"read_rtlil {DESIGN}",
        f"hierarchy -check -top {TOP}",
        # the state in front of the reset is anything
        "setattr -unset init w:*",
        "delete t:$meminit_v2",
        "proc",
        "flatten",
        *prepare,
        f"prep -top {TOP}",
    )
    return Circuit({**own, DESIGN: design}, commands)
