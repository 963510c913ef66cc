"""Small changes of the design, made by Yosys: all of them in one netlist, of which an input chooses one."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from amaranth.back import rtlil

from spikequant.cosim.formal.prove import find_tools
from spikequant.cosim.yosys import run_yosys
from spikequant.golden.layer.spec import Spec
from spikequant.rtl.accelerator import Accelerator
from spikequant.rtl.verilog import TOP

CHOICE, CHOICE_BITS = "mutant", 16
"""The input that chooses a mutant by its number; 0 is the design as it is."""

COMPONENTS: Mapping[str, str] = {
    "array": r"array$",
    "array, charge buffer": r"array\.buffer(\..*)?$",
    "array, adders": r"array\.(group_\d|reference|population)\.(adder|sums)_[\d_$]+$",
    "array, integrators": r"array\.(group_\d|reference|population)$",
    "array, synapses": r"array\.synapses(\..*)?$",
    "back end": r"backend$",
    "back end, completion": r"backend\.completion(\..*)?$",
    "back end, neurons": r"backend\.neurons(\..*)?$",
    "back end, packer": r"backend\.packer(\..*)?$",
    "back end, read-out": r"backend\.readout(\..*)?$",
    "cluster": r"cluster_\d$",
    "copies of signals": r"(_copy|control_\d+)$",
    "encoder": r"encoder$",
    "encoder, buckets": r"bucket_\d(\..*)?$",
    "encoder, collectors": r"pair_\d$",
    "encoder, decoder": r"decoder(\..*)?$",
    "encoder, score writer": r"encoder\.writer$",
    "queues and stages": r"(incoming|outgoing|stage|packets|runs|judged)(\.queue)?$",
    "reader": r"reader$",
    "sequencer": r"sequencer(\..*)?$",
    "turns": r"turns$",
    "top": rf"^{TOP}$",
    "writer": rf"{TOP}\.writer$",
}
"""Components, and which modules are theirs."""

DESIGN = "design.il"
MUTATED = "mutated.v"


@dataclass(frozen=True)
class Mutant:
    """One change.

    Attributes:
        number: 1 and up, the value of the choosing input.
        component: of the design.
        module: the changed module.
        change: Yosys's name of the change and of what is changed.
        source: file and line of what is changed, where known.
        command: of Yosys, that makes the change.
    """

    number: int
    component: str
    module: str
    change: str
    source: str
    command: str


def design_of(spec: Spec) -> str:
    """The accelerator as RTLIL, which knows the lines of its sources, wherever they are."""
    return rtlil.convert(Accelerator(spec), name=TOP, emit_src=True).replace(f"{Path(__file__).parents[2]}/", "")


def module_names(design: str) -> list[str]:
    """All modules of a design as RTLIL."""
    return [name.removeprefix("\\") for name in re.findall(r"^module (\S+)", design, re.MULTILINE)]


def escaped(name: str) -> str:
    """A module's name as a pattern that matches it alone."""
    return re.sub(r"([$\[\]*?])", r"\\\1", name)


# memories start as zeros in the simulator anyhow
PREPARE = f"read_rtlil {DESIGN}\nhierarchy -check -top {TOP}\ndelete t:$meminit_v2\nproc\nopt_clean\n"


def choose_mutants(design: str, *, count: int, seed: int, folder: Path) -> list[Mutant]:
    """Mutants of all components, as many of each as of any other where there are so many.

    Args:
        design: the accelerator as RTLIL.
        count: of mutants, or a few more.
        seed: of the choice.
        folder: to work in.

    Raises:
        YosysError: Yosys failed.
    """
    (folder / DESIGN).write_text(design, encoding="utf-8")
    modules = module_names(design)
    each = -(-count // len(COMPONENTS))
    script = PREPARE
    for place, pattern in enumerate(COMPONENTS.values()):
        own = [name for name in modules if re.search(pattern, name)]
        chosen = " ".join(escaped(name) for name in own)
        script += f"mutate -list {each} -seed {seed + place} -o list_{place} {chosen}\n"
    run_yosys(find_tools().path("yosys"), script, folder)
    mutants: list[Mutant] = []
    for place, component in enumerate(COMPONENTS):
        for line in (folder / f"list_{place}").read_text(encoding="utf-8").splitlines():
            mutants.append(_mutant(len(mutants) + 1, component, line))
    return mutants


def _mutant(number: int, component: str, line: str) -> Mutant:
    options = dict(re.findall(r"-(\w+) (\S+)", line))
    sources = re.findall(r"-src \S*?((?:rtl|amaranth)/\S+?:\d+)", line)
    change = " ".join(
        f"{name} {options[name]}" for name in ("mode", "cell", "port", "portbit", "ctrlbit", "wire") if name in options
    )
    command = re.sub(r"^mutate", f"mutate -ctrl {CHOICE} {CHOICE_BITS} {number}", line)
    return Mutant(number, component, options["module"].removeprefix("\\"), change, " ".join(sources), command)


def write_mutated(mutants: Iterable[Mutant], folder: Path) -> None:
    """Write the design with all mutants, and the input that chooses one, in Verilog.

    Args:
        mutants: all of them.
        folder: where they were chosen, and ``MUTATED`` is written.

    Raises:
        YosysError: Yosys failed.
    """
    commands = "\n".join(mutant.command for mutant in mutants)
    script = f"{PREPARE}{commands}\nwrite_verilog -noattr {MUTATED}\n"
    run_yosys(find_tools().path("yosys"), script, folder)
